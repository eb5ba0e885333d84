//! DEVICE_FEATURE (16): get, set or probe an optional feature.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | argsz |
//! | 4 | 4 | bits 0-15 feature, 16 GET, 17 SET, 18 PROBE |
//! | 8 | | data of the feature; one module each |
//!
//! # Example
//!
//! A client reads a feature and the server answers:
//!
//! ```
//! use vfio_user_protocol::messages::device_feature::{Feature, Operation, Reply, Request};
//!
//! let (mut payload, mut answer) = (Vec::new(), Vec::new());
//! Request::get(Feature::MigDataSize.number(), &[], 8).encode(&mut payload);
//! let request = Request::parse(&payload)?;
//! assert_eq!(request.wants(Operation::GET, 8), Ok(true));
//! request.reply(&[0; 8]).encode(&mut answer);
//! assert_eq!(Reply::parse(&answer)?, request.reply(&[0; 8]));
//! // The feature cannot be set.
//! assert!(Request::set(request.feature, &[0; 8]).wants(Operation::GET, 8).is_err());
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::{Command, Subject};
use crate::error::{MessageError, check_argsz, check_field};
use crate::wire::{Put, Structure, len_u32};

pub mod bus_master;
pub mod dma_logging;
pub mod low_power_entry_with_wakeup;
pub mod mig_data_size;
pub mod mig_device_state;
pub mod migration;
pub mod power_management;

pub use crate::vfio::{Feature, Operation};

const REQUEST: Subject = Command::DeviceFeature.request();
const REPLY: Subject = Command::DeviceFeature.reply();
const SIZE: usize = 8;
/// DEVICE_FEATURE request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Largest reply payload the client takes.
    pub argsz: u32,
    /// Feature number; see [`Feature`].
    pub feature: u16,
    /// The requested operation. May be empty, which only a known feature can refuse.
    pub operation: Operation,
    /// The feature's data.
    pub data: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads the request and leaves its judgement to [`Self::check`].
    ///
    /// A device judges a request when it is awake, or by the feature, so that it can be right to act
    /// upon one before its form is checked.
    ///
    /// # Errors
    /// [`MessageError::Short`].
    pub fn read(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (fields, data) = Structure::<SIZE>::split(REQUEST, payload)?;
        let (feature, operation) = split_selector(fields.u32::<4>());
        Ok(Self {
            argsz: fields.u32::<0>(),
            feature,
            operation,
            data,
        })
    }

    /// Reads and checks the form: that of [`Self::check`], and for SET and PROBE, which repeat the
    /// request in the reply, an argsz that allows this.
    ///
    /// # Errors
    /// The request is malformed.
    pub fn parse(payload: &'a [u8]) -> Result<Self, MessageError> {
        let request = Self::read(payload)?;
        request.check()?;
        request.check_repeatable()?;
        Ok(request)
    }

    /// Checks the header as Linux does (`vfio_ioctl_device_feature`): an argsz that counts it, known
    /// flag bits, GET and SET together only to probe.
    ///
    /// # Errors
    /// The header is malformed.
    pub fn check(&self) -> Result<(), MessageError> {
        check_argsz(REQUEST, self.argsz, SIZE)?;
        check_selector(REQUEST, self.feature, self.operation)
    }

    /// Refuses a SET or PROBE whose argsz has no room for the request itself, which the reply
    /// repeats.
    ///
    /// # Errors
    /// [`MessageError::Argsz`].
    pub fn check_repeatable(&self) -> Result<(), MessageError> {
        if self.operation.intersects(Operation::SET | Operation::PROBE) {
            self.check_room(self.data.len())?;
        }
        Ok(())
    }

    /// Judges the request for a feature with these operations and `size` bytes of data, as Linux does
    /// (`vfio_check_feature`). Returns whether there is something to do: with PROBE there is not.
    ///
    /// # Errors
    /// The feature does not have the operation, none is asked for, or argsz has no room for the
    /// data.
    pub fn wants(&self, supported: Operation, size: usize) -> Result<bool, MessageError> {
        let wanted = self.operation & (Operation::GET | Operation::SET);
        let bits = self.flags();
        let possible = supported.contains(wanted);
        check_field(
            REQUEST,
            "flags",
            bits,
            possible,
            "an operation of this feature",
        )?;
        if self.operation.contains(Operation::PROBE) {
            return Ok(false);
        }
        check_field(
            REQUEST,
            "flags",
            bits,
            !wanted.is_empty(),
            "GET, SET or PROBE",
        )?;
        self.check_room(size)?;
        Ok(true)
    }

    /// Returns the flag word: feature and operation.
    pub const fn flags(&self) -> u32 {
        self.feature as u32 | self.operation.bits()
    }

    /// Appends the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.argsz);
        out.put_u32(self.flags());
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
    /// The requested operation.
    pub operation: Operation,
    /// The feature's data: what was asked for with GET, the request's own with SET and PROBE.
    pub data: &'a [u8],
}

impl<'a> Reply<'a> {
    /// Reads the reply.
    pub fn parse(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (fields, data) = Structure::<SIZE>::split(REPLY, payload)?;
        check_argsz(REPLY, fields.u32::<0>(), SIZE)?;
        let (feature, operation) = split_selector(fields.u32::<4>());
        check_selector(REPLY, feature, operation)?;
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

/// Unknown bits stay in the operation.
fn split_selector(bits: u32) -> (u16, Operation) {
    let operation = Operation::from_bits_retain(bits & !Feature::MASK);
    ((bits & Feature::MASK) as u16, operation)
}

fn check_selector(
    subject: Subject,
    feature: u16,
    operation: Operation,
) -> Result<(), MessageError> {
    let bits = u32::from(feature) | operation.bits();
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
    )
}
