//! Getting hold of sockets: binding paths, adopting descriptors, socket activation.
//!
//! A path is bound so that nothing ever sees it with more access than asked for, without touching
//! the process-wide umask: on Linux a socket's file takes its mode from the socket itself, which is
//! set before the file exists. A group comes next, and only then the rights that the group or others
//! have.
//!
//! Two servers never share a path: each holds a lock on `PATH.lock` for as long as it serves. With
//! the lock held, a socket that answers belongs to another program and is left alone, one that does
//! not answer was left behind and is replaced.
//!
//! ```
//! use dormouse::listen::{self, Access, ListenError};
//!
//! # let folder = tempfile::tempdir()?;
//! let path = std::path::Path::new("device.sock");
//! # let path = &folder.path().join(path);
//! let (_listener, _file) = listen::bind(path, Access::default())?;
//! let second = listen::bind(path, Access::default());
//! assert!(matches!(second, Err(ListenError::Locked { .. })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod file;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketType, sockopt};
use thiserror::Error;

#[cfg(feature = "sandbox")]
pub(crate) use file::Identity;
pub use file::{Access, SocketFile};

use crate::endpoint::Endpoint;
use crate::sys;

/// An error of opening a socket.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Another server holds the lock.
    #[error("{} is already served by another dormouse", path.display())]
    Locked {
        /// The socket's path.
        path: PathBuf,
    },
    /// Another program answers there.
    #[error("{} is already served: something answers on it", path.display())]
    Answers {
        /// The socket's path.
        path: PathBuf,
    },
    /// The path is not a socket.
    #[error("{} exists and is not a socket; remove it or choose another path", path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// Another process has put something else in the place of the socket.
    #[error(
        "{} was replaced while it was bound; choose a folder in which only the server's user can write",
        path.display()
    )]
    Replaced {
        /// The path.
        path: PathBuf,
    },
    /// The path does not fit into a socket address.
    #[error("the socket path {} is too long: {} bytes of at most {}", path.display(), path.as_os_str().len(), file::MAX_PATH)]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// The system refused a step.
    #[error("cannot {step} {}: {source}", path.display())]
    System {
        /// The failed step.
        step: &'static str,
        /// The path.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The number is not an open descriptor.
    #[error("file descriptor {number} cannot be used: {source}")]
    Descriptor {
        /// The number.
        number: RawFd,
        /// Cause.
        source: io::Error,
    },
    /// A descriptor that is no UNIX stream socket.
    #[error("file descriptor {number} is no UNIX stream socket")]
    Kind {
        /// The number.
        number: RawFd,
    },
    /// A stream socket that neither listens nor is connected.
    #[error("file descriptor {number} is a socket that neither listens nor is connected")]
    Idle {
        /// The number.
        number: RawFd,
    },
    /// A control or rail socket must listen.
    #[error("file descriptor {number} does not listen, as a control or rail socket must")]
    NotListening {
        /// The number.
        number: RawFd,
    },
}

/// Listens on `path`. The file goes when the returned [`SocketFile`] does.
///
/// # Errors
/// See [`ListenError`].
pub fn bind(path: &Path, access: Access) -> Result<(UnixListener, SocketFile), ListenError> {
    file::bind(path, access)
}

/// Adopts the inherited descriptor `number`: a listening socket, or a connected one that is served until
/// its peer disconnects.
///
/// # Errors
/// The number is not open, or no UNIX stream socket in one of these states.
pub fn adopt(number: RawFd) -> Result<Endpoint, ListenError> {
    let fd = sys::adopt_fd(number).map_err(|source| ListenError::Descriptor { number, source })?;
    match state(fd.as_fd()) {
        Ok(State::Listening) => Ok(Endpoint::Listener(UnixListener::from(fd))),
        Ok(State::Connected) => Ok(Endpoint::Connected(UnixStream::from(fd))),
        Ok(State::Idle) => Err(ListenError::Idle { number }),
        Ok(State::Other) | Err(Errno::NOTSOCK) => Err(ListenError::Kind { number }),
        Err(errno) => Err(ListenError::Descriptor {
            number,
            source: errno.into(),
        }),
    }
}

/// As [`adopt`], for a socket that must listen.
///
/// # Errors
/// As [`adopt`], and where the socket is connected.
pub fn adopt_listener(number: RawFd) -> Result<UnixListener, ListenError> {
    match adopt(number)? {
        Endpoint::Listener(listener) => Ok(listener),
        Endpoint::Connected(_) => Err(ListenError::NotListening { number }),
    }
}

enum State {
    Listening,
    Connected,
    Idle,
    Other,
}

fn state(fd: BorrowedFd<'_>) -> Result<State, Errno> {
    if sockopt::socket_domain(fd)? != AddressFamily::UNIX
        || sockopt::socket_type(fd)? != SocketType::STREAM
    {
        return Ok(State::Other);
    }
    if sockopt::socket_acceptconn(fd)? {
        return Ok(State::Listening);
    }
    match net::getpeername(fd) {
        Ok(_) => Ok(State::Connected),
        Err(Errno::NOTCONN) => Ok(State::Idle),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests;
