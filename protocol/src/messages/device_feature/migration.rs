//! Feature MIGRATION (1), GET: a 64-bit set of the kinds of migration that the device knows.
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::Errno;
//! use vfio_user_protocol::messages::device_feature::migration::MigrationFlags;
//!
//! let mut data = Vec::new();
//! let kinds = MigrationFlags::STOP_COPY | MigrationFlags::PRE_COPY;
//! kinds.encode(&mut data);
//! assert_eq!(MigrationFlags::parse(&data)?, kinds);
//! assert_eq!(MigrationFlags::parse(&data[..4]).unwrap_err().errno(), Errno::EINVAL);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::Subject;
use crate::error::MessageError;
use crate::wire::{Put, Structure};

pub use crate::vfio::MigrationFlags;

const SUBJECT: Subject = super::REPLY.part("MIGRATION");

impl MigrationFlags {
    /// Reads the reply's data.
    pub fn parse(data: &[u8]) -> Result<Self, MessageError> {
        Structure::<8>::read(SUBJECT, data).map(|fields| Self::from_bits_retain(fields.u64::<0>()))
    }

    /// Appends the reply's data.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.bits());
    }
}
