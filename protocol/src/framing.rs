//! Cutting a byte stream into messages.
//!
//! A stream socket hands over bytes in any pieces. [`decode`] looks at the start of a buffer and
//! says which of three things is there: a whole message, the beginning of one, or something that
//! cannot be a message. [`Decoder`] does the same for a buffer that holds many messages and
//! remembers how much of a refused message is still to come. Neither allocates.
//!
//! ```
//! use vfio_user_protocol::{Command, Decoded, Header, Limits, decode};
//!
//! let bytes = Header::command(1, Command::DeviceReset).to_bytes();
//! let limits = Limits::for_transfers(4096);
//! assert!(matches!(decode(&bytes[..10], limits), Decoded::Incomplete { needed: 6 }));
//! assert!(matches!(decode(&bytes, limits), Decoded::Message(frame) if frame.payload.is_empty()));
//! ```

use crate::errno::Errno;
use crate::header::{HEADER_SIZE, Header};
use crate::message_type::MessageType;
use crate::messages::version::MAX_TEXT;

/// The limits of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest whole message in bytes, header included. Below [`HEADER_SIZE`] nothing is
    /// acceptable.
    pub max_message_size: u32,
}

impl Limits {
    /// Room for a message that carries `data` bytes behind the largest fixed structure that data
    /// follows (DMA_UNMAP with a bitmap), and in any case for the longest text that VERSION may
    /// have.
    pub const fn for_transfers(data: u32) -> Self {
        const FIXED_PART: u32 = HEADER_SIZE as u32 + 40;
        const TEXT: u32 = MAX_TEXT as u32;
        let largest = if data > TEXT { data } else { TEXT };
        Self {
            max_message_size: largest.saturating_add(FIXED_PART),
        }
    }
}

/// A whole message of type command or reply. Its command number may still be unknown and its
/// payload malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The header; `message_size` is the number of bytes that the frame takes from the stream.
    pub header: Header,
    /// Everything behind the header.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Returns whether the message is a reply to a command of this side.
    pub fn is_reply(&self) -> bool {
        self.header.flags.message_type() == Some(MessageType::Reply)
    }

    /// Bytes that the frame takes from the stream.
    pub const fn consumed(&self) -> usize {
        HEADER_SIZE + self.payload.len()
    }
}

/// An invalid header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The message claims to be smaller than its own header.
    #[error("message size is {size}, it has to be at least {HEADER_SIZE}")]
    SizeBelowHeader {
        /// The value in the header.
        size: u32,
    },
    /// The message is larger than the receiver takes.
    #[error("message size is {size}, it has to be at most {limit}")]
    SizeAboveLimit {
        /// The value in the header.
        size: u32,
        /// The receiver's limit.
        limit: u32,
    },
    /// The type nibble is neither command nor reply.
    #[error("message type is {nibble}, it has to be 0 (command) or 1 (reply)")]
    UnknownType {
        /// The value in the header.
        nibble: u32,
    },
}

impl FrameError {
    /// The error number for the reply.
    pub const fn errno(&self) -> Errno {
        match self {
            Self::SizeBelowHeader { .. }
            | Self::SizeAboveLimit { .. }
            | Self::UnknownType { .. } => Errno::EINVAL,
        }
    }
}

/// The extent of a refused message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The sender's own size holds: the next header stands this many bytes after the refused one.
    /// More than is buffered, perhaps.
    Known(u32),
    /// The size is invalid, so the position of the next header is a guess: right after this one.
    Unknown,
}

impl Extent {
    /// Bytes to take from the stream.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Known(size) => size as usize,
            Self::Unknown => HEADER_SIZE,
        }
    }
}

/// A message that is refused. Its header is always whole, so an error reply can be addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The offending header.
    pub header: Header,
    /// The error.
    pub error: FrameError,
    /// The extent of the message, after which the stream continues.
    pub extent: Extent,
}

/// The content at the start of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A whole message.
    Message(Frame<'a>),
    /// A message is not finished; at least `needed` more bytes (never 0) have to come.
    Incomplete {
        /// Bytes that are missing, as far as is known yet: of the header first, of the whole
        /// message then.
        needed: usize,
    },
    /// A message that is refused as soon as its header is there.
    Invalid(Invalid),
}

/// Looks at the start of `buffer`.
pub fn decode(buffer: &[u8], limits: Limits) -> Decoded<'_> {
    let Some(header) = Header::parse(buffer) else {
        return Decoded::Incomplete {
            needed: HEADER_SIZE - buffer.len(),
        };
    };
    if let Err(error) = check(&header, limits) {
        let extent = match error {
            FrameError::SizeBelowHeader { .. } => Extent::Unknown,
            FrameError::SizeAboveLimit { .. } | FrameError::UnknownType { .. } => {
                Extent::Known(header.message_size)
            }
        };
        return Decoded::Invalid(Invalid {
            header,
            error,
            extent,
        });
    }
    let size = header.message_size as usize;
    match buffer.get(HEADER_SIZE..size) {
        Some(payload) => Decoded::Message(Frame { header, payload }),
        None => Decoded::Incomplete {
            needed: size - buffer.len(),
        },
    }
}

fn check(header: &Header, limits: Limits) -> Result<(), FrameError> {
    let (size, limit) = (header.message_size, limits.max_message_size);
    if (size as usize) < HEADER_SIZE {
        Err(FrameError::SizeBelowHeader { size })
    } else if size > limit {
        Err(FrameError::SizeAboveLimit { size, limit })
    } else if header.flags.message_type().is_none() {
        Err(FrameError::UnknownType {
            nibble: header.flags.type_nibble(),
        })
    } else {
        Ok(())
    }
}

/// The decoder of one stream. Its only state is how much of a refused message has not come yet.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    limits: Limits,
    skip: usize,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub const fn new(limits: Limits) -> Self {
        Self { limits, skip: 0 }
    }

    /// The limits in force.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Changes the limits for the messages to come (a client's limits are known only after
    /// VERSION).
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Bytes of a refused message that are still to come and that the next batch drops.
    pub const fn skipping(&self) -> usize {
        self.skip
    }

    /// The messages in `buffer`, which begins where the last batch's [`Batch::consumed`] ended.
    pub const fn batch<'d, 'a>(&'d mut self, buffer: &'a [u8]) -> Batch<'d, 'a> {
        Batch {
            decoder: self,
            buffer,
            consumed: 0,
        }
    }
}

/// Iterator over the messages of one buffer; ends at the first unfinished one.
///
/// [`Batch::consumed`] may be asked between any two messages: it is the position behind the last one,
/// which tells a receiver of file descriptors to which message they belong.
#[derive(Debug)]
pub struct Batch<'d, 'a> {
    decoder: &'d mut Decoder,
    buffer: &'a [u8],
    consumed: usize,
}

impl<'a> Batch<'_, 'a> {
    /// Bytes taken from the buffer so far; the caller drops these and keeps the rest.
    pub const fn consumed(&self) -> usize {
        self.consumed
    }

    /// The fewest bytes that have to come before there is another message.
    pub fn needed(&self) -> usize {
        if self.decoder.skip > 0 {
            return self.decoder.skip.saturating_add(HEADER_SIZE);
        }
        match decode(self.rest(), self.decoder.limits) {
            Decoded::Incomplete { needed } => needed,
            Decoded::Message(_) | Decoded::Invalid(_) => 0,
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.buffer.get(self.consumed..).unwrap_or_default()
    }

    /// Drops what is here of the refused message.
    fn skip_refused(&mut self) {
        let here = self.decoder.skip.min(self.rest().len());
        self.decoder.skip -= here;
        self.consumed += here;
    }
}

impl<'a> Iterator for Batch<'_, 'a> {
    type Item = Result<Frame<'a>, Invalid>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_refused();
        match decode(self.rest(), self.decoder.limits) {
            Decoded::Message(frame) => {
                self.consumed += frame.consumed();
                Some(Ok(frame))
            }
            Decoded::Incomplete { .. } => None,
            Decoded::Invalid(invalid) => {
                self.decoder.skip = invalid.extent.bytes();
                self.skip_refused();
                Some(Err(invalid))
            }
        }
    }
}

#[cfg(test)]
mod tests;
