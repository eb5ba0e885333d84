//! Errors of refused requests.

use pci_device_models::host::HostError;
use vfio_user_protocol::{Command, Errno, MessageError, UnknownCommand};

use crate::connection::TooManyDescriptors;
use crate::eventfd::NotAnEventFd;
use crate::memory::{LogError, MapError};
use crate::migration::MigrationError;

#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Map(#[from] MapError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Migration(#[from] MigrationError),
    #[error(transparent)]
    TooManyDescriptors(#[from] TooManyDescriptors),
    #[error(transparent)]
    EventFd(#[from] NotAnEventFd),
    #[error(transparent)]
    UnknownCommand(#[from] UnknownCommand),
    #[error("{0} is not served")]
    NotServed(Command),
    #[error("{0} file descriptors came, the command takes none")]
    NoDescriptors(usize),
    #[error("a reply came, but nothing was asked")]
    UnexpectedReply,
    #[error("VERSION has to be the first command of a connection, and comes only once")]
    VersionFirstAndOnce,
    #[error("an access of {count} bytes; the limit is {limit}")]
    AccessTooLarge { count: u32, limit: u32 },
    #[error("migration data of {size} bytes; the limit is {limit}")]
    MigrationData {
        /// Bytes.
        size: u32,
        /// The most.
        limit: u32,
    },
    #[error("there is no migration in the vfio-pci view")]
    NoMigration,
    #[error("trigger and resample eventfd of INTx are the same; use two eventfds")]
    FeedsItself,
    #[error("the resample eventfd cannot be watched: {0}")]
    Watch(std::io::Error),
    #[error("there is no descriptor left for the client: {0}")]
    Descriptor(std::io::Error),
}

impl RequestError {
    /// The error number for the reply.
    pub(super) fn errno(&self) -> Errno {
        match self {
            Self::Message(error) => error.errno(),
            Self::Host(error) => error.errno(),
            Self::Map(error) => error.errno(),
            Self::Log(error) => error.errno(),
            Self::Migration(error) => error.errno(),
            Self::Watch(error) | Self::Descriptor(error) => {
                Errno(error.raw_os_error().unwrap_or(Errno::ENOMEM.0))
            }
            Self::TooManyDescriptors(_)
            | Self::EventFd(_)
            | Self::FeedsItself
            | Self::UnknownCommand(_)
            | Self::NotServed(_)
            | Self::NoDescriptors(_)
            | Self::UnexpectedReply
            | Self::VersionFirstAndOnce
            | Self::AccessTooLarge { .. }
            | Self::MigrationData { .. }
            | Self::NoMigration => Errno::EINVAL,
        }
    }
}
