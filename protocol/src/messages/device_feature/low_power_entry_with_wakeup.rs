//! Feature LOW_POWER_ENTRY_WITH_WAKEUP (4), SET: allow the device to sleep, with notice when it is
//! woken.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | wakeup_eventfd, signed |
//! | 4 | 4 | reserved, never looked at |
//!
//! On a socket the eventfd travels beside the message, and the field says only whether there is
//! one: negative is none, any other value names the one that came.
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::Errno;
//! use vfio_user_protocol::messages::device_feature::low_power_entry_with_wakeup::*;
//!
//! let mut data = Vec::new();
//! let without_eventfd = LowPowerEntryWithWakeup { wakeup_eventfd: -1, reserved: 0 };
//! without_eventfd.encode(&mut data);
//! assert_eq!(LowPowerEntryWithWakeup::parse(&data)?, without_eventfd);
//! let error = LowPowerEntryWithWakeup::parse(&data[..4]).unwrap_err();
//! assert_eq!(error.errno(), Errno::EINVAL);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::Subject;
use crate::error::MessageError;
use crate::wire::{Put, Structure};

const SUBJECT: Subject = super::REQUEST.part("LOW_POWER_ENTRY_WITH_WAKEUP");

/// Data of LOW_POWER_ENTRY_WITH_WAKEUP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowPowerEntryWithWakeup {
    /// Negative: no eventfd.
    pub wakeup_eventfd: i32,
    /// Kept so that the reply can repeat it.
    pub reserved: u32,
}

impl LowPowerEntryWithWakeup {
    /// Bytes on the wire.
    pub const SIZE: usize = 8;

    /// Reads the data.
    pub fn parse(data: &[u8]) -> Result<Self, MessageError> {
        let fields = Structure::<{ Self::SIZE }>::read(SUBJECT, data)?;
        Ok(Self {
            wakeup_eventfd: fields.u32::<0>().cast_signed(),
            reserved: fields.u32::<4>(),
        })
    }

    /// Appends the data.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.wakeup_eventfd.cast_unsigned());
        out.put_u32(self.reserved);
    }
}
