//! Feature BUS_MASTER (10), SET: switch bus mastering without a write to config space.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | op, 0 clear, 1 set |
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::Errno;
//! use vfio_user_protocol::messages::device_feature::bus_master::{BusMaster, BusMasterOperation};
//!
//! let mut data = Vec::new();
//! let set = BusMaster { operation: BusMasterOperation::Set };
//! set.encode(&mut data);
//! assert_eq!(BusMaster::parse(&data)?, set);
//! assert_eq!(BusMaster::parse(&[0xff; 4]).unwrap_err().errno(), Errno::EINVAL);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::Subject;
use crate::error::MessageError;
use crate::wire::{Put, Structure};

pub use crate::vfio::BusMasterOperation;

const SUBJECT: Subject = super::REQUEST.part("BUS_MASTER");

/// Data of BUS_MASTER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusMaster {
    /// The operation.
    pub operation: BusMasterOperation,
}

impl BusMaster {
    /// Bytes on the wire.
    pub const SIZE: usize = 4;

    /// Reads the data.
    ///
    /// # Errors
    /// It is too short, or the operation is unknown.
    pub fn parse(data: &[u8]) -> Result<Self, MessageError> {
        let number = Structure::<{ Self::SIZE }>::read(SUBJECT, data)?.u32::<0>();
        let operation = BusMasterOperation::from_number(number);
        let operation = operation.ok_or(MessageError::Field {
            subject: SUBJECT,
            field: "op",
            value: number.into(),
            expected: "0 (clear) or 1 (set)",
        })?;
        Ok(Self { operation })
    }

    /// Appends the data.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.operation.number());
    }
}
