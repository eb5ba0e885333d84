//! Feature MIG_DEVICE_STATE (2), GET and SET: where in migration the device is.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | state |
//! | 4 | 4 | data_fd, without meaning on a socket |
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::Errno;
//! use vfio_user_protocol::messages::device_feature::mig_device_state::*;
//!
//! let mut data = Vec::new();
//! let stopped = MigDeviceState { state: DeviceState::Stop, data_fd: 0 };
//! stopped.encode(&mut data);
//! assert_eq!(MigDeviceState::parse(&data)?, stopped);
//! // There is no state 0xffff_ffff.
//! assert_eq!(MigDeviceState::parse(&[0xff; 8]).unwrap_err().errno(), Errno::EINVAL);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::Subject;
use crate::error::MessageError;
use crate::wire::{Put, Structure};

pub use crate::vfio::DeviceState;

/// SET's request and reply and GET's reply have the same data.
const SUBJECT: Subject = super::REQUEST.part("MIG_DEVICE_STATE");

/// Data of MIG_DEVICE_STATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigDeviceState {
    /// The state the device is in, or is to enter.
    pub state: DeviceState,
    /// Kept so that the reply can repeat it.
    pub data_fd: u32,
}

impl MigDeviceState {
    /// Reads the data.
    pub fn parse(data: &[u8]) -> Result<Self, MessageError> {
        let fields = Structure::<8>::read(SUBJECT, data)?;
        let number = fields.u32::<0>();
        match DeviceState::from_number(number) {
            Some(state) => Ok(Self {
                state,
                data_fd: fields.u32::<4>(),
            }),
            None => Err(MessageError::Field {
                subject: SUBJECT,
                field: "device_state",
                value: number.into(),
                expected: "0 to 7",
            }),
        }
    }

    /// Appends the data.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.state.number());
        out.put_u32(self.data_fd);
    }
}
