//! REGION_WRITE_MULTI (15): several small region writes in one message.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 8 | number of writes; in the reply those completed |
//! | 8 | 24·n | the writes |
//!
//! | Off in a write | Size | Field |
//! |---|---|---|
//! | 0 | 8 | offset in the region |
//! | 8 | 4 | region |
//! | 12 | 4 | count, at most 8 bytes |
//! | 16 | 8 | data, of which the first `count` bytes count |
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::Errno;
//! use vfio_user_protocol::messages::write_multi::{Request, Write};
//!
//! let mut payload = Vec::new();
//! let write = Write { offset: 0x10, region: 0, count: 2, data: [1, 2, 0, 0, 0, 0, 0, 0] };
//! Request::encode(&[write], &mut payload);
//! assert_eq!(Request::parse(&payload)?.writes().next(), Some(write));
//! assert_eq!(write.bytes(), [1, 2]);
//! assert_eq!(Request::rest(&payload, 1)?.writes().len(), 0);
//! assert_eq!(Request::parse(&payload[..31]).unwrap_err().errno(), Errno::EINVAL);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::{Command, Subject};
use crate::error::{MessageError, check_field, check_length};
use crate::wire::{Put, Structure};

const REQUEST: Subject = Command::RegionWriteMulti.request();
const REPLY: Subject = Command::RegionWriteMulti.reply();
const HEAD_SIZE: usize = 8;
const WRITE_SIZE: usize = 24;

/// Largest number of bytes in one of the writes.
pub const MAX_COUNT: u32 = 8;

/// One of the writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// Offset in the region.
    pub offset: u64,
    /// Region index.
    pub region: u32,
    /// Bytes, at most [`MAX_COUNT`].
    pub count: u32,
    /// The data, padded at the end.
    pub data: [u8; MAX_COUNT as usize],
}

impl Write {
    /// The bytes to be written.
    pub fn bytes(&self) -> &[u8] {
        self.data.get(..self.count as usize).unwrap_or(&self.data)
    }

    fn read(bytes: &[u8; WRITE_SIZE]) -> Self {
        let fields = Structure::whole(bytes);
        Self {
            offset: fields.u64::<0>(),
            region: fields.u32::<8>(),
            count: fields.u32::<12>(),
            data: fields.bytes::<16, 8>(),
        }
    }
}

/// REGION_WRITE_MULTI request. Every count in it has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    writes: &'a [[u8; WRITE_SIZE]],
}

impl<'a> Request<'a> {
    /// Parses the request. It must have exactly the stated number of writes, each of at most
    /// [`MAX_COUNT`] bytes.
    pub fn parse(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (head, rest) = Structure::<HEAD_SIZE>::split(REQUEST, payload)?;
        check_length(
            REQUEST,
            "writes",
            rest,
            head.u64::<0>().saturating_mul(WRITE_SIZE as u64),
        )?;
        let request = Self {
            writes: rest.as_chunks().0,
        };
        for write in request.writes() {
            check_field(
                REQUEST,
                "count",
                write.count,
                write.count <= MAX_COUNT,
                "at most 8",
            )?;
        }
        Ok(request)
    }

    /// Reads a request that [`Self::parse`] has accepted again, without its first `done` writes, for a server
    /// that continues with it. The counts are not checked again, so this takes the same time whatever its
    /// length.
    pub fn rest(payload: &'a [u8], done: usize) -> Result<Self, MessageError> {
        let (_, rest) = Structure::<HEAD_SIZE>::split(REQUEST, payload)?;
        Ok(Self {
            writes: rest.as_chunks().0.get(done..).unwrap_or_default(),
        })
    }

    /// The writes in the order in which they are to be done.
    pub fn writes(&self) -> impl ExactSizeIterator<Item = Write> + use<'a> {
        self.writes.iter().map(Write::read)
    }

    /// Appends a request for `writes`.
    pub fn encode(writes: &[Write], out: &mut Vec<u8>) {
        out.put_u64(writes.len() as u64);
        for write in writes {
            out.put_u64(write.offset);
            out.put_u32(write.region);
            out.put_u32(write.count);
            out.put(&write.data);
        }
    }
}

/// REGION_WRITE_MULTI reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Writes completed, counted from the first.
    pub completed: u64,
}

impl Reply {
    /// Reads the reply.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        Structure::<HEAD_SIZE>::read(REPLY, payload).map(|fields| Self {
            completed: fields.u64::<0>(),
        })
    }

    /// Appends the reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.completed);
    }
}
