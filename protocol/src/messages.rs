//! The payloads, one module per command (or pair of commands that share a layout).
//!
//! `parse` takes everything behind the header and borrows from it; `encode` appends the payload to
//! an output buffer. Every structure is checked as a whole before a field of it is read. What needs
//! knowledge of the device (is there such a region, is the offset inside it) is left to the server.
//! Bytes behind a fixed structure that nothing follows are ignored.

pub mod device_feature;
pub mod device_info;
pub mod dma_access;
pub mod dma_map;
pub mod dma_unmap;
pub mod irq_info;
pub mod mig_data;
pub mod precopy_info;
pub mod region_access;
pub mod region_info;
pub mod region_io_fds;
pub mod set_irqs;
pub mod version;
pub mod write_multi;

#[cfg(test)]
mod form_tests;
#[cfg(test)]
mod round_trip_tests;
