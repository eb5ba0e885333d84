//! Advanced Error Reporting, extended id 0001h (PCIe Base §7.8.4).
//!
//! All state is sticky: only a fundamental reset clears it. With Multiple Header Recording, errors after
//! the first one wait until software has cleared the status of those before them.
//!
//! | offset | register | attributes |
//! |---|---|---|
//! | +4 | Uncorrectable Error Status | RW1CS |
//! | +8 | Uncorrectable Error Mask | RWS |
//! | +C | Uncorrectable Error Severity | RWS |
//! | +10 | Correctable Error Status | RW1CS |
//! | +14 | Correctable Error Mask | RWS |
//! | +18 | Advanced Error Capabilities and Control | First Error Pointer ROS |
//! | +1C | Header Log, four DWORDs | ROS |
//! | +38 | TLP Prefix Log, four DWORDs | ROS |

mod error;
mod log;

use bitfield_struct::bitfield;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use super::{Capability, CapabilityId};
use crate::config::ConfigEffect;
use crate::pci::ExtendedId;
use crate::pci::error_reporting::{
    CONTROL, CORRECTABLE_MASK, CORRECTABLE_STATUS, UNCORRECTABLE_MASK, UNCORRECTABLE_SEVERITY,
    UNCORRECTABLE_STATUS,
};
use crate::register::{Block, Dword, DwordWrite, Register, ResetKind, register_bits};
use crate::snapshot::{self, RestoreError};
use log::{QUEUE, Queue};

pub use error::ErrorSeverity;
pub(crate) use error::{
    Advisory, COMPLETER_ABORT, DetectedError, ErrorKind, ErrorMessages, LogsHeader, POISONED_TLP,
    UNSUPPORTED_REQUEST,
};
pub(crate) use log::Recorded;

/// Advanced Error Capabilities and Control, +18.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct AerControl {
    #[bits(5)]
    pub first_error_pointer: u8,
    pub ecrc_generation_capable: bool,
    pub ecrc_generation_enable: bool,
    pub ecrc_check_capable: bool,
    pub ecrc_check_enable: bool,
    pub multiple_header_recording_capable: bool,
    pub multiple_header_recording_enable: bool,
    pub tlp_prefix_log_present: bool,
    pub completion_timeout_log_capable: bool,
    /// DWORDs of the Header Log, 0 if the function says nothing about it.
    #[bits(5)]
    pub header_log_size: u8,
    #[bits(14)]
    __: u32,
}

register_bits!(AerControl: u32);

/// Advisory Non-Fatal Error, in the correctable registers.
const ADVISORY_NON_FATAL: u32 = 1 << 13;

/// The `[capabilities.aer]` table of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct AerConfig {
    /// Offset in config space.
    pub offset: Option<u16>,
    /// Capability version, 1 or 2.
    pub version: u8,
    /// Errors the function can report: the bits that exist in the uncorrectable registers.
    pub uncorrectable: u32,
    /// Reset value of Uncorrectable Error Mask.
    pub uncorrectable_mask: u32,
    /// Reset value of Uncorrectable Error Severity.
    pub uncorrectable_severity: u32,
    /// The bits that exist in the correctable registers.
    pub correctable: u32,
    /// Reset value of Correctable Error Mask.
    pub correctable_mask: u32,
    /// ECRC generation and checking.
    pub ecrc: bool,
    /// The TLP Prefix Log exists, and the structure has 48h bytes. If absent, it does in version 2; without
    /// it the structure has 2Ch bytes.
    pub tlp_prefix_log: Option<bool>,
    /// Multiple Header Recording Capable is set and its Enable can be written. The function then records
    /// eight errors.
    pub multiple_header_recording: bool,
    /// Completion Timeout Prefix/Header Log Capable is set.
    pub completion_timeout_log: bool,
    /// DWORDs of the Header Log as the register says it, 0 to 31.
    pub header_log_size: u8,
}

impl Default for AerConfig {
    fn default() -> Self {
        Self {
            offset: None,
            version: 2,
            // Data link protocol, poisoned TLP, flow control, completion time-out, completer
            // abort, unexpected completion, overflow, malformed TLP, ECRC, unsupported request,
            // uncorrectable internal error.
            uncorrectable: 0x007f_f010,
            uncorrectable_mask: 0x0040_0000,
            uncorrectable_severity: 0x0046_2030,
            // Receiver error, bad TLP, bad DLLP, replay roll-over, replay time-out, advisory
            // non-fatal, corrected internal error, header log overflow.
            correctable: 0x0000_f1c1,
            correctable_mask: 0x0000_e000,
            ecrc: false,
            tlp_prefix_log: None,
            multiple_header_recording: false,
            completion_timeout_log: false,
            header_log_size: 0,
        }
    }
}

/// The mistake in an [`AerConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AerConfigError {
    /// The version is neither 1 nor 2.
    #[error("version {0}: AER has versions 1 and 2")]
    Version(u8),
    /// The size does not fit five bits.
    #[error("a header log of {0} DWORDs does not fit five bits; at most 31")]
    HeaderLogSize(u8),
}

impl AerConfigError {
    /// Returns the key at fault.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Version(_) => "version",
            Self::HeaderLogSize(_) => "header-log-size",
        }
    }
}

/// The AER capability of a function.
#[derive(Debug)]
pub struct AdvancedErrorReporting {
    registers: Block,
    version: u8,
    /// The errors that the function can report.
    uncorrectable: u32,
    correctable: u32,
    /// The errors after the first one, with Multiple Header Recording.
    recorded: Queue,
}

/// The saved form. Errors after the first one are rare.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum SavedAer {
    Registers(Vec<u32>),
    Recorded(SavedRecords),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedRecords {
    registers: Vec<u32>,
    recorded: Queue,
}

impl AdvancedErrorReporting {
    /// Creates the capability without a logged error.
    ///
    /// # Errors
    /// [`AerConfigError`] with the wrong key.
    pub fn new(config: &AerConfig) -> Result<Self, AerConfigError> {
        let AerConfig {
            offset: _,
            version,
            uncorrectable,
            uncorrectable_mask,
            uncorrectable_severity,
            correctable,
            correctable_mask,
            ecrc,
            tlp_prefix_log,
            multiple_header_recording,
            completion_timeout_log,
            header_log_size,
        } = *config;
        if header_log_size > 31 {
            return Err(AerConfigError::HeaderLogSize(header_log_size));
        }
        if !(1..=2).contains(&version) {
            return Err(AerConfigError::Version(version));
        }
        let status = |bits: u32| {
            let register = Register::new(0_u32).rw1c(bits).sticky(u32::MAX);
            Dword::new().with(0, register)
        };
        let storage = |reset: u32, bits: u32| {
            let register = Register::new(reset).rw(bits | reset).sticky(u32::MAX);
            Dword::new().with(0, register)
        };
        let control = Register::new(
            AerControl::new()
                .with_ecrc_generation_capable(ecrc)
                .with_ecrc_check_capable(ecrc)
                .with_multiple_header_recording_capable(multiple_header_recording)
                .with_completion_timeout_log_capable(completion_timeout_log)
                .with_header_log_size(header_log_size),
        )
        .rw(AerControl::new()
            .with_ecrc_generation_enable(ecrc)
            .with_ecrc_check_enable(ecrc)
            .with_multiple_header_recording_enable(multiple_header_recording))
        .sticky(AerControl::from(u32::MAX));
        let log = || Dword::new().with(0, Register::new(0_u32).sticky(u32::MAX));
        let mut dwords = vec![
            Dword::new(),
            status(uncorrectable),
            storage(uncorrectable_mask, uncorrectable),
            storage(uncorrectable_severity, uncorrectable),
            status(correctable),
            storage(correctable_mask, correctable),
            Dword::new().with(0, control),
        ];
        dwords.extend((0..4).map(|_| log()));
        if tlp_prefix_log.unwrap_or(version == 2) {
            // 2Ch to 37h belong to root ports.
            dwords.extend((0..3).map(|_| Dword::new()));
            dwords.extend((0..4).map(|_| log()));
        }
        Ok(Self {
            registers: Block::new(dwords),
            version,
            uncorrectable,
            correctable,
            recorded: Queue::new(),
        })
    }
}

impl Capability for AdvancedErrorReporting {
    fn id(&self) -> CapabilityId {
        CapabilityId::Extended {
            id: ExtendedId::AdvancedErrorReporting,
            version: self.version,
        }
    }

    fn name(&self) -> &'static str {
        "advanced-error-reporting"
    }

    fn registers(&self) -> &Block {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Block {
        &mut self.registers
    }

    fn write(&mut self, index: usize, write: DwordWrite, _: &mut Vec<ConfigEffect>) {
        let first = self.first_error();
        self.registers.write(index, write);
        self.written(first);
    }

    fn reset(&mut self, kind: ResetKind) {
        self.registers.reset(kind);
        if matches!(kind, ResetKind::Fundamental | ResetKind::PowerOn) {
            self.recorded.clear();
        }
    }

    fn save(&self) -> Value {
        let Self {
            registers,
            version: _,
            uncorrectable: _,
            correctable: _,
            recorded,
        } = self;
        let registers = registers.values();
        snapshot::tree(&if recorded.is_empty() {
            SavedAer::Registers(registers)
        } else {
            SavedAer::Recorded(SavedRecords {
                registers,
                recorded: recorded.clone(),
            })
        })
    }

    fn restore(
        &mut self,
        at: &str,
        saved: &Value,
        _: &mut Vec<ConfigEffect>,
    ) -> Result<(), RestoreError> {
        let (registers, recorded) = match snapshot::read(at, saved)? {
            SavedAer::Registers(registers) => (registers, Queue::new()),
            SavedAer::Recorded(saved) => (saved.registers, saved.recorded),
        };
        if recorded.len() > QUEUE {
            let reason = format!("{} errors wait; at most {QUEUE} can", recorded.len());
            return Err(RestoreError::part(at, reason));
        }
        self.registers.set_values(at, &registers)?;
        self.recorded = recorded;
        Ok(())
    }

    fn inspect(&self) -> Value {
        let register = |offset| self.registers.get::<u32>(offset);
        let control: AerControl = self.registers.get(CONTROL);
        json!({
            "uncorrectable_status": register(UNCORRECTABLE_STATUS),
            "uncorrectable_mask": register(UNCORRECTABLE_MASK),
            "uncorrectable_severity": register(UNCORRECTABLE_SEVERITY),
            "correctable_status": register(CORRECTABLE_STATUS),
            "correctable_mask": register(CORRECTABLE_MASK),
            "first_error_pointer": control.first_error_pointer(),
            "recorded": self.recorded.len(),
        })
    }
}

#[cfg(test)]
mod tests;
