//! Errors that the function detects: log, status and message (PCIe Base §6.2.5).

use super::Target;
use super::core::Core;
use crate::capability::{
    COMPLETER_ABORT, DetectedError, ErrorKind, ErrorMessages, ErrorSeverity, POISONED_TLP,
    Recorded, UNSUPPORTED_REQUEST,
};
use crate::config::BarKind;
use crate::effect::{Effect, FunctionEvent};
use crate::pci::header::BASE_ADDRESS_0;
use crate::power::PowerState;

/// An access to a BAR or the ROM.
#[derive(Clone, Copy, Debug)]
pub(super) enum Access<'a> {
    /// A read of so many bytes.
    Read(usize),
    Write(&'a [u8]),
}

impl Core {
    /// Logs an error that the function has detected, and sends the message that reports it, if it is
    /// reported (PCIe Base figure 6-2).
    pub(super) fn detect(&mut self, error: &DetectedError) {
        let role_based = self
            .config
            .pcie()
            .is_some_and(|pcie| pcie.has_role_based_error_reporting());
        let recorded = match self.config.aer_mut() {
            Some(aer) => aer.record(error, role_based),
            None => Recorded::baseline(error, role_based),
        };
        let unsupported = *error.kind == UNSUPPORTED_REQUEST;
        let reported = if recorded.advisory {
            ErrorSeverity::Correctable
        } else {
            recorded.severity
        };
        if let Some(pcie) = self.config.pcie_mut() {
            pcie.record_error(reported, unsupported);
        }
        self.record_in_status(error.kind);
        if !recorded.masked && self.reports(reported, unsupported) {
            if self.state == PowerState::D0 || error.kind.by_tlp {
                self.send_error(reported);
            } else {
                // An error that no received TLP caused is reported in D0 only (PCIe Base §5.3.1.2).
                self.waiting_messages.add(reported);
            }
        }
        if recorded.overflow {
            self.detect_overflow();
        }
    }

    /// Reports that a header found no room, if the function can.
    fn detect_overflow(&mut self) {
        let kind = ErrorKind::of_name("header-log-overflow");
        let aer = self.config.aer();
        if let Some(kind) = kind.filter(|kind| aer.is_some_and(|aer| aer.implements(kind))) {
            self.detect(&DetectedError::new(kind));
        }
    }

    /// Sets the bits of Status that conventional software knows (PCIe Base §7.5.1.1.4).
    fn record_in_status(&mut self, kind: &ErrorKind) {
        let header = self.config.header_mut();
        let status = header.status();
        if *kind == POISONED_TLP {
            header.set_status(status.with_detected_parity_error(true));
        } else if *kind == COMPLETER_ABORT {
            header.set_status(status.with_signaled_target_abort(true));
        }
    }

    /// Returns whether errors of a severity are reported (PCIe Base §6.2.6).
    fn reports(&self, severity: ErrorSeverity, unsupported: bool) -> bool {
        let Some(control) = self.config.pcie().map(|pcie| pcie.device_control()) else {
            return false;
        };
        let serr =
            severity != ErrorSeverity::Correctable && self.config.header().command().serr_enable();
        let enabled = match severity {
            ErrorSeverity::Correctable => control.correctable_error_reporting(),
            ErrorSeverity::NonFatal => control.non_fatal_error_reporting(),
            ErrorSeverity::Fatal => control.fatal_error_reporting(),
        };
        serr || enabled && (!unsupported || control.unsupported_request_reporting())
    }

    /// Sends the message that reports an error to the root.
    fn send_error(&mut self, severity: ErrorSeverity) {
        let header = self.config.header_mut();
        if severity != ErrorSeverity::Correctable && header.command().serr_enable() {
            header.set_status(header.status().with_signaled_system_error(true));
        }
        self.emit(Effect::Event(FunctionEvent::ErrorMessage { severity }));
    }

    /// Sends the messages that have waited for D0.
    pub(super) fn send_waiting_errors(&mut self) {
        let ErrorMessages {
            correctable,
            non_fatal,
            fatal,
        } = std::mem::take(&mut self.waiting_messages);
        for (waits, severity) in [
            (correctable, ErrorSeverity::Correctable),
            (non_fatal, ErrorSeverity::NonFatal),
            (fatal, ErrorSeverity::Fatal),
        ] {
            if waits {
                self.send_error(severity);
            }
        }
    }

    /// Logs an access that nothing decodes as an Unsupported Request. If the request is non-posted, the
    /// error can be an advisory one.
    pub(super) fn refuse_request(&mut self, target: Target, offset: u64, access: Access<'_>) {
        let io = match target {
            Target::Bar(bar) => {
                let bar = self.config.header().bar(bar.into());
                bar.is_some_and(|bar| bar.kind == BarKind::Io)
            }
            Target::Rom => false,
        };
        let posted = matches!(access, Access::Write(_)) && !io;
        self.detect(&DetectedError {
            advisory: !posted,
            header: self.request_header(target, io, offset, access),
            ..DetectedError::new(&UNSUPPORTED_REQUEST)
        });
    }

    /// Returns the TLP header of a request (PCIe Base §2.2.7). Requester and tag are zero: they are the
    /// root complex's.
    fn request_header(
        &self,
        target: Target,
        io: bool,
        offset: u64,
        access: Access<'_>,
    ) -> [u32; 4] {
        let (write, len) = match access {
            Access::Read(len) => (0, len),
            Access::Write(data) => (0x4000_0000, data.len()),
        };
        let address = self.base_address(target).wrapping_add(offset);
        let (first, beyond) = (address & 3, (address & 3) + len as u64);
        let dwords = beyond.div_ceil(4).clamp(1, 1024);
        let last_byte = (beyond + 3) % 4;
        let first_lanes = 0xf_u32 << first & 0xf;
        let last_lanes = 0xf_u32 >> (3 - last_byte);
        let lanes = if dwords == 1 {
            first_lanes & last_lanes
        } else {
            last_lanes << 4 | first_lanes
        };
        let wide = address > u64::from(u32::MAX);
        let format = write | if io { 0x0200_0000 } else { 0 } | if wide { 0x2000_0000 } else { 0 };
        let length = (dwords & 0x3ff) as u32;
        let (high, low) = ((address >> 32) as u32, address as u32 & !3);
        let [third, fourth] = if wide { [high, low] } else { [low, 0] };
        [format | length, lanes, third, fourth]
    }

    /// Returns the address at which a BAR or the ROM lies.
    fn base_address(&self, target: Target) -> u64 {
        let (offset, flags, wide) = match target {
            Target::Rom => (crate::pci::header::ROM_ADDRESS as u64, 0x7ff, false),
            Target::Bar(bar) => {
                let kind = self.config.header().bar(bar.into()).map(|bar| bar.kind);
                let flags = if kind == Some(BarKind::Io) { 3 } else { 0xf };
                let offset = BASE_ADDRESS_0 as u64 + 4 * u64::from(bar);
                (offset, flags, kind == Some(BarKind::Memory64))
            }
        };
        let low = u64::from(self.config.read_dword(offset)) & !flags;
        if wide {
            low | u64::from(self.config.read_dword(offset + 4)) << 32
        } else {
            low
        }
    }
}
