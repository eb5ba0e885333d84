//! DEVICE_GET_IRQ_INFO (7): how many vectors an interrupt type has and how they behave.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | argsz |
//! | 4 | 4 | flags (reply) |
//! | 8 | 4 | index |
//! | 12 | 4 | number of vectors (reply) |

use bitflags::bitflags;

use crate::command::{Command, Subject};
use crate::error::{MessageError, check_argsz};
use crate::wire::{Put, Structure, len_u32};

const REQUEST: Subject = Command::DeviceGetIrqInfo.request();
const REPLY: Subject = Command::DeviceGetIrqInfo.reply();
const SIZE: usize = 16;

/// Interrupt type: the INTx pin.
pub const INTX: u32 = 0;
/// Interrupt type: MSI.
pub const MSI: u32 = 1;
/// Interrupt type: MSI-X.
pub const MSIX: u32 = 2;
/// Interrupt type: an error the device cannot recover from.
pub const ERR: u32 = 3;
/// Interrupt type: the device is asked back.
pub const REQ: u32 = 4;
/// Interrupt types of a PCI device.
pub const COUNT: u32 = 5;

bitflags! {
    /// How an interrupt type behaves. Unknown bits are kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct IrqFlags: u32 {
        /// Vectors can be bound to eventfds.
        const EVENTFD = 1 << 0;
        /// Vectors can be masked and unmasked.
        const MASKABLE = 1 << 1;
        /// A vector masks itself when it fires.
        const AUTOMASKED = 1 << 2;
        /// The number of vectors in use changes only by disabling all of them first.
        const NORESIZE = 1 << 3;
        const _ = !0;
    }
}

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
    pub flags: IrqFlags,
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
            flags: IrqFlags::from_bits_retain(fields.u32::<4>()),
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
