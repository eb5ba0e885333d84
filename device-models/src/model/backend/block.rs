//! Block back ends: a device requests reads and writes of a medium of fixed size.

use thiserror::Error;

use crate::model::Context;

/// Maximum number of bytes of one request.
pub const MAX_BLOCK_TRANSFER: u32 = 1 << 20;

/// A disk as its back end sees it.
///
/// The device makes requests, and receives the outcome under the tag of its request. Requests that
/// the back end has taken and not completed are not saved: the device keeps the state with which it
/// repeats them after [`Model::restored`](crate::model::Model::restored). The server completes a
/// request before it does anything else with the function, so there are none when the function is
/// saved.
pub trait BlockDevice {
    /// Sets the size of the medium in bytes; zero without one. Called whenever requests may be
    /// taken, whether the size changed or not.
    fn set_capacity(&mut self, cx: &mut Context<'_>, bytes: u64);

    /// Removes and returns the next request, if there is one.
    fn next_request(&mut self, cx: &mut Context<'_>) -> Option<BlockRequest>;

    /// Handles the outcome of the request with this tag.
    fn complete(&mut self, cx: &mut Context<'_>, tag: u32, outcome: BlockOutcome<'_>);
}

/// A request of a block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRequest {
    /// Identifies the request until it is complete.
    pub tag: u32,
    /// The requested operation.
    pub op: BlockOp,
}

/// An operation of a block device. Offsets and lengths are in bytes, and need no alignment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockOp {
    /// Reads from the medium.
    Read {
        /// First byte.
        offset: u64,
        /// Number of bytes, up to [`MAX_BLOCK_TRANSFER`].
        len: u32,
    },
    /// Writes to the medium.
    Write {
        /// First byte.
        offset: u64,
        /// The data, up to [`MAX_BLOCK_TRANSFER`] bytes.
        data: Vec<u8>,
    },
    /// Makes completed writes durable over a loss of power.
    Flush,
}

/// The outcome of a request: the data of a read, nothing for the others.
pub type BlockOutcome<'a> = Result<&'a [u8], BlockError>;

/// Reasons for which a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The request reaches past the end of the medium.
    #[error("the request reaches past the end of the medium")]
    OutOfRange,
    /// The request has more than [`MAX_BLOCK_TRANSFER`] bytes.
    #[error("the request has more than {MAX_BLOCK_TRANSFER} bytes")]
    TooLong,
    /// The medium failed.
    #[error("the medium cannot be read or written there")]
    Failed,
}

impl BlockOp {
    /// Checks that the request fits a medium of `capacity` bytes.
    ///
    /// # Errors
    /// [`BlockError::TooLong`], [`BlockError::OutOfRange`].
    pub fn check(&self, capacity: u64) -> Result<(), BlockError> {
        let (offset, len) = match self {
            Self::Read { offset, len } => (*offset, u64::from(*len)),
            Self::Write { offset, data } => (*offset, data.len() as u64),
            Self::Flush => return Ok(()),
        };
        if len > u64::from(MAX_BLOCK_TRANSFER) {
            return Err(BlockError::TooLong);
        }
        let end = offset.checked_add(len).ok_or(BlockError::OutOfRange)?;
        if end > capacity {
            return Err(BlockError::OutOfRange);
        }
        Ok(())
    }
}
