//! The payloads, one module per command (or pair of commands that share a layout).
//!
//! `parse` takes everything behind the header and borrows from it; `encode` appends the payload to
//! an output buffer. `parse` validates a structure as a whole before it reads a field of it. The server
//! performs the checks that need knowledge of the device, such as whether a region exists.
//! Surplus bytes after a structure of fixed size are ignored.
//!
//! ```
//! use vfio_user_protocol::messages::dma_map::Request;
//! use vfio_user_protocol::vfio::DmaMapFlags;
//!
//! let request = Request {
//!     flags: DmaMapFlags::READ | DmaMapFlags::WRITE,
//!     offset: 0,
//!     address: 0x10_0000,
//!     size: 0x1000,
//! };
//! let mut payload = Vec::new();
//! request.encode(&mut payload);
//! assert_eq!(Request::parse(&payload)?, request);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

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
