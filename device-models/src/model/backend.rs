//! Back ends: the connections of a device besides the bus.
//!
//! A serial port, a network interface or a disk has another end besides PCI. The model implements
//! the trait for its kind, [`SerialPort`], [`PacketPort`] or [`BlockDevice`], and returns itself
//! from [`Model::backend`](super::Model::backend). The profile chooses the file, socket or terminal
//! behind it, and the server opens it. The model does not know it.
//!
//! No data moves outside D0.
//!
//! # Examples
//!
//! A bench is the other end of the `serial` model:
//!
//! ```
//! use pci_device_models::bench::Bench;
//! use pci_device_models::model::Registry;
//! use pci_device_models::profile::Profile;
//!
//! let text = Profile::builtin("serial").ok_or("it is built in")?;
//! let profile = Profile::parse("serial", text, &[])?;
//! let mut bench = Bench::of(&profile, &Registry::builtin())?;
//! bench.set_connected(true);
//! // Modem Control: request to send.
//! bench.write_bytes(0, 4, &[0x02]);
//! assert_eq!(bench.serial_receive(b"a"), 1);
//! assert_eq!(bench.read_bytes(0, 0), *b"a");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod block;
mod packet;
mod platform;
mod serial;
#[cfg(test)]
mod tests;

use std::fmt;

pub use block::{BlockDevice, BlockError, BlockOp, BlockOutcome, BlockRequest, MAX_BLOCK_TRANSFER};
pub use packet::{MAX_PACKET, PacketPort};
pub use platform::{PlatformPort, RailSwitch, WakeSource};
pub use serial::SerialPort;

/// The side of a back end that a model implements.
#[non_exhaustive]
pub enum Backend<'a> {
    /// Bytes, for a serial port.
    Serial(&'a mut dyn SerialPort),
    /// Packets, for a network interface.
    Packet(&'a mut dyn PacketPort),
    /// Blocks, for a disk.
    Block(&'a mut dyn BlockDevice),
    /// Slots, for a platform controller.
    Platform(&'a mut dyn PlatformPort),
}

/// A kind of back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackendKind {
    /// Bytes, of a serial port for example.
    Serial,
    /// Packets, of a network interface for example.
    Packet,
    /// Blocks, of a disk for example.
    Block,
    /// Slots, of a platform controller.
    Platform,
}

impl fmt::Debug for Backend<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind())
    }
}

impl Backend<'_> {
    /// Returns its kind.
    #[must_use]
    pub const fn kind(&self) -> BackendKind {
        match self {
            Self::Serial(_) => BackendKind::Serial,
            Self::Packet(_) => BackendKind::Packet,
            Self::Block(_) => BackendKind::Block,
            Self::Platform(_) => BackendKind::Platform,
        }
    }
}

impl<'a> Backend<'a> {
    /// Returns the serial port, if this is one.
    #[must_use]
    pub fn serial(self) -> Option<&'a mut dyn SerialPort> {
        match self {
            Self::Serial(port) => Some(port),
            _ => None,
        }
    }

    /// Returns the packet port, if this is one.
    #[must_use]
    pub fn packet(self) -> Option<&'a mut dyn PacketPort> {
        match self {
            Self::Packet(port) => Some(port),
            _ => None,
        }
    }

    /// Returns the block device, if this is one.
    #[must_use]
    pub fn block(self) -> Option<&'a mut dyn BlockDevice> {
        match self {
            Self::Block(device) => Some(device),
            _ => None,
        }
    }

    /// Returns the platform port, if this is one.
    #[must_use]
    pub fn platform(self) -> Option<&'a mut dyn PlatformPort> {
        match self {
            Self::Platform(port) => Some(port),
            _ => None,
        }
    }
}
