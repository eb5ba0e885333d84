//! The log of Advanced Error Reporting: status, First Error Pointer and headers (PCIe Base §6.2.4).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::error::{Advisory, DetectedError, ErrorClass, ErrorSeverity, LogsHeader};
use super::{ADVISORY_NON_FATAL, AdvancedErrorReporting, AerControl};
use crate::pci::error_reporting::{
    CONTROL, CORRECTABLE_MASK, CORRECTABLE_STATUS, HEADER_LOG, PREFIX_LOG, UNCORRECTABLE_MASK,
    UNCORRECTABLE_SEVERITY, UNCORRECTABLE_STATUS,
};

/// Errors that the function records with Multiple Header Recording, the first one aside.
pub(super) const QUEUE: usize = 7;

/// A recorded error that waits until software has cleared those before it.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Logged {
    bit: u8,
    header: [u32; 4],
    prefixes: Option<[u32; 4]>,
}

/// The errors after the first one.
pub(super) type Queue = VecDeque<Logged>;

/// The part of an error that the rest of the function needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) severity: ErrorSeverity,
    /// The error is an uncorrectable one that is reported as a correctable one.
    pub(crate) advisory: bool,
    /// No message reports the error.
    pub(crate) masked: bool,
    /// The header found no room.
    pub(crate) overflow: bool,
}

impl Recorded {
    /// Returns the record of a function without Advanced Error Reporting.
    pub(crate) fn baseline(error: &DetectedError, role_based: bool) -> Self {
        let severity = match error.kind.class {
            ErrorClass::Correctable => ErrorSeverity::Correctable,
            ErrorClass::Uncorrectable(severity) => severity,
        };
        Self {
            severity,
            advisory: is_advisory(error, severity, role_based),
            masked: false,
            overflow: false,
        }
    }
}

/// Returns whether an error is an advisory one, as far as the function knows of such errors
/// (Role-Based Error Reporting).
fn is_advisory(error: &DetectedError, severity: ErrorSeverity, role_based: bool) -> bool {
    let may = match error.kind.advisory {
        Advisory::Never => false,
        Advisory::Sometimes => error.advisory,
        Advisory::Always => true,
    };
    may && role_based && severity == ErrorSeverity::NonFatal
}

impl AdvancedErrorReporting {
    fn register(&self, offset: usize) -> u32 {
        self.registers.get(offset)
    }

    fn set_bits(&mut self, offset: usize, bits: u32) {
        let value = self.register(offset);
        self.registers.set(offset, value | bits);
    }

    fn control(&self) -> AerControl {
        self.registers.get(CONTROL)
    }

    /// Returns whether the function can report an error.
    pub(crate) fn implements(&self, kind: &super::ErrorKind) -> bool {
        let implemented = match kind.class {
            ErrorClass::Correctable => self.correctable,
            ErrorClass::Uncorrectable(_) => self.uncorrectable,
        };
        implemented & kind.mask() != 0
    }

    /// Returns whether the header of an error is recorded.
    pub(crate) fn logs_header(&self, kind: &super::ErrorKind) -> bool {
        match kind.header {
            LogsHeader::No => false,
            LogsHeader::IfCapable => self.control().completion_timeout_log_capable(),
            LogsHeader::Yes => true,
        }
    }

    /// Returns whether there is a TLP Prefix Log.
    pub(crate) fn has_prefix_log(&self) -> bool {
        self.registers.len() > PREFIX_LOG / 4
    }

    /// Returns the errors that are of fatal severity, in the uncorrectable registers.
    fn is_fatal(&self, kind: &super::ErrorKind) -> bool {
        self.register(UNCORRECTABLE_SEVERITY) & kind.mask() != 0
    }

    /// Records an error. A masked one sets its status and nothing else.
    pub(crate) fn record(&mut self, error: &DetectedError, role_based: bool) -> Recorded {
        let bit = error.kind.mask();
        let severity = match error.kind.class {
            ErrorClass::Correctable => ErrorSeverity::Correctable,
            ErrorClass::Uncorrectable(_) if self.is_fatal(error.kind) => ErrorSeverity::Fatal,
            ErrorClass::Uncorrectable(_) => ErrorSeverity::NonFatal,
        };
        let advisory = is_advisory(error, severity, role_based);
        let mut recorded = Recorded {
            severity,
            advisory,
            masked: false,
            overflow: false,
        };
        if !self.implements(error.kind) {
            return recorded;
        }
        if severity == ErrorSeverity::Correctable {
            self.set_bits(CORRECTABLE_STATUS, bit);
            recorded.masked = self.register(CORRECTABLE_MASK) & bit != 0;
            return recorded;
        }
        if advisory {
            self.set_bits(CORRECTABLE_STATUS, ADVISORY_NON_FATAL);
            if self.register(CORRECTABLE_MASK) & ADVISORY_NON_FATAL != 0 {
                recorded.masked = true;
                return recorded;
            }
        }
        if self.register(UNCORRECTABLE_MASK) & bit == 0 {
            recorded.overflow = !self.log(error);
        } else {
            // Whether an advisory error is reported is up to the mask of advisory errors alone.
            recorded.masked = !advisory;
        }
        self.set_bits(UNCORRECTABLE_STATUS, bit);
        recorded
    }

    /// Takes an error into the log. Returns whether there was room for its header.
    fn log(&mut self, error: &DetectedError) -> bool {
        let headed = self.logs_header(error.kind);
        let logged = Logged {
            bit: error.kind.bit,
            header: if headed { error.header } else { [0; 4] },
            prefixes: error.prefixes.filter(|_| headed && self.has_prefix_log()),
        };
        if self.first_error().is_none() {
            self.show(Some(logged));
            return true;
        }
        let has_room =
            self.control().multiple_header_recording_enable() && self.recorded.len() < QUEUE;
        if has_room {
            self.recorded.push_back(logged);
        }
        has_room || !headed
    }

    /// Returns the bit of the first error, if First Error Pointer is valid: the status bit to which it
    /// points is set.
    pub(super) fn first_error(&self) -> Option<u32> {
        let bit = 1 << self.control().first_error_pointer();
        // Bit 0 is no error.
        (bit != 1 && self.register(UNCORRECTABLE_STATUS) & bit != 0).then_some(bit)
    }

    /// Follows a write by software, before which `first` was the first error: if that is cleared, the
    /// next recorded one takes its place.
    pub(super) fn written(&mut self, first: Option<u32>) {
        if !self.control().multiple_header_recording_enable() {
            self.recorded.clear();
        }
        if first.is_none() || self.first_error().is_some() {
            return;
        }
        let next = self.recorded.pop_front();
        self.show(next);
        // The status of an error is set as long as the error is recorded.
        let waiting = self.recorded.iter().chain(&next);
        let bits = waiting.fold(0, |bits, logged| bits | 1 << logged.bit);
        self.set_bits(UNCORRECTABLE_STATUS, bits);
    }

    /// Makes an error visible as the first one.
    fn show(&mut self, logged: Option<Logged>) {
        let Logged {
            bit,
            header,
            prefixes,
        } = logged.unwrap_or(Logged {
            bit: 0,
            header: [0; 4],
            prefixes: None,
        });
        let control = self.control();
        self.registers.set(
            CONTROL,
            control
                .with_first_error_pointer(bit)
                .with_tlp_prefix_log_present(prefixes.is_some()),
        );
        for (offset, dword) in (HEADER_LOG..).step_by(4).zip(header) {
            self.registers.set(offset, dword);
        }
        if self.has_prefix_log() {
            for (offset, dword) in (PREFIX_LOG..).step_by(4).zip(prefixes.unwrap_or_default()) {
                self.registers.set(offset, dword);
            }
        }
    }
}
