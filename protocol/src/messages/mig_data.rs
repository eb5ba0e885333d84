//! MIG_DATA_READ (17) and MIG_DATA_WRITE (18): the device's state as a stream of bytes.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | argsz |
//! | 4 | 4 | size, bytes |
//! | 8 | size | data, in a read's reply and a write's request |
//!
//! A write has no reply payload.
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::Errno;
//! use vfio_user_protocol::messages::mig_data::ReadReply;
//!
//! let mut answer = Vec::new();
//! let reply = ReadReply { data: b"state" };
//! reply.encode(&mut answer);
//! assert_eq!(ReadReply::parse(&answer)?, reply);
//! // The last byte is missing.
//! assert_eq!(ReadReply::parse(&answer[..12]).unwrap_err().errno(), Errno::EINVAL);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::{Command, Subject};
use crate::error::{MessageError, check_argsz, check_length};
use crate::wire::{Put, Structure, len_u32};

const SIZE: usize = 8;

fn read(subject: Subject, payload: &[u8]) -> Result<(u32, &[u8]), MessageError> {
    let (fields, data) = Structure::<SIZE>::split(subject, payload)?;
    let size = fields.u32::<4>();
    check_argsz(
        subject,
        fields.u32::<0>(),
        SIZE.saturating_add(size as usize),
    )?;
    Ok((size, data))
}

fn read_with_data(subject: Subject, payload: &[u8]) -> Result<&[u8], MessageError> {
    let (size, data) = read(subject, payload)?;
    check_length(subject, "data", data, size.into())?;
    Ok(data)
}

fn write(size: usize, out: &mut Vec<u8>) {
    out.put_u32(len_u32(SIZE.saturating_add(size)));
    out.put_u32(len_u32(size));
}

/// MIG_DATA_READ request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// The most bytes that the client takes; argsz has room for them.
    pub size: u32,
}

impl ReadRequest {
    /// Reads the request.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        read(Command::MigDataRead.request(), payload).map(|(size, _)| Self { size })
    }

    /// Appends the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write(self.size as usize, out);
    }
}

/// MIG_DATA_READ reply. Less than was asked for is the end of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReply<'a> {
    /// The next piece of the stream.
    pub data: &'a [u8],
}

impl<'a> ReadReply<'a> {
    /// Reads the reply; its size has to be the length of its data.
    pub fn parse(payload: &'a [u8]) -> Result<Self, MessageError> {
        read_with_data(Command::MigDataRead.reply(), payload).map(|data| Self { data })
    }

    /// Appends the reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write(self.data.len(), out);
        out.put(self.data);
    }
}

/// MIG_DATA_WRITE request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteRequest<'a> {
    /// The next piece of the stream.
    pub data: &'a [u8],
}

impl<'a> WriteRequest<'a> {
    /// Reads the request; its size has to be the length of its data.
    pub fn parse(payload: &'a [u8]) -> Result<Self, MessageError> {
        read_with_data(Command::MigDataWrite.request(), payload).map(|data| Self { data })
    }

    /// Appends the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write(self.data.len(), out);
        out.put(self.data);
    }
}
