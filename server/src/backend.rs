//! Back ends of device models: what is behind a serial port, a network interface or a disk.
//!
//! [`open`] opens a back end where a profile says, before the server enters the sandbox. A back end
//! moves what both sides can move at the moment, and no more than a turn's worth: what is left waits
//! in the device, with the peer, or in a buffer of fixed size.
//!
//! # Examples
//!
//! ```
//! use std::os::unix::net::UnixStream;
//!
//! use dormouse::backend::{Backend, PacketBackend};
//!
//! let (here, qemu) = UnixStream::pair()?;
//! let backend = Backend::from(PacketBackend::connected(here)?);
//! # drop((backend, qemu));
//! # Ok::<(), std::io::Error>(())
//! ```

mod block;
mod packet;
mod peer;
mod serial;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use mio::{Registry, Token};
use pci_device_models::host::DeviceMut;
use pci_device_models::model::backend::BackendKind;
use pci_device_models::profile::BackendPlace;
use pci_device_models::time::Time;
use thiserror::Error;

pub use block::BlockBackend;
pub use packet::PacketBackend;
pub use serial::SerialBackend;

use crate::listen::{self, Access, ListenError, SocketFile};

/// A back end of any kind. A kind that the device model does not have moves nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum Backend {
    /// Behind a serial port.
    Serial(SerialBackend),
    /// Behind a network interface.
    Packet(PacketBackend),
    /// Behind a disk.
    Block(BlockBackend),
}

impl From<SerialBackend> for Backend {
    fn from(backend: SerialBackend) -> Self {
        Self::Serial(backend)
    }
}

impl From<PacketBackend> for Backend {
    fn from(backend: PacketBackend) -> Self {
        Self::Packet(backend)
    }
}

impl From<BlockBackend> for Backend {
    fn from(backend: BlockBackend) -> Self {
        Self::Block(backend)
    }
}

/// The work of a back end in the event loop.
trait Drive {
    /// Has the peer watched as `token`, and gives out the listener by which others come.
    fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<Option<UnixListener>>;

    /// Somebody has connected, with a socket that never blocks.
    fn connect(&mut self, socket: OwnedFd, registry: &Registry, token: Token);

    /// The peer has sent something, or has room again, or is gone.
    fn peer_ready(&mut self);

    /// Moves what can move, up to a limit. Returns whether that was reached.
    fn step(&mut self, now: Time, device: &mut DeviceMut<'_>) -> bool;
}

impl Backend {
    fn kind(&mut self) -> &mut dyn Drive {
        match self {
            Self::Serial(backend) => backend,
            Self::Packet(backend) => backend,
            Self::Block(backend) => backend,
        }
    }

    pub(crate) fn watch(
        &mut self,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Option<UnixListener>> {
        self.kind().watch(registry, token)
    }

    pub(crate) fn connect(&mut self, socket: OwnedFd, registry: &Registry, token: Token) {
        self.kind().connect(socket, registry, token);
    }

    pub(crate) fn peer_ready(&mut self) {
        self.kind().peer_ready();
    }

    pub(crate) fn step(&mut self, now: Time, device: &mut DeviceMut<'_>) -> bool {
        self.kind().step(now, device)
    }
}

/// A back end cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Its socket cannot be bound.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system refused.
    #[error("opening the back end {place}: {source}")]
    System {
        /// The place that it leads to.
        place: BackendPlace,
        /// The error of the system.
        source: io::Error,
    },
    /// Back ends of this kind lead elsewhere.
    #[error("{place} is no place for a back end of this kind")]
    Place {
        /// The place that it was to lead to.
        place: BackendPlace,
    },
}

/// An open back end.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Opened {
    /// The back end, for [`ServedFunction::backend`](crate::ServedFunction::backend).
    pub backend: Option<Backend>,
    /// The path of a new pseudo-terminal.
    pub terminal: Option<PathBuf>,
    /// Removes the file of a socket or the link to a terminal when it is dropped.
    pub file: Option<SocketFile>,
}

/// Opens the back end of a device model where its profile says. Sockets that are bound have the rights
/// that `access` gives.
///
/// # Errors
/// See [`OpenError`].
pub fn open(kind: BackendKind, place: &BackendPlace, access: Access) -> Result<Opened, OpenError> {
    let system = |source| OpenError::System {
        place: place.clone(),
        source,
    };
    let mut opened = Opened::default();
    let backend: Backend = match (kind, place) {
        (BackendKind::Serial, BackendPlace::None) => return Ok(opened),
        (BackendKind::Serial, BackendPlace::Pty(link)) => {
            let (mut backend, terminal) = SerialBackend::pty(link.clone()).map_err(system)?;
            opened.terminal = Some(terminal);
            opened.file = backend.take_link();
            backend.into()
        }
        (BackendKind::Serial, BackendPlace::File(path)) => {
            SerialBackend::file(path).map_err(system)?.into()
        }
        (BackendKind::Serial, BackendPlace::Unix(path)) => {
            SerialBackend::socket(opened.bind(path, access)?).into()
        }
        (BackendKind::Packet, BackendPlace::None) => PacketBackend::unplugged().into(),
        (BackendKind::Packet, BackendPlace::Unix(path)) => {
            PacketBackend::socket(opened.bind(path, access)?).into()
        }
        (BackendKind::Packet, BackendPlace::UnixConnect(path)) => {
            let stream = UnixStream::connect(path).map_err(system)?;
            PacketBackend::connected(stream).map_err(system)?.into()
        }
        (BackendKind::Block, BackendPlace::None) => BlockBackend::empty().into(),
        (BackendKind::Block, BackendPlace::File(path)) => {
            BlockBackend::file(path).map_err(system)?.into()
        }
        _ => {
            let place = place.clone();
            return Err(OpenError::Place { place });
        }
    };
    opened.backend = Some(backend);
    Ok(opened)
}

impl Opened {
    fn bind(&mut self, path: &Path, access: Access) -> Result<UnixListener, ListenError> {
        let (listener, file) = listen::bind(path, access)?;
        self.file = Some(file);
        Ok(listener)
    }
}

#[cfg(test)]
mod tests;
