//! REGION_READ (9) and REGION_WRITE (10).
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 8 | offset in the region |
//! | 8 | 4 | region |
//! | 12 | 4 | count, bytes |
//! | 16 | count | data, in a write's request and a read's reply |
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::Errno;
//! use vfio_user_protocol::messages::region_access::WriteRequest;
//!
//! let mut payload = Vec::new();
//! let request = WriteRequest::new(0, 0x10, &[1, 2, 3, 4]);
//! request.encode(&mut payload);
//! assert_eq!(WriteRequest::parse(&payload)?, request);
//! assert!(!request.access.is_within(0x13));
//! // The last byte is missing.
//! assert_eq!(WriteRequest::parse(&payload[..19]).unwrap_err().errno(), Errno::EINVAL);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use byteorder::{ByteOrder, NativeEndian};

use crate::command::{Command, Subject};
use crate::error::{MessageError, check_length};
use crate::wire::{Put, Structure, len_u32};

const SIZE: usize = 16;

/// The fixed part that all four messages share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Offset in the region.
    pub offset: u64,
    /// Region index.
    pub region: u32,
    /// Bytes.
    pub count: u32,
}

impl Access {
    /// Returns whether the access lies within a region of `size` bytes. An empty access may begin at the
    /// end of the region.
    pub fn is_within(&self, size: u64) -> bool {
        self.offset
            .checked_add(u64::from(self.count))
            .is_some_and(|end| end <= size)
    }

    fn read(subject: Subject, payload: &[u8]) -> Result<(Self, &[u8]), MessageError> {
        let (fields, data) = Structure::<SIZE>::split(subject, payload)?;
        Ok((
            Self {
                offset: fields.u64::<0>(),
                region: fields.u32::<8>(),
                count: fields.u32::<12>(),
            },
            data,
        ))
    }

    fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        NativeEndian::write_u64(&mut bytes[0..8], self.offset);
        NativeEndian::write_u32(&mut bytes[8..12], self.region);
        NativeEndian::write_u32(&mut bytes[12..16], self.count);
        bytes
    }

    fn read_with_data(subject: Subject, payload: &[u8]) -> Result<(Self, &[u8]), MessageError> {
        let (access, data) = Self::read(subject, payload)?;
        check_length(subject, "data", data, access.count.into())?;
        Ok((access, data))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.put(&self.to_bytes());
    }
}

/// REGION_READ request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// The range to read.
    pub access: Access,
}

impl ReadRequest {
    /// Reads the request.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        Access::read(Command::RegionRead.request(), payload).map(|(access, _)| Self { access })
    }

    /// Appends the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.access.write(out);
    }
}

/// REGION_READ reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReply<'a> {
    /// Offset in the region.
    pub offset: u64,
    /// Region index.
    pub region: u32,
    /// The range that was read.
    pub data: &'a [u8],
}

impl<'a> ReadReply<'a> {
    /// Reads the reply; its count has to be the length of its data.
    pub fn parse(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (access, data) = Access::read_with_data(Command::RegionRead.reply(), payload)?;
        Ok(Self {
            offset: access.offset,
            region: access.region,
            data,
        })
    }

    /// Appends the reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        Access {
            offset: self.offset,
            region: self.region,
            count: len_u32(self.data.len()),
        }
        .write(out);
        out.put(self.data);
    }

    /// Appends the reply to `access` with zeroes for data, and returns these to be filled in place.
    ///
    /// The count decides how much memory this takes: it has to be checked against the server's
    /// limit before.
    pub fn reserve<'v>(access: &Access, out: &'v mut Vec<u8>) -> &'v mut [u8] {
        access.write(out);
        let start = out.len();
        out.resize(start.saturating_add(access.count as usize), 0);
        out.get_mut(start..).unwrap_or_default()
    }
}

/// REGION_WRITE request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteRequest<'a> {
    /// The range to write; `count` is the length of `data`.
    pub access: Access,
    /// The data to write.
    pub data: &'a [u8],
}

impl<'a> WriteRequest<'a> {
    /// A request for `data` at `offset` of `region`.
    pub fn new(region: u32, offset: u64, data: &'a [u8]) -> Self {
        Self {
            access: Access {
                offset,
                region,
                count: len_u32(data.len()),
            },
            data,
        }
    }

    /// Reads the request; its count has to be the length of its data.
    pub fn parse(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (access, data) = Access::read_with_data(Command::RegionWrite.request(), payload)?;
        Ok(Self { access, data })
    }

    /// Appends the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.access.write(out);
        out.put(self.data);
    }
}

/// REGION_WRITE reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteReply {
    /// The range that was written.
    pub access: Access,
}

impl WriteReply {
    /// Reads the reply.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        Access::read(Command::RegionWrite.reply(), payload).map(|(access, _)| Self { access })
    }

    /// Appends the reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.access.write(out);
    }
}
