//! Errors that functions report, as the host handles them (`drivers/pci/pcie/aer.c`,
//! `drivers/pci/pcie/err.c`, `vfio_pci_core_aer_err_detected`).
//!
//! | message | the host |
//! |---|---|
//! | `ERR_COR` | clears Correctable Error Status and Device Status |
//! | `ERR_NONFATAL` | signals ERR to the users of all functions of the slot, and clears the status |
//! | `ERR_FATAL` | signals ERR likewise and resets the link, without restoring config space |
//! | containment (`drivers/pci/pcie/dpc.c`) | signals ERR likewise and waits for the functions |
//!
//! The driver votes `PCI_ERS_RESULT_CAN_RECOVER` and has no other callback, so nobody restores a function
//! after the reset of its link. Not modelled: the Root Error registers of the port, a function without a
//! driver (which makes recovery fail), and firmware that handles errors first.

use super::DeviceMut;
use super::event::{Event, HostEvent};
use super::port::link;
use super::view::find;
use super::{Device, Output};
use crate::capability::{DeviceControl, ErrorSeverity};
use crate::pci::{ConventionalId, ExtendedId, error_reporting, express};
use crate::register::RegisterBits;
use crate::slot::FunctionNumber;
use crate::time::Time;

impl Device {
    /// Takes note of a message that the function has sent.
    pub(super) const fn note_error(&mut self, severity: ErrorSeverity) {
        if self.options.aer {
            self.errors.add(severity);
        }
    }
}

impl DeviceMut<'_> {
    /// Makes a function with Advanced Error Reporting report its errors (`pci_aer_init`).
    pub(super) fn enable_error_reporting(&mut self, now: Time) {
        let function = self.slot.function();
        let config = function.config();
        if !self.state.options.aer || config.aer().is_none() || function.is_virtual() {
            return;
        }
        let control = config.pcie().map(|pcie| pcie.device_control());
        if let (Some(at), Some(control)) = (self.express_at(express::DEVICE_CONTROL), control) {
            let control = control
                .with_correctable_error_reporting(true)
                .with_non_fatal_error_reporting(true)
                .with_fatal_error_reporting(true)
                .with_unsupported_request_reporting(true);
            self.write_word(now, at, DeviceControl::to_bits(control) as u16);
        }
    }

    /// Handles the messages that have come since the last call.
    pub(super) fn handle_errors(&mut self, now: Time) {
        let errors = std::mem::take(&mut self.state.errors);
        if errors.correctable {
            self.clear_errors(now, error_reporting::CORRECTABLE_STATUS, u32::MAX);
        }
        let contained = std::mem::take(&mut self.state.contained);
        for (occurred, severity, contained) in [
            (errors.non_fatal, ErrorSeverity::NonFatal, false),
            (errors.fatal, ErrorSeverity::Fatal, false),
            (contained, ErrorSeverity::Fatal, true),
        ] {
            if occurred {
                self.recover_from(now, severity, contained);
            }
        }
    }

    /// Makes all functions of the slot follow this one, an error of which the port contains, or does not any
    /// more. The port tells the host.
    pub(super) fn spread_containment(&mut self, now: Time, contained: bool) {
        self.state.contained |= contained && self.state.options.aer;
        let own = self.slot.number();
        let name = format!("containment of function {own}");
        let others: Vec<_> = self
            .slot
            .numbers()
            .filter(|number| *number != own)
            .collect();
        for number in others {
            if let Some(mut other) = self.slot.of_function(number) {
                other
                    .function_mut()
                    .follow_containment(now, &name, contained);
            }
            self.with_peer(number, |mut peer| peer.settle(now));
        }
    }

    /// Performs `pcie_do_recovery`, which wakes all functions for the time that it takes.
    fn recover_from(&mut self, now: Time, severity: ErrorSeverity, contained: bool) {
        let mut held = Vec::new();
        self.for_each_member(|device| {
            held.push(device.state.rpm.get());
            device.resume(now).ok();
        });
        self.report_to_all();
        let recovered = match severity {
            _ if contained => self.comes_back(now),
            ErrorSeverity::Fatal => self.reset_bus_below(now),
            _ => true,
        };
        self.for_each_member(|device| device.settle(now));
        if recovered {
            let severe = self.read_aer(now, error_reporting::UNCORRECTABLE_SEVERITY);
            self.clear_errors(now, error_reporting::UNCORRECTABLE_STATUS, !severe);
        }
        let event = HostEvent::ErrorRecovery {
            severity,
            recovered,
        };
        let event = Output::Event(Event::Host(event));
        self.state.outputs.push_back(event);
        drop(held);
        // Nobody waits for the recovery.
        self.state.core.take_waited();
        self.let_peers_go(now);
    }

    /// Returns whether the functions are back in the time for which the host waits after it has released
    /// the port (`dpc_reset_link`).
    fn comes_back(&mut self, now: Time) -> bool {
        let first = self.slot.of_function(FunctionNumber::ZERO);
        let answers = first.and_then(|first| first.function().silent_for(now));
        link::wait(&self.set.port.options(), answers, answers).ready
    }

    /// Reports an error to the users of all functions of the slot, virtual ones included.
    fn report_to_all(&mut self) {
        let own = self.slot.number();
        for number in FunctionNumber::ALL {
            if number == own {
                self.report_error();
            } else {
                self.with_peer(number, |mut peer| peer.report_error());
            }
        }
    }

    /// Clears the bits of `mask` in a status register of Advanced Error Reporting
    /// (`pci_aer_clear_nonfatal_status`), and all of Device Status (`pcie_clear_device_status`).
    fn clear_errors(&mut self, now: Time, status: usize, mask: u32) {
        let errors = self.read_aer(now, status) & mask;
        if errors != 0
            && let Some(start) = self.aer_at()
        {
            let errors = errors.to_le_bytes();
            self.slot
                .function_mut()
                .config_write(now, start + status as u64, &errors);
        }
        if let Some(at) = self.express_at(express::DEVICE_STATUS) {
            let mut word = [0; 2];
            self.slot.function_mut().config_read(now, at, &mut word);
            self.write_word(now, at, u16::from_le_bytes(word));
        }
        self.settle(now);
    }

    fn aer_at(&self) -> Option<u64> {
        let config = self.slot.function().config();
        let start = config.extended_at(ExtendedId::AdvancedErrorReporting);
        start.map(u64::from)
    }

    fn read_aer(&mut self, now: Time, register: usize) -> u32 {
        let Some(start) = self.aer_at() else {
            return 0;
        };
        let mut dword = [0; 4];
        let offset = start + register as u64;
        self.slot
            .function_mut()
            .config_read(now, offset, &mut dword);
        u32::from_le_bytes(dword)
    }

    /// Returns the place of a register of the PCI Express capability.
    fn express_at(&self, register: usize) -> Option<u64> {
        let start = find(self.slot.function(), ConventionalId::PciExpress)?;
        Some(u64::from(start) + register as u64)
    }

    fn write_word(&mut self, now: Time, at: u64, word: u16) {
        self.slot
            .function_mut()
            .config_write(now, at, &word.to_le_bytes());
    }
}
