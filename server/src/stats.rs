//! Counters of a function's connections.
//!
//! ```
//! use dormouse::testing::Function;
//!
//! let mut served = Function::profile("testdev").start()?;
//! served.client()?.read_u32(7, 0)?;
//! let connection = served.status()?.connection;
//! assert_eq!((connection.clients, connection.requests), (1, 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use serde::{Deserialize, Serialize};

/// Counters of a function's socket since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// A client is connected, or several are.
    pub connected: bool,
    /// Clients served, those of the present included.
    pub clients: u64,
    /// Connections closed at once: as many clients as may be were being served, the user is not let
    /// in, the device could not be opened, or there was no descriptor left. Those to the control and
    /// the rail socket count, too.
    pub refused: u64,
    /// Commands received whole.
    pub requests: u64,
    /// Replies, those that report errors included.
    pub replies: u64,
    /// Replies that report errors.
    pub error_replies: u64,
    /// Messages whose header made no sense.
    pub messages_invalid: u64,
    /// DMA maps that clients have made.
    pub dma_maps: u64,
    /// DMA commands sent to clients whose memory has no file.
    pub dma_commands: u64,
    /// Replies to DMA commands that were not waited for, or not any more.
    pub dma_replies_dropped: u64,
    /// DMA transfers finished, with or without success.
    pub dma_transfers: u64,
    /// DMA transfers that failed.
    pub dma_errors: u64,
    /// Signals of doorbells, those that came together counted once.
    pub doorbells: u64,
    /// Eventfds signalled.
    pub interrupts: u64,
    /// Interrupts for which no eventfd was bound.
    pub interrupts_unbound: u64,
}
