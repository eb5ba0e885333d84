//! DEVICE_SET_IRQS (8): bind, fire, mask or unmask vectors. No reply payload.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | argsz, the structure's own length |
//! | 4 | 4 | flags: one data bit and one action bit |
//! | 8 | 4 | index, the interrupt type |
//! | 12 | 4 | start, the first vector |
//! | 16 | 4 | count, vectors |
//! | 20 | count | with BOOL: one byte per vector |
//!
//! Eventfds travel beside the message.
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::Errno;
//! use vfio_user_protocol::messages::set_irqs::{Action, Data, Request};
//!
//! let mut payload = Vec::new();
//! let data = Data::Bool(&[0, 1, 1]);
//! let request = Request { action: Action::Trigger, data, index: 2, start: 4, count: 3 };
//! request.encode(&mut payload);
//! assert_eq!(Request::parse(&payload)?, request);
//! assert_eq!(request.selected().collect::<Vec<_>>(), [5, 6]);
//! assert_eq!(request.check_descriptors(1).unwrap_err().errno(), Errno::EINVAL);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use std::ops::Range;

use crate::command::{Command, Subject};
use crate::error::{MessageError, check_argsz, check_field, check_length};
use crate::wire::{Put, Structure, len_u32};

pub use crate::vfio::IrqSetFlags;

const SUBJECT: Subject = Command::DeviceSetIrqs.request();
const SIZE: usize = 20;

/// The action, or the action that an eventfd is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Mask vectors.
    Mask,
    /// Unmask vectors; with an eventfd: a signal on it unmasks.
    Unmask,
    /// Fire vectors; with an eventfd: it is signalled when the vector fires.
    Trigger,
}

impl Action {
    const fn flag(self) -> IrqSetFlags {
        match self {
            Self::Mask => IrqSetFlags::ACTION_MASK,
            Self::Unmask => IrqSetFlags::ACTION_UNMASK,
            Self::Trigger => IrqSetFlags::ACTION_TRIGGER,
        }
    }

    const fn from_flags(flags: IrqSetFlags) -> Option<Self> {
        match flags.intersection(IrqSetFlags::ACTION) {
            IrqSetFlags::ACTION_MASK => Some(Self::Mask),
            IrqSetFlags::ACTION_UNMASK => Some(Self::Unmask),
            IrqSetFlags::ACTION_TRIGGER => Some(Self::Trigger),
            _ => None,
        }
    }
}

/// For which vectors of the range the action is, or that it is about eventfds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// All of them.
    None,
    /// The vectors whose byte is not 0; exactly one byte per vector.
    Bool(&'a [u8]),
    /// Bind the eventfds that came, or unbind when none came.
    Eventfd,
}

impl Data<'_> {
    const fn flag(&self) -> IrqSetFlags {
        match self {
            Self::None => IrqSetFlags::DATA_NONE,
            Self::Bool(_) => IrqSetFlags::DATA_BOOL,
            Self::Eventfd => IrqSetFlags::DATA_EVENTFD,
        }
    }
}

/// DEVICE_SET_IRQS request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The action.
    pub action: Action,
    /// To which of the vectors.
    pub data: Data<'a>,
    /// Interrupt type.
    pub index: u32,
    /// First vector.
    pub start: u32,
    /// Vectors. 0 only in the request that [disables](Self::is_disable) the type.
    pub count: u32,
}

impl<'a> Request<'a> {
    /// Reads and checks the form: one action, one kind of data, as many bytes as vectors, a range
    /// that does not wrap around, and no vectors at all only as TRIGGER with NONE from 0.
    pub fn parse(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (fields, rest) = Structure::<SIZE>::split(SUBJECT, payload)?;
        check_argsz(SUBJECT, fields.u32::<0>(), SIZE)?;
        let (start, count) = (fields.u32::<12>(), fields.u32::<16>());
        let (action, data) = parse_flags(fields.u32::<4>(), count, rest)?;
        let request = Self {
            action,
            data,
            index: fields.u32::<8>(),
            start,
            count,
        };
        request.check_vectors()?;
        Ok(request)
    }

    fn check_vectors(&self) -> Result<(), MessageError> {
        if self.start.checked_add(self.count).is_none() {
            let (start, length) = (self.start.into(), self.count.into());
            return Err(MessageError::Wraps {
                subject: SUBJECT,
                field: "start",
                start,
                length,
            });
        }
        if self.count > 0 {
            return Ok(());
        }
        check_field(
            SUBJECT,
            "start",
            self.start,
            self.start == 0,
            "0 when count is 0",
        )?;
        let flags = self.flags().bits();
        check_field(
            SUBJECT,
            "flags",
            flags,
            self.is_disable(),
            "TRIGGER with NONE (0x21) when count is 0",
        )
    }

    /// Appends the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let bools = match self.data {
            Data::Bool(bools) => bools,
            Data::None | Data::Eventfd => &[],
        };
        let argsz = len_u32(SIZE.saturating_add(bools.len()));
        for field in [
            argsz,
            self.flags().bits(),
            self.index,
            self.start,
            self.count,
        ] {
            out.put_u32(field);
        }
        out.put(bools);
    }

    /// The flag word.
    pub const fn flags(&self) -> IrqSetFlags {
        self.action.flag().union(self.data.flag())
    }

    /// Returns whether the request disables the whole interrupt type and drops all its eventfds.
    pub const fn is_disable(&self) -> bool {
        matches!(
            (self.action, self.data, self.count),
            (Action::Trigger, Data::None, 0)
        )
    }

    /// The range of vectors.
    pub const fn vectors(&self) -> Range<u32> {
        self.start..self.start.saturating_add(self.count)
    }

    /// Returns whether an interrupt type with `available` vectors has all vectors of the request.
    ///
    /// The first vector has to exist even when the range is empty: a type without vectors cannot be
    /// disabled.
    pub const fn is_within(&self, available: u32) -> bool {
        let vectors = self.vectors();
        vectors.start < available && vectors.end <= available
    }

    /// The vectors that an action without eventfds is for.
    pub fn selected(&self) -> impl Iterator<Item = u32> + use<'a> {
        let data = self.data;
        self.vectors().enumerate().filter_map(move |(nth, vector)| {
            let chosen = match data {
                Data::None => true,
                Data::Bool(bools) => bools.get(nth).is_some_and(|&byte| byte != 0),
                Data::Eventfd => false,
            };
            chosen.then_some(vector)
        })
    }

    /// Refuses descriptors without EVENTFD, and a number of them that is neither 0 nor that of the
    /// vectors.
    pub fn check_descriptors(&self, actual: usize) -> Result<(), MessageError> {
        let expected = match self.data {
            _ if actual == 0 => return Ok(()),
            Data::Eventfd if actual as u64 == u64::from(self.count) => return Ok(()),
            Data::Eventfd => "none or as many as count says",
            Data::None | Data::Bool(_) => "none without EVENTFD",
        };
        Err(MessageError::Descriptors {
            subject: SUBJECT,
            actual,
            expected,
        })
    }
}

fn parse_flags(bits: u32, count: u32, rest: &[u8]) -> Result<(Action, Data<'_>), MessageError> {
    let field = |expected| MessageError::Field {
        subject: SUBJECT,
        field: "flags",
        value: bits.into(),
        expected,
    };
    let flags = IrqSetFlags::from_bits(bits).ok_or_else(|| field("a set of bits 0 to 5"))?;
    let action = Action::from_flags(flags)
        .ok_or_else(|| field("exactly one of MASK, UNMASK and TRIGGER"))?;
    let data = match flags.intersection(IrqSetFlags::DATA) {
        IrqSetFlags::DATA_NONE => Data::None,
        IrqSetFlags::DATA_BOOL => Data::Bool(rest),
        IrqSetFlags::DATA_EVENTFD => Data::Eventfd,
        _ => return Err(field("exactly one of NONE, BOOL and EVENTFD")),
    };
    if let Data::Bool(bools) = data {
        check_length(SUBJECT, "data", bools, count.into())?;
    }
    Ok((action, data))
}
