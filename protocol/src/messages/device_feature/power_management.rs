//! Feature POWER_MANAGEMENT (3), GET and SET: the dialect that was posted for Linux before
//! LOW_POWER_ENTRY took the number.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | flags |
//! | 4 | 4 | reserved, never looked at |

use bitflags::bitflags;

use crate::command::Subject;
use crate::error::{MessageError, check_field};
use crate::wire::{Put, Structure};

/// The feature's number.
pub const NUMBER: u16 = 3;

const SUBJECT: Subject = super::REQUEST.part("POWER_MANAGEMENT");

bitflags! {
    /// What to do, or with GET, what could be done last: ENTER while the device may sleep, EXIT
    /// while it may not. Unknown bits are kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct PowerManagementFlags: u32 {
        /// Allow the device to sleep.
        const ENTER = 1 << 0;
        /// The device must not sleep any more.
        const EXIT = 1 << 1;
        /// Once woken, stay awake until EXIT.
        const REENTRY_DISABLE = 1 << 2;
        const _ = !0;
    }
}

/// Data of POWER_MANAGEMENT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerManagement {
    /// What to do, or what is the case.
    pub flags: PowerManagementFlags,
    /// Kept so that the reply can repeat it.
    pub reserved: u32,
}

impl PowerManagement {
    /// Reads the data.
    pub fn parse(data: &[u8]) -> Result<Self, MessageError> {
        let fields = Structure::<8>::read(SUBJECT, data)?;
        let flags = PowerManagementFlags::from_bits_retain(fields.u32::<0>());
        Ok(Self {
            flags,
            reserved: fields.u32::<4>(),
        })
    }

    /// Refuses what SET does not take: only ENTER, EXIT, or ENTER with REENTRY_DISABLE. GET also
    /// returns EXIT with REENTRY_DISABLE.
    pub fn check_set(&self) -> Result<(), MessageError> {
        const ENTER: PowerManagementFlags = PowerManagementFlags::ENTER;
        let valid = self.flags == ENTER
            || self.flags == PowerManagementFlags::EXIT
            || self.flags == ENTER.union(PowerManagementFlags::REENTRY_DISABLE);
        check_field(
            SUBJECT,
            "flags",
            self.flags.bits(),
            valid,
            "1 (ENTER), 2 (EXIT) or 5 (ENTER, REENTRY_DISABLE)",
        )
    }

    /// Appends the data.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.flags.bits());
        out.put_u32(self.reserved);
    }
}
