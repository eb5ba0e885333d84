//! Client memory: the ranges that clients map for DMA, and access to them.
//!
//! Client memory has three tiers behind one table. A map assigns a range of a file to a range of bus
//! addresses. By default the server reads and writes the file, so that no client can crash the server;
//! [`mod@file`] describes when it maps the file instead. A map without a file is memory that its
//! [`Owner`] reads and writes on DMA_READ and DMA_WRITE messages.

mod dirty;
mod file;
mod space;
mod table;

pub use pci_device_models::profile::ClientMemory;

pub(crate) use dirty::{DirtyLog, LogError};
pub(crate) use space::AddressSpace;
pub(crate) use table::{DmaTable, MapError, Reach, offset};

/// A client that makes maps, and is asked for memory which no file stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Its number, which no other client of the function has or had.
    pub(crate) client: u64,
    /// The most bytes that it can be asked for at once. Not 0.
    pub(crate) max_transfer: u32,
}
