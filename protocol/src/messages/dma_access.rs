//! DMA_READ (11) and DMA_WRITE (12): the server reaches client memory by messages.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 8 | DMA address |
//! | 8 | 8 | count, bytes |
//! | 16 | count | data, in a write's request and a read's reply |
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::Errno;
//! use vfio_user_protocol::messages::dma_access::{WriteReply, WriteRequest};
//!
//! let mut payload = Vec::new();
//! let request = WriteRequest { address: 0x1000, data: &[1, 2, 3, 4] };
//! request.encode(&mut payload);
//! assert_eq!(WriteRequest::parse(&payload)?, request);
//! assert_eq!(WriteRequest::parse(&payload[..18]).unwrap_err().errno(), Errno::EINVAL);
//! // A bare header as the reply means that everything was written.
//! assert_eq!(WriteReply::parse_for(&request, &[])?.count, 4);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::{Command, Subject};
use crate::error::{MessageError, check_length};
use crate::wire::{Put, Structure};

const SIZE: usize = 16;

fn read(subject: Subject, payload: &[u8]) -> Result<(u64, u64, &[u8]), MessageError> {
    let (fields, data) = Structure::<SIZE>::split(subject, payload)?;
    Ok((fields.u64::<0>(), fields.u64::<8>(), data))
}

fn write(address: u64, count: u64, out: &mut Vec<u8>) {
    out.put_u64(address);
    out.put_u64(count);
}

/// DMA_READ request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// First DMA address.
    pub address: u64,
    /// Bytes.
    pub count: u64,
}

impl ReadRequest {
    /// Reads the request.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        read(Command::DmaRead.request(), payload).map(|(address, count, _)| Self { address, count })
    }

    /// Appends the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write(self.address, self.count, out);
    }
}

/// DMA_READ reply. A client may deliver less than was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReply<'a> {
    /// First DMA address.
    pub address: u64,
    /// The data that was read.
    pub data: &'a [u8],
}

impl<'a> ReadReply<'a> {
    /// Reads the reply; its count has to be the length of its data.
    pub fn parse(payload: &'a [u8]) -> Result<Self, MessageError> {
        const SUBJECT: Subject = Command::DmaRead.reply();
        let (address, count, data) = read(SUBJECT, payload)?;
        check_length(SUBJECT, "data", data, count)?;
        Ok(Self { address, data })
    }

    /// Appends the reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write(self.address, self.data.len() as u64, out);
        out.put(self.data);
    }
}

/// DMA_WRITE request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteRequest<'a> {
    /// First DMA address.
    pub address: u64,
    /// The data to write.
    pub data: &'a [u8],
}

impl<'a> WriteRequest<'a> {
    /// Reads the request; its count has to be the length of its data.
    pub fn parse(payload: &'a [u8]) -> Result<Self, MessageError> {
        const SUBJECT: Subject = Command::DmaWrite.request();
        let (address, count, data) = read(SUBJECT, payload)?;
        check_length(SUBJECT, "data", data, count)?;
        Ok(Self { address, data })
    }

    /// Appends the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write(self.address, self.data.len() as u64, out);
        out.put(self.data);
    }
}

/// DMA_WRITE reply. A client may have taken less than was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteReply {
    /// First DMA address.
    pub address: u64,
    /// Bytes written.
    pub count: u64,
}

impl WriteReply {
    /// Reads the reply.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        read(Command::DmaWrite.reply(), payload).map(|(address, count, _)| Self { address, count })
    }

    /// Reads the reply to `request` as any client words it: in full; with a 32-bit count, as older
    /// texts have it; or as a bare header, which means that everything was written.
    pub fn parse_for(request: &WriteRequest<'_>, payload: &[u8]) -> Result<Self, MessageError> {
        const OLD_SIZE: usize = 12;
        if payload.is_empty() {
            return Ok(Self {
                address: request.address,
                count: request.data.len() as u64,
            });
        }
        match <&[u8; OLD_SIZE]>::try_from(payload) {
            Ok(old) => {
                let fields = Structure::whole(old);
                Ok(Self {
                    address: fields.u64::<0>(),
                    count: fields.u32::<8>().into(),
                })
            }
            Err(_) => Self::parse(payload),
        }
    }

    /// Appends the reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write(self.address, self.count, out);
    }
}
