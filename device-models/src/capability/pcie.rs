//! PCI Express capability, id 10h, of a function with a type 0 header (PCIe Base §7.5.3).
//!
//! Version 1 ends after Link Status, or after Device Status if there is no link.
//!
//! | offset | register | offset | register |
//! |---|---|---|---|
//! | +02 | PCI Express Capabilities | +24 | Device Capabilities 2 |
//! | +04 | Device Capabilities | +28 | Device Control 2 |
//! | +08 | Device Control | +2A | Device Status 2 |
//! | +0A | Device Status | +2C | Link Capabilities 2 |
//! | +0C | Link Capabilities | +30 | Link Control 2 |
//! | +10 | Link Control | +32 | Link Status 2 |
//! | +12 | Link Status | +14, +34 | Slot and Root registers: zero |

mod config;
mod registers;

use serde_json::{Value, json};

use super::{Capability, CapabilityId, ErrorSeverity};
use crate::config::ConfigEffect;
use crate::pci::ConventionalId;
use crate::pci::express::{
    DEVICE_CAPABILITIES, DEVICE_CONTROL, DEVICE_CONTROL_2, DEVICE_STATUS, LINK_CONTROL, LINK_STATUS,
};
use crate::register::{Block, Dword, DwordWrite, Register};
use crate::snapshot::RestoreError;

pub use config::{PcieConfig, PcieConfigError, PcieType};
pub use registers::{
    DeviceCapabilities, DeviceCapabilities2, DeviceControl, DeviceControl2, DeviceStatus,
    LinkCapabilities, LinkControl, LinkControl2, LinkStatus,
};

const DEVICE_CONTROL_DWORD: usize = DEVICE_CONTROL / 4;

/// The PCI Express capability of a function.
#[derive(Debug)]
pub struct PciExpress {
    registers: Block,
    /// Link Status of a link without failures.
    link: LinkStatus,
}

impl PciExpress {
    /// Creates the capability. `aux_power` is auxiliary power that the slot has and the function needs: it
    /// is shown in Device Status and keeps `Aux Power PM Enable` over fundamental resets.
    ///
    /// # Errors
    /// [`PcieConfigError`] with the wrong key.
    pub fn new(config: &PcieConfig, aux_power: bool) -> Result<Self, PcieConfigError> {
        if !(1..=6).contains(&config.link_speed) {
            return Err(PcieConfigError::LinkSpeed(config.link_speed));
        }
        if ![1, 2, 4, 8, 12, 16, 32].contains(&config.link_width) {
            return Err(PcieConfigError::LinkWidth(config.link_width));
        }
        if !config.max_payload.is_power_of_two() || !(128..=4096).contains(&config.max_payload) {
            return Err(PcieConfigError::MaxPayload(config.max_payload));
        }
        config.check_version()?;
        config.check_contradictions()?;
        let mut registers = Block::new(vec![Dword::new(); config.dwords()]);
        let mut place = |offset: usize, dword: Dword| {
            if let Some(slot) = registers.dword_mut(offset / 4) {
                *slot = dword;
            }
        };
        let capabilities = u16::from(config.version)
            | config.r#type.bits() << 4
            | u16::from(config.interrupt_message) << 9;
        place(0x00, Dword::new().with(2, Register::new(capabilities)));
        place(DEVICE_CAPABILITIES, device_capabilities(config));
        place(DEVICE_CONTROL, device_control(config, aux_power));
        if config.has_link_registers() {
            place(0x0c, Dword::read_only(link_capabilities(config).into()));
            place(LINK_CONTROL, link_control(config));
            place(0x2c, Dword::read_only(link_capabilities_2(config)));
            place(0x30, link_control_2(config));
        }
        if config.r#type == PcieType::RootComplexEventCollector {
            // Root Control: the errors that become system errors, and the PME interrupt.
            place(0x1c, Dword::new().with(0, Register::new(0_u16).rw(0xf)));
        }
        place(0x24, Dword::read_only(device_capabilities_2(config).into()));
        place(DEVICE_CONTROL_2, device_control_2(config));
        let link = registers.get(LINK_STATUS);
        let mut pcie = Self { registers, link };
        if let Some(captured) = config.device_capabilities {
            // The limit in a dump is what the slot's message said, not a reset value.
            pcie.registers.set(DEVICE_CAPABILITIES, captured);
        }
        Ok(pcie)
    }

    fn device_capabilities(&self) -> DeviceCapabilities {
        self.registers.get(DEVICE_CAPABILITIES)
    }

    /// Returns Device Control.
    pub(crate) fn device_control(&self) -> DeviceControl {
        self.registers.get(DEVICE_CONTROL)
    }

    fn device_status(&self) -> DeviceStatus {
        self.registers.get(DEVICE_STATUS)
    }

    fn set_device_status(&mut self, status: DeviceStatus) {
        self.registers.set(DEVICE_STATUS, status);
    }

    /// Returns whether the function has FLR.
    #[must_use]
    pub fn has_flr(&self) -> bool {
        self.device_capabilities().function_level_reset()
    }

    /// Returns whether the function has the registers of a link.
    #[must_use]
    pub fn has_link(&self) -> bool {
        self.link.negotiated_link_width() != 0
    }

    /// Returns Current Link Speed and Negotiated Link Width, both zero without a link.
    #[must_use]
    pub fn link(&self) -> (u8, u8) {
        let link: LinkStatus = self.registers.get(LINK_STATUS);
        (link.current_link_speed(), link.negotiated_link_width())
    }

    /// Returns Current Link Speed of a link without failures.
    pub(crate) const fn full_link_speed(&self) -> u8 {
        self.link.current_link_speed()
    }

    /// Shows a link that has at most this speed and width.
    pub(crate) fn limit_link(&mut self, speed: Option<u8>, width: Option<u8>) {
        if !self.has_link() {
            return;
        }
        let least = |full: u8, limit: Option<u8>| full.min(limit.unwrap_or(full));
        let link = self.link;
        let link = link
            .with_current_link_speed(least(link.current_link_speed(), speed))
            .with_negotiated_link_width(least(link.negotiated_link_width(), width));
        self.registers.set(LINK_STATUS, link);
    }

    /// Sets Transactions Pending, which follows the function's DMA.
    pub fn set_transactions_pending(&mut self, pending: bool) {
        let status = self.device_status().with_transactions_pending(pending);
        self.set_device_status(status);
    }

    /// Returns whether the function knows advisory errors (PCIe Base §7.5.3.3).
    pub(crate) fn has_role_based_error_reporting(&self) -> bool {
        self.device_capabilities().role_based_error_reporting()
    }

    /// Logs an error in Device Status, where no mask matters (PCIe Base §7.5.3.5).
    pub(crate) fn record_error(&mut self, severity: ErrorSeverity, unsupported_request: bool) {
        let status = self.device_status();
        let status =
            status.with_unsupported_request(status.unsupported_request() || unsupported_request);
        self.set_device_status(match severity {
            ErrorSeverity::Correctable => status.with_correctable_error(true),
            ErrorSeverity::NonFatal => status.with_non_fatal_error(true),
            ErrorSeverity::Fatal => status.with_fatal_error(true),
        });
    }

    /// Handles the slot's power limit message (PCIe Base §2.2.8.5). The limit is the value times 1,
    /// 0.1, 0.01 or 0.001 W for scale 0 to 3.
    pub fn set_slot_power_limit(&mut self, value: u8, scale: u8) {
        let capabilities = self
            .device_capabilities()
            .with_captured_slot_power_limit_value(value)
            .with_captured_slot_power_limit_scale(scale & 3);
        self.registers.set(DEVICE_CAPABILITIES, capabilities);
    }
}

fn device_capabilities(config: &PcieConfig) -> Dword {
    let limit = DeviceCapabilities::new()
        .with_captured_slot_power_limit_value(u8::MAX)
        .with_captured_slot_power_limit_scale(3);
    let capabilities = config.device_capabilities.map_or_else(
        || {
            DeviceCapabilities::new()
                .with_max_payload_size_supported(payload_bits(config.max_payload))
                .with_extended_tag(config.extended_tag)
                .with_role_based_error_reporting(true)
                .with_function_level_reset(config.flr.unwrap_or(true))
        },
        DeviceCapabilities::from,
    );
    let register = Register::new(
        capabilities
            .with_captured_slot_power_limit_value(0)
            .with_captured_slot_power_limit_scale(0),
    )
    .kept_by_flr(limit);
    Dword::new().with(0, register)
}

/// Returns the encoding of a payload size: 0 for 128 bytes, one more for each doubling.
fn payload_bits(bytes: u16) -> u8 {
    (bytes / 128).trailing_zeros() as u8
}

fn device_control(config: &PcieConfig, aux_power: bool) -> Dword {
    let reset = config.device_control.map_or_else(
        || {
            DeviceControl::new()
                .with_relaxed_ordering(true)
                .with_no_snoop(true)
                .with_max_read_request_size(2)
                .with_extended_tag(config.extended_tag)
        },
        DeviceControl::from,
    );
    let announced = config.device_capabilities.map(DeviceCapabilities::from);
    let extended_tag = config.extended_tag
        || reset.extended_tag()
        || announced.is_some_and(|capabilities| capabilities.extended_tag());
    let aux_power_pm = DeviceControl::new().with_aux_power_pm(true);
    let control = Register::new(reset)
        .rw(DeviceControl::new()
            .with_correctable_error_reporting(true)
            .with_non_fatal_error_reporting(true)
            .with_fatal_error_reporting(true)
            .with_unsupported_request_reporting(true)
            .with_relaxed_ordering(true)
            .with_max_payload_size(7)
            .with_extended_tag(extended_tag)
            .with_aux_power_pm(aux_power)
            .with_no_snoop(true)
            .with_max_read_request_size(7))
        .kept_by_flr(DeviceControl::new().with_max_payload_size(7));
    let control = if aux_power {
        control.aux_backed(aux_power_pm)
    } else {
        control
    };
    let errors = DeviceStatus::new()
        .with_correctable_error(true)
        .with_non_fatal_error(true)
        .with_fatal_error(true)
        .with_unsupported_request(true);
    let status = Register::new(DeviceStatus::new().with_aux_power_detected(aux_power)).rw1c(errors);
    Dword::new().with(0, control).with(2, status)
}

fn link_capabilities(config: &PcieConfig) -> LinkCapabilities {
    config.link_capabilities.map_or_else(
        || {
            LinkCapabilities::new()
                .with_max_link_speed(config.link_speed)
                .with_max_link_width(config.link_width)
                .with_aspm_optionality(true)
        },
        LinkCapabilities::from,
    )
}

fn link_control(config: &PcieConfig) -> Dword {
    let capabilities = link_capabilities(config);
    let writable = LinkControl::new()
        .with_aspm(3)
        .with_read_completion_boundary(true)
        .with_common_clock(true)
        .with_extended_synch(true)
        .with_clock_power_management(capabilities.clock_power_management())
        .with_hardware_autonomous_width_disable(true);
    let control = Register::new(LinkControl::from(config.link_control.unwrap_or(0)))
        .rw(writable)
        .kept_by_flr(writable);
    let status = config.link_status.map_or_else(
        || {
            LinkStatus::new()
                .with_current_link_speed(capabilities.max_link_speed())
                .with_negotiated_link_width(capabilities.max_link_width())
                .with_slot_clock(true)
        },
        LinkStatus::from,
    );
    Dword::new().with(0, control).with(2, Register::new(status))
}

fn device_capabilities_2(config: &PcieConfig) -> DeviceCapabilities2 {
    config.device_capabilities_2.map_or_else(
        || {
            DeviceCapabilities2::new()
                .with_completion_timeout_disable(true)
                .with_ltr(config.ltr)
        },
        DeviceCapabilities2::from,
    )
}

fn device_control_2(config: &PcieConfig) -> Dword {
    let capabilities = device_capabilities_2(config);
    let has_ranges = capabilities.completion_timeout_ranges() != 0;
    let has_obff = capabilities.obff() != 0;
    let control = Register::new(DeviceControl2::from(config.device_control_2.unwrap_or(0))).rw(
        DeviceControl2::new()
            .with_completion_timeout(if has_ranges { 0xf } else { 0 })
            .with_completion_timeout_disable(capabilities.completion_timeout_disable())
            .with_atomic_requester_enable(capabilities.atomic_completer() != 0)
            .with_ltr_enable(capabilities.ltr())
            .with_tag_10_requester_enable(capabilities.tag_10_requester())
            .with_obff(if has_obff { 3 } else { 0 }),
    );
    Dword::new().with(0, control)
}

/// Returns the Supported Link Speeds Vector in bits 7:1: every speed up to the fastest.
fn link_capabilities_2(config: &PcieConfig) -> u32 {
    let fastest = link_capabilities(config).max_link_speed();
    config
        .link_capabilities_2
        .unwrap_or(((1 << fastest) - 1) << 1)
}

fn link_control_2(config: &PcieConfig) -> Dword {
    let fastest = link_capabilities(config).max_link_speed();
    let speed = LinkControl2::new()
        .with_target_link_speed(0xf)
        .with_enter_compliance(true)
        .with_compliance(0x1ff);
    let autonomous = LinkControl2::new().with_hardware_autonomous_speed_disable(true);
    let reset = config.link_control_2.map_or_else(
        || LinkControl2::new().with_target_link_speed(fastest),
        LinkControl2::from,
    );
    let control = Register::new(reset)
        .rw(speed)
        .rw(autonomous)
        .sticky(speed)
        .kept_by_flr(autonomous);
    let status = config.link_status_2.unwrap_or(0);
    Dword::new().with(0, control).with(2, Register::new(status))
}

impl Capability for PciExpress {
    fn id(&self) -> CapabilityId {
        CapabilityId::Conventional(ConventionalId::PciExpress)
    }

    fn name(&self) -> &'static str {
        "pci-express"
    }

    fn registers(&self) -> &Block {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Block {
        &mut self.registers
    }

    /// Handles a write. `Initiate Function Level Reset` always reads zero. Without the capability
    /// it is reserved.
    fn write(&mut self, index: usize, write: DwordWrite, effects: &mut Vec<ConfigEffect>) {
        self.registers.write(index, write);
        let initiate = DeviceControl::from(write.value() as u16).initiate_flr();
        if index == DEVICE_CONTROL_DWORD && initiate && self.has_flr() {
            effects.push(ConfigEffect::FunctionLevelReset);
        }
    }

    /// Saves the registers without Transactions Pending, since transfers in progress are saved
    /// elsewhere.
    fn save(&self) -> Value {
        let Self { registers, link: _ } = self;
        let mut registers = registers.clone();
        let status = self.device_status().with_transactions_pending(false);
        registers.set(DEVICE_STATUS, status);
        registers.save()
    }

    fn restore(
        &mut self,
        at: &str,
        saved: &Value,
        _: &mut Vec<ConfigEffect>,
    ) -> Result<(), RestoreError> {
        self.registers.restore(at, saved)
    }

    fn inspect(&self) -> Value {
        let (capabilities, control, status) = (
            self.device_capabilities(),
            self.device_control(),
            self.device_status(),
        );
        let link: LinkStatus = self.registers.get(LINK_STATUS);
        let control_2: DeviceControl2 = self.registers.get(DEVICE_CONTROL_2);
        json!({
            "function_level_reset": capabilities.function_level_reset(),
            "slot_power_limit": {
                "value": capabilities.captured_slot_power_limit_value(),
                "scale": capabilities.captured_slot_power_limit_scale(),
            },
            "max_payload_size": 128_u32 << control.max_payload_size(),
            "max_read_request_size": 128_u32 << control.max_read_request_size(),
            "aux_power_pm": control.aux_power_pm(),
            "aux_power_detected": status.aux_power_detected(),
            "transactions_pending": status.transactions_pending(),
            "unsupported_request": status.unsupported_request(),
            "link_speed": link.current_link_speed(),
            "link_width": link.negotiated_link_width(),
            "aspm": self.registers.get::<LinkControl>(LINK_CONTROL).aspm(),
            "ltr_enable": control_2.ltr_enable(),
        })
    }
}

#[cfg(test)]
mod tests;
