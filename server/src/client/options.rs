//! Options of a client.

use std::time::Duration;

use vfio_user_protocol::messages::version::{Capabilities, MAJOR, MINOR, PeerLimits};

use crate::connection::MAX_MESSAGE_FDS;

/// Options of a [`Client`](super::Client).
///
/// ```
/// use std::time::Duration;
///
/// let mut options = dormouse::client::Options::default();
/// options.timeout = Some(Duration::from_secs(1));
/// options.offer_twin_socket();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Major and minor version to propose.
    pub version: (u16, u16),
    /// Capabilities to propose; `None` sends no text, as the oldest clients do.
    pub capabilities: Option<Capabilities>,
    /// Longest time that the server may take for a reply; `None` waits for ever.
    pub timeout: Option<Duration>,
}

impl Default for Options {
    /// The highest version, transfers of 1 MiB, 16 descriptors in a message, REGION_WRITE_MULTI,
    /// mappable areas from several files, both dialects of low power, and a time-out of 10 s.
    fn default() -> Self {
        let capabilities = Capabilities {
            max_msg_fds: Some(MAX_MESSAGE_FDS as u32),
            max_data_xfer_size: Some(PeerLimits::default().max_data_xfer_size.into()),
            write_multiple: Some(true),
            sparse_mmap_fds: Some(true),
            pm_dialects: Some(vec!["mainline".to_owned(), "v4".to_owned()]),
            ..Capabilities::default()
        };
        Self {
            version: (MAJOR, MINOR),
            capabilities: Some(capabilities),
            timeout: Some(Duration::from_secs(10)),
        }
    }
}

impl Options {
    /// Proposes a second socket, for the commands of the server.
    pub fn offer_twin_socket(&mut self) {
        use vfio_user_protocol::messages::version::TwinSocket;

        let capabilities = self.capabilities.get_or_insert_default();
        capabilities.twin_socket = Some(TwinSocket {
            supported: true,
            fd_index: None,
        });
    }

    /// Returns the largest number of bytes in one access that the client takes.
    pub(super) fn max_transfer(&self) -> u32 {
        let limits = self.capabilities.as_ref().map(Capabilities::limits);
        limits.unwrap_or_default().max_data_xfer_size
    }
}
