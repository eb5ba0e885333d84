//! Feature MIG_DATA_SIZE (9), GET: how much migration data there is if the device stops now.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 8 | stop_copy_length, bytes |
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::Errno;
//! use vfio_user_protocol::messages::device_feature::mig_data_size::MigDataSize;
//!
//! let mut data = Vec::new();
//! let size = MigDataSize { stop_copy_length: 0x1000 };
//! size.encode(&mut data);
//! assert_eq!(MigDataSize::parse(&data)?, size);
//! assert_eq!(MigDataSize::parse(&data[..4]).unwrap_err().errno(), Errno::EINVAL);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::Subject;
use crate::error::MessageError;
use crate::wire::{Put, Structure};

const SUBJECT: Subject = super::REPLY.part("MIG_DATA_SIZE");

/// Data of MIG_DATA_SIZE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigDataSize {
    /// An estimate, in bytes.
    pub stop_copy_length: u64,
}

impl MigDataSize {
    /// Reads the reply's data.
    ///
    /// # Errors
    /// [`MessageError::Short`].
    pub fn parse(data: &[u8]) -> Result<Self, MessageError> {
        let fields = Structure::<8>::read(SUBJECT, data)?;
        Ok(Self {
            stop_copy_length: fields.u64::<0>(),
        })
    }

    /// Appends the reply's data.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.stop_copy_length);
    }
}
