//! Settings of a server.
//!
//! ```
//! use dormouse::clock::Clock;
//! use dormouse::{PollMode, Settings};
//!
//! let mut settings = Settings::default();
//! settings.clock = Clock::manual();
//! settings.poll = PollMode::Off;
//! settings.client.transfer = 64 << 10;
//! ```

use std::time::Duration;

use crate::clock::Clock;
use crate::closer::Closer;
use crate::connection::MAX_MESSAGE_FDS;
use crate::state_file::Places;

/// The way in which a server waits for the next request of a busy client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PollMode {
    /// Busy-poll for up to 100 µs, the time of a request with its reply when a CPU of a virtual machine must
    /// wake.
    #[default]
    Auto,
    /// Sleep at once.
    Off,
    /// Busy-poll for up to this many microseconds while polling pays off. The server measures that, so the
    /// setting is harmless on a CPU shared with the client.
    Max(u32),
}

impl PollMode {
    /// Returns the maximum time to poll before sleeping.
    pub(crate) const fn window(self) -> Duration {
        match self {
            Self::Auto => Duration::from_micros(100),
            Self::Off => Duration::ZERO,
            Self::Max(micros) => Duration::from_micros(micros as u64),
        }
    }
}

/// Limits on the memory and descriptors that a client can make the server hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientLimits {
    /// Maximum bytes of data in a message (`max_data_xfer_size`); more gives EINVAL. The server receives up to
    /// 64 KiB even with a lower limit, since VERSION may have that much text.
    pub transfer: u32,
    /// Maximum descriptors with a message (`max_msg_fds`), at most 16; more gives EINVAL.
    pub message_fds: usize,
    /// Bytes of unread replies, and of requests queued behind a deferred reply, beyond which the server stops
    /// reading from the client.
    pub pending: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            transfer: 1 << 20,
            message_fds: MAX_MESSAGE_FDS,
            pending: 1 << 20,
        }
    }
}

/// Settings of a server, for all its functions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Busy-polling.
    pub poll: PollMode,
    /// Clock of the devices.
    pub clock: Clock,
    /// End after every function has served its first client.
    pub once: bool,
    /// Limits per client.
    pub client: ClientLimits,
    /// Maximum DMA maps of all clients of a function together; one more gives ENOSPC. The numbers in clients'
    /// capabilities do not matter: real clients send more maps than they announce.
    pub max_dma_maps: usize,
    /// Maximum files that all clients of a function together have mapped; one more gives EMFILE.
    pub max_dma_files: usize,
    /// Maximum bytes of client memory that all functions together map into the process, and no more than half
    /// of its `RLIMIT_AS`. Beyond it, the server reads and writes the client's files.
    pub max_dma_mapped: u64,
    /// Time after which a transfer fails if the client does not answer its DMA command.
    pub dma_timeout: Duration,
    /// Users besides root and the server's own that may connect to any socket; `None`: all users with access
    /// to the socket's file.
    pub allowed_uids: Option<Vec<u32>>,
    /// Maximum simultaneous control clients; the server closes further connections.
    pub max_control_clients: usize,
    /// Folders in which control clients may save and restore states.
    pub state_places: Places,
    /// The thread that closes large files and takes large mappings back.
    pub closer: Closer,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            poll: PollMode::default(),
            clock: Clock::default(),
            once: false,
            client: ClientLimits::default(),
            max_dma_maps: 262_144,
            max_dma_files: 4096,
            max_dma_mapped: 1 << 40,
            dma_timeout: Duration::from_secs(5),
            allowed_uids: None,
            max_control_clients: 64,
            state_places: Places::default(),
            closer: Closer::default(),
        }
    }
}
