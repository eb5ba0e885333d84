//! DEVICE_FEATURE (16): get, set or probe an optional feature.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | argsz |
//! | 4 | 4 | bits 0-15 feature, 16 GET, 17 SET, 18 PROBE |
//! | 8 | | data of the feature; one module each |

use bitflags::bitflags;

use crate::command::{Command, Subject};
use crate::error::{MessageError, check_argsz, check_field};
use crate::wire::{Put, Structure, len_u32};

pub mod dma_logging;
pub mod low_power_entry_with_wakeup;
pub mod mig_device_state;
pub mod migration;
pub mod power_management;

const REQUEST: Subject = Command::DeviceFeature.request();
const REPLY: Subject = Command::DeviceFeature.reply();
const SIZE: usize = 8;
const FEATURE_MASK: u32 = 0xffff;

/// Features by number, as Linux numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Feature {
    /// Secret shared between the functions of a physical device.
    PciVfToken = 0,
    /// What kinds of migration there are; see [`migration`].
    Migration = 1,
    /// The state of migration; see [`mig_device_state`].
    MigDeviceState = 2,
    /// Allow the device to sleep. No data. In an earlier dialect the number means
    /// [`power_management`].
    LowPowerEntry = 3,
    /// The same, with notice when it is woken; see [`low_power_entry_with_wakeup`].
    LowPowerEntryWithWakeup = 4,
    /// The device must not sleep any more. No data.
    LowPowerExit = 5,
    /// Begin to record the pages that the device writes; see [`dma_logging`].
    DmaLoggingStart = 6,
    /// Stop recording.
    DmaLoggingStop = 7,
    /// Take the record; see [`dma_logging`].
    DmaLoggingReport = 8,
    /// How much migration data there will be.
    MigDataSize = 9,
    /// Switch bus mastering.
    BusMaster = 10,
}

impl Feature {
    /// All features in numerical order.
    pub const ALL: [Self; 11] = [
        Self::PciVfToken,
        Self::Migration,
        Self::MigDeviceState,
        Self::LowPowerEntry,
        Self::LowPowerEntryWithWakeup,
        Self::LowPowerExit,
        Self::DmaLoggingStart,
        Self::DmaLoggingStop,
        Self::DmaLoggingReport,
        Self::MigDataSize,
        Self::BusMaster,
    ];

    /// The number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The feature with this number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

bitflags! {
    /// What is wanted of a feature.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Operation: u32 {
        /// Read it.
        const GET = 1 << 16;
        /// Write it.
        const SET = 1 << 17;
        /// Only say whether the other operations named are possible.
        const PROBE = 1 << 18;
    }
}

/// DEVICE_FEATURE request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Largest reply payload the client takes.
    pub argsz: u32,
    /// Feature number; see [`Feature`].
    pub feature: u16,
    /// What is wanted. May be empty, which only a feature that is known can refuse.
    pub operation: Operation,
    /// The feature's data.
    pub data: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads and checks the form: known flag bits, GET and SET together only to probe, and for SET
    /// and PROBE, which repeat the request in the reply, an argsz that allows this.
    pub fn parse(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (fields, data) = Structure::<SIZE>::split(REQUEST, payload)?;
        let argsz = fields.u32::<0>();
        check_argsz(REQUEST, argsz, SIZE)?;
        let (feature, operation) = parse_selector(REQUEST, fields.u32::<4>())?;
        if operation.intersects(Operation::SET | Operation::PROBE) {
            check_argsz(REQUEST, argsz, payload.len())?;
        }
        Ok(Self {
            argsz,
            feature,
            operation,
            data,
        })
    }

    /// Appends the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.argsz);
        out.put_u32(u32::from(self.feature) | self.operation.bits());
        out.put(self.data);
    }

    /// A GET whose reply may carry `room` bytes of data.
    pub fn get(feature: u16, data: &'a [u8], room: usize) -> Self {
        let argsz = len_u32(SIZE.saturating_add(room.max(data.len())));
        Self {
            argsz,
            feature,
            operation: Operation::GET,
            data,
        }
    }

    /// A SET.
    pub fn set(feature: u16, data: &'a [u8]) -> Self {
        Self {
            operation: Operation::SET,
            ..Self::get(feature, data, 0)
        }
    }

    /// A PROBE for `operations`.
    pub fn probe(feature: u16, operations: Operation) -> Self {
        Self {
            operation: Operation::PROBE | operations,
            ..Self::get(feature, &[], 0)
        }
    }

    /// Refuses an argsz that has no room for a reply with `length` bytes of data.
    pub fn check_room(&self, length: usize) -> Result<(), MessageError> {
        check_argsz(REQUEST, self.argsz, SIZE.saturating_add(length))
    }

    /// The reply that carries `data`. It repeats feature and operation.
    pub const fn reply<'d>(&self, data: &'d [u8]) -> Reply<'d> {
        Reply {
            feature: self.feature,
            operation: self.operation,
            data,
        }
    }
}

/// DEVICE_FEATURE reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Feature number.
    pub feature: u16,
    /// What was wanted.
    pub operation: Operation,
    /// The feature's data: what was asked for with GET, the request's own with SET and PROBE.
    pub data: &'a [u8],
}

impl<'a> Reply<'a> {
    /// Reads the reply.
    pub fn parse(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (fields, data) = Structure::<SIZE>::split(REPLY, payload)?;
        check_argsz(REPLY, fields.u32::<0>(), SIZE)?;
        let (feature, operation) = parse_selector(REPLY, fields.u32::<4>())?;
        Ok(Self {
            feature,
            operation,
            data,
        })
    }

    /// Appends the reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(len_u32(SIZE.saturating_add(self.data.len())));
        out.put_u32(u32::from(self.feature) | self.operation.bits());
        out.put(self.data);
    }
}

fn parse_selector(subject: Subject, bits: u32) -> Result<(u16, Operation), MessageError> {
    let operation = Operation::from_bits_retain(bits & !FEATURE_MASK);
    let known = Operation::all().contains(operation);
    check_field(
        subject,
        "flags",
        bits,
        known,
        "a feature number with bits 16 to 18 only",
    )?;
    let exclusive = operation.contains(Operation::PROBE)
        || !operation.contains(Operation::GET | Operation::SET);
    check_field(
        subject,
        "flags",
        bits,
        exclusive,
        "GET or SET, both only together with PROBE",
    )?;
    Ok(((bits & FEATURE_MASK) as u16, operation))
}
