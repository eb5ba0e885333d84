//! DEVICE_GET_INFO (4): what kind of device, how many regions and interrupt types.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | argsz |
//! | 4 | 4 | flags (reply) |
//! | 8 | 4 | number of regions (reply) |
//! | 12 | 4 | number of interrupt types (reply) |
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::Errno;
//! use vfio_user_protocol::messages::device_info::{DeviceFlags, Reply, Request};
//!
//! let (mut payload, mut answer) = (Vec::new(), Vec::new());
//! let reply = Reply { flags: DeviceFlags::PCI | DeviceFlags::RESET, num_regions: 9, num_irqs: 5 };
//! reply.encode(&mut answer);
//! assert_eq!(Reply::parse(&answer)?, reply);
//! // The client has no room for the reply.
//! Request { argsz: 15 }.encode(&mut payload);
//! assert_eq!(Request::parse(&payload).unwrap_err().errno(), Errno::EINVAL);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::{Command, Subject};
use crate::error::{MessageError, check_argsz};
use crate::wire::{Put, Structure, len_u32};

pub use crate::vfio::DeviceFlags;

const REQUEST: Subject = Command::DeviceGetInfo.request();
const REPLY: Subject = Command::DeviceGetInfo.reply();
const SIZE: usize = 16;

/// DEVICE_GET_INFO request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Largest reply payload the client takes, at least 16.
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

/// DEVICE_GET_INFO reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Properties.
    pub flags: DeviceFlags,
    /// Regions, empty ones included.
    pub num_regions: u32,
    /// Interrupt types, those without vectors included.
    pub num_irqs: u32,
}

impl Reply {
    /// Reads the reply.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        let fields = Structure::<SIZE>::read(REPLY, payload)?;
        check_argsz(REPLY, fields.u32::<0>(), SIZE)?;
        Ok(Self {
            flags: DeviceFlags::from_bits_retain(fields.u32::<4>()),
            num_regions: fields.u32::<8>(),
            num_irqs: fields.u32::<12>(),
        })
    }

    /// Appends the reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(len_u32(SIZE));
        out.put_u32(self.flags.bits());
        out.put_u32(self.num_regions);
        out.put_u32(self.num_irqs);
    }
}
