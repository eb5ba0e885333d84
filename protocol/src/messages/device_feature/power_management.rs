//! Feature POWER_MANAGEMENT (3), GET and SET: the dialect that was posted for Linux before
//! LOW_POWER_ENTRY took the number.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | flags |
//! | 4 | 4 | reserved, never looked at |
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::Errno;
//! use vfio_user_protocol::messages::device_feature::power_management::*;
//!
//! let mut data = Vec::new();
//! let enter = PowerManagement { flags: PowerManagementFlags::ENTER, reserved: 0 };
//! enter.encode(&mut data);
//! assert_eq!(PowerManagement::parse(&data)?, enter);
//! assert_eq!(enter.check_set(), Ok(()));
//! let neither = PowerManagement { flags: PowerManagementFlags::empty(), reserved: 0 };
//! assert_eq!(neither.check_set().unwrap_err().errno(), Errno::EINVAL);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::Subject;
use crate::error::{MessageError, check_field};
use crate::wire::{Put, Structure};

pub use crate::vfio::PowerManagementFlags;

const SUBJECT: Subject = super::REQUEST.part("POWER_MANAGEMENT");

/// Data of POWER_MANAGEMENT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerManagement {
    /// The operation, or in a reply the state.
    pub flags: PowerManagementFlags,
    /// Kept so that the reply can repeat it.
    pub reserved: u32,
}

impl PowerManagement {
    /// Bytes on the wire.
    pub const SIZE: usize = 8;

    /// Reads the data.
    pub fn parse(data: &[u8]) -> Result<Self, MessageError> {
        let fields = Structure::<{ Self::SIZE }>::read(SUBJECT, data)?;
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
