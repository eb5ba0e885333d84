//! Client memory: what the client lets the device reach by DMA, and reaching it.
//!
//! Client memory has three tiers behind one table. A map says that a range of bus addresses is a
//! range of a file. Reads and writes go through the file by default, which no misbehaviour of the
//! client can turn into a crash of the server; see [`mod@file`] for when memory is mapped instead. A
//! map without a file is memory that its [`Owner`] reads and writes on request, by messages.

mod dirty;
mod file;
mod table;

pub use pci_device_models::profile::ClientMemory;

pub(crate) use dirty::{DirtyLog, LogError};
pub(crate) use table::{DmaTable, MapError, Reach, offset};

/// A client that is asked for memory which no file stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Its number, which no other client of the function has or had.
    pub(crate) client: u64,
    /// The most bytes that it can be asked for at once. Not 0.
    pub(crate) max_transfer: u32,
}
