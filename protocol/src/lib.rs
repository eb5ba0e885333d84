//! The vfio-user protocol without I/O.
#![forbid(unsafe_code)]

pub mod command;
pub mod encoder;
pub mod errno;
mod error;
pub mod framing;
pub mod header;
pub mod messages;
mod wire;

pub use command::{Command, Direction, UnknownCommand};
pub use encoder::{Encoder, MessageTooLong, error_reply, respond};
pub use errno::Errno;
pub use error::MessageError;
pub use framing::{Batch, Decoded, Decoder, Extent, Frame, FrameError, Invalid, Limits};
pub use header::{HEADER_SIZE, Header, HeaderFlags, MessageType};
