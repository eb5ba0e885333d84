//! Client memory: what the client lets the device reach by DMA, and reaching it.
//!
//! A map says that a range of bus addresses is a range of a file. Reads and writes go through the
//! file by default, which no misbehaviour of the client can turn into a crash of the server; see
//! [`mod@file`] for when memory is mapped instead. A map without a file is remembered, but nothing here
//! can reach it.

mod file;
mod table;

pub use pci_device_models::profile::ClientMemory;

pub(crate) use table::{DmaTable, MapError};
