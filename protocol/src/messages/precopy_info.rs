//! GET_PRECOPY_INFO (19): how much migration data is left while the device runs. Known from QEMU's
//! development, not from a specification.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | argsz |
//! | 4 | 4 | flags, 0 |
//! | 8 | 8 | initial bytes (reply) |
//! | 16 | 8 | dirty bytes (reply) |
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::Errno;
//! use vfio_user_protocol::messages::precopy_info::{Reply, Request};
//!
//! let (mut payload, mut answer) = (Vec::new(), Vec::new());
//! let reply = Reply { initial_bytes: 0x1000, dirty_bytes: 64 };
//! reply.encode(&mut answer);
//! assert_eq!(Reply::parse(&answer)?, reply);
//! // The client has no room for the reply.
//! Request { argsz: 23 }.encode(&mut payload);
//! assert_eq!(Request::parse(&payload).unwrap_err().errno(), Errno::EINVAL);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::{Command, Subject};
use crate::error::{MessageError, check_argsz};
use crate::wire::{Put, Structure, len_u32};

const REQUEST: Subject = Command::GetPrecopyInfo.request();
const REPLY: Subject = Command::GetPrecopyInfo.reply();
const SIZE: usize = 24;

/// GET_PRECOPY_INFO request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Largest reply payload the client takes, at least 24.
    pub argsz: u32,
}

impl Request {
    /// Reads the request. Everything but argsz is ignored.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        let argsz = Structure::<SIZE>::read(REQUEST, payload)?.u32::<0>();
        check_argsz(REQUEST, argsz, SIZE)?;
        Ok(Self { argsz })
    }

    /// Appends the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.argsz);
        out.put(&[0; SIZE - 4]);
    }
}

/// GET_PRECOPY_INFO reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Bytes of the first pass that are still to be read.
    pub initial_bytes: u64,
    /// Bytes that were read and have changed since.
    pub dirty_bytes: u64,
}

impl Reply {
    /// Reads the reply.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        let fields = Structure::<SIZE>::read(REPLY, payload)?;
        check_argsz(REPLY, fields.u32::<0>(), SIZE)?;
        Ok(Self {
            initial_bytes: fields.u64::<8>(),
            dirty_bytes: fields.u64::<16>(),
        })
    }

    /// Appends the reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(len_u32(SIZE));
        out.put_u32(0);
        out.put_u64(self.initial_bytes);
        out.put_u64(self.dirty_bytes);
    }
}
