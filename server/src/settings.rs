//! What a server is told when it is made.

use std::time::Duration;

use crate::clock::Clock;
use crate::connection::MAX_MESSAGE_FDS;
use crate::state_file::Places;

/// How a server waits for the next request of a busy client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PollMode {
    /// [`Self::Max`] of 100 µs, which a request and its reply take where a CPU of a virtual machine has to
    /// be woken.
    #[default]
    Auto,
    /// It sleeps at once.
    Off,
    /// It looks again and again for up to so many microseconds, as long as that pays: whether it
    /// does is measured, so the setting is harmless on a CPU shared with the client.
    Max(u32),
}

impl PollMode {
    /// The longest time to look before sleeping.
    pub(crate) const fn window(self) -> Duration {
        match self {
            Self::Auto => Duration::from_micros(100),
            Self::Off => Duration::ZERO,
            Self::Max(micros) => Duration::from_micros(micros as u64),
        }
    }
}

/// What one client may make the server hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Bytes of data that a message carries (`max_data_xfer_size`); more is EINVAL. Up to 64 KiB are
    /// received even if it is less, since VERSION may have so much text.
    pub transfer: u32,
    /// Descriptors that come with a message (`max_msg_fds`), 16 at most; more is EINVAL.
    pub message_fds: usize,
    /// Bytes of replies that it does not read, and of requests behind one whose reply is held back.
    /// Beyond that nothing more is received until there are fewer.
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
pub struct Settings {
    /// How to wait.
    pub poll: PollMode,
    /// The time that devices see.
    pub clock: Clock,
    /// End when every function has had its client.
    pub once: bool,
    /// What each client may make the server hold.
    pub client: ClientLimits,
    /// DMA maps that the clients of a function may have at once; one more is ENOSPC. What clients
    /// name in their capabilities is no limit here: real ones send more than they announce.
    pub max_dma_maps: usize,
    /// Files that the clients of a function may have mapped at once; one more is EMFILE.
    pub max_dma_files: usize,
    /// How long a client may take to answer a DMA command before the transfer fails.
    pub dma_timeout: Duration,
    /// Users besides root and the server's own who may connect, to any socket; `None`: everybody
    /// whom the socket's file lets in.
    pub allowed_uids: Option<Vec<u32>>,
    /// Control clients that the server has at a time; one more is closed at once.
    pub max_control_clients: usize,
    /// Where control clients may have states saved and restored.
    pub state_places: Places,
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
            dma_timeout: Duration::from_secs(5),
            allowed_uids: None,
            max_control_clients: 64,
            state_places: Places::default(),
        }
    }
}
