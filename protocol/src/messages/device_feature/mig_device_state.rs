//! Feature MIG_DEVICE_STATE (2), GET and SET: where in migration the device is.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | state |
//! | 4 | 4 | data_fd, without meaning on a socket |

use crate::command::Subject;
use crate::error::MessageError;
use crate::wire::{Put, Structure};

/// SET's request and reply and GET's reply have the same data.
const SUBJECT: Subject = super::REQUEST.part("MIG_DEVICE_STATE");

/// The states of migration, version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum DeviceState {
    /// A transition failed; only a reset leads out. Cannot be asked for.
    Error = 0,
    /// Stopped, nothing is copied.
    Stop = 1,
    /// Running.
    Running = 2,
    /// Stopped, the state is being read out.
    StopCopy = 3,
    /// Stopped, a state is being written in.
    Resuming = 4,
    /// Running without access to other devices.
    RunningP2p = 5,
    /// Running, the state is being read out.
    PreCopy = 6,
    /// Both of these.
    PreCopyP2p = 7,
}

impl DeviceState {
    /// All states in numerical order.
    pub const ALL: [Self; 8] = [
        Self::Error,
        Self::Stop,
        Self::Running,
        Self::StopCopy,
        Self::Resuming,
        Self::RunningP2p,
        Self::PreCopy,
        Self::PreCopyP2p,
    ];

    /// The number on the wire.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The state with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        usize::try_from(number)
            .ok()
            .and_then(|number| Self::ALL.get(number).copied())
    }
}

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
