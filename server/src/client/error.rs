//! Errors of a client.

use std::io;

use vfio_user_protocol::{Command, Errno, FrameError, MessageError, MessageTooLong};

/// A request that did not succeed.
///
/// After [`Self::Refused`], [`Self::Short`] and [`Self::TimedOut`] the connection can be used further;
/// after any other error it should be dropped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server refused the command.
    #[error("{}: the server reports {errno}", command.name())]
    Refused {
        /// The command.
        command: Command,
        /// The error number of the reply.
        errno: Errno,
    },
    /// The server transferred fewer bytes than an access of this form can do with.
    #[error("region {region}, offset {offset:#x}: {actual} bytes of {wanted} were transferred")]
    Short {
        /// The region.
        region: u32,
        /// The offset in it.
        offset: u64,
        /// Bytes that were transferred.
        actual: usize,
        /// Bytes that were asked for.
        wanted: usize,
    },
    /// The server did not reply in time.
    #[error("{}: the server does not reply", command.name())]
    TimedOut {
        /// The command.
        command: Command,
    },
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The socket failed.
    #[error("the socket to the server: {0}")]
    Socket(#[source] io::Error),
    /// The server sent a malformed message.
    #[error(transparent)]
    Malformed(#[from] MessageError),
    /// The server sent a message with a malformed header, or one that is too large.
    #[error("message of the server: {0}")]
    Frame(#[from] FrameError),
    /// The server sent a reply to another command, or one that contradicts the request.
    #[error("{}: the reply does not match the request", command.name())]
    Mismatch {
        /// The command.
        command: Command,
    },
    /// The server sent too many file descriptors, or too few.
    #[error("the server sent too many or too few file descriptors")]
    Descriptors,
    /// The request is too long for a message.
    #[error(transparent)]
    TooLong(#[from] MessageTooLong),
}

impl ClientError {
    /// Returns the error number: the server's, or the one that describes the error best.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self {
            Self::Refused { errno, .. } => *errno,
            Self::Short { .. } => Errno::EIO,
            Self::TimedOut { .. } => Errno::ETIMEDOUT,
            Self::Closed => Errno::ENOTCONN,
            Self::Socket(error) => error.raw_os_error().map_or(Errno::EIO, Errno),
            Self::Malformed(_) | Self::Frame(_) | Self::Mismatch { .. } | Self::Descriptors => {
                Errno::EPROTO
            }
            Self::TooLong(error) => error.errno(),
        }
    }
}

impl From<rustix::io::Errno> for ClientError {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Socket(errno.into())
    }
}
