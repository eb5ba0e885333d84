//! DEVICE_GET_IRQ_INFO (7): how many vectors an interrupt type has and how they behave.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | argsz |
//! | 4 | 4 | flags (reply) |
//! | 8 | 4 | index |
//! | 12 | 4 | number of vectors (reply) |
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::Errno;
//! use vfio_user_protocol::messages::irq_info::{IrqInfoFlags, Reply, Request};
//!
//! let (mut payload, mut answer) = (Vec::new(), Vec::new());
//! let reply = Reply { flags: IrqInfoFlags::EVENTFD, index: 2, count: 8 };
//! reply.encode(&mut answer);
//! assert_eq!(Reply::parse(&answer)?, reply);
//! // The client has no room for the reply.
//! Request { argsz: 15, index: 2 }.encode(&mut payload);
//! assert_eq!(Request::parse(&payload).unwrap_err().errno(), Errno::EINVAL);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::{Command, Subject};
use crate::error::{MessageError, check_argsz};
use crate::wire::{Put, Structure, len_u32};

pub use crate::vfio::IrqInfoFlags;

const REQUEST: Subject = Command::DeviceGetIrqInfo.request();
const REPLY: Subject = Command::DeviceGetIrqInfo.reply();
const SIZE: usize = 16;

/// DEVICE_GET_IRQ_INFO request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Largest reply payload the client takes, at least 16.
    pub argsz: u32,
    /// Interrupt type.
    pub index: u32,
}

impl Request {
    /// Reads the request. Flags and count are ignored.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        let fields = Structure::<SIZE>::read(REQUEST, payload)?;
        check_argsz(REQUEST, fields.u32::<0>(), SIZE)?;
        Ok(Self {
            argsz: fields.u32::<0>(),
            index: fields.u32::<8>(),
        })
    }

    /// Appends the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for field in [self.argsz, 0, self.index, 0] {
            out.put_u32(field);
        }
    }
}

/// DEVICE_GET_IRQ_INFO reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Behaviour.
    pub flags: IrqInfoFlags,
    /// Interrupt type.
    pub index: u32,
    /// Vectors.
    pub count: u32,
}

impl Reply {
    /// Reads the reply.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        let fields = Structure::<SIZE>::read(REPLY, payload)?;
        check_argsz(REPLY, fields.u32::<0>(), SIZE)?;
        Ok(Self {
            flags: IrqInfoFlags::from_bits_retain(fields.u32::<4>()),
            index: fields.u32::<8>(),
            count: fields.u32::<12>(),
        })
    }

    /// Appends the reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for field in [len_u32(SIZE), self.flags.bits(), self.index, self.count] {
            out.put_u32(field);
        }
    }
}
