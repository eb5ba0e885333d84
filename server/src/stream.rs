//! A saved device as a sequence of records: the form of migration streams and of state files.
//!
//! Neither side ever holds the whole of it: what is written is made when it is asked for, and what is read
//! goes into a [`MemoryImage`](pci_device_models::function::MemoryImage) a page at a time.

mod incoming;
mod json_cost;
mod outgoing;
mod record;

#[cfg(test)]
mod tests;

pub(crate) use incoming::{Incoming, Restored, StreamError, StreamLimits};
pub(crate) use outgoing::{Outgoing, Piece};
