//! PCI Express capability, id 10h, version 2, of an endpoint (PCIe Base §7.5.3).
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

mod registers;

use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::{Capability, CapabilityId};
use crate::config::ConfigEffect;
use crate::pci::ConventionalId;
use crate::pci::express::{
    DEVICE_CAPABILITIES, DEVICE_CONTROL, DEVICE_CONTROL_2, DEVICE_STATUS, LINK_CONTROL, LINK_STATUS,
};
use crate::register::{Block, Dword, DwordWrite, Register};
use crate::snapshot::RestoreError;

pub use registers::{
    DeviceCapabilities, DeviceCapabilities2, DeviceControl, DeviceControl2, DeviceStatus,
    LinkCapabilities, LinkControl, LinkControl2, LinkStatus,
};

const DEVICE_CONTROL_DWORD: usize = DEVICE_CONTROL / 4;

/// Device/Port Type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PcieType {
    /// PCI Express Endpoint.
    #[default]
    Endpoint,
    /// Legacy PCI Express Endpoint.
    LegacyEndpoint,
    /// Root Complex Integrated Endpoint, which has no link.
    RootComplexIntegratedEndpoint,
}

impl PcieType {
    const fn bits(self) -> u16 {
        match self {
            Self::Endpoint => 0,
            Self::LegacyEndpoint => 1,
            Self::RootComplexIntegratedEndpoint => 9,
        }
    }
}

/// The `[capabilities.pcie]` table of a profile. A register given as a number replaces the value
/// that the other keys would give it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PcieConfig {
    /// Offset in config space.
    pub offset: Option<u16>,
    /// Device/Port Type.
    pub r#type: PcieType,
    /// Function Level Reset.
    pub flr: bool,
    /// Link speed: 1 is 2.5 GT/s, 2 is 5, 3 is 8, 4 is 16, 5 is 32, 6 is 64.
    pub link_speed: u8,
    /// Lanes: 1, 2, 4, 8, 12, 16 or 32.
    pub link_width: u8,
    /// Largest payload in bytes, 128 to 4096.
    pub max_payload: u16,
    /// 8-bit tags.
    pub extended_tag: bool,
    /// Latency Tolerance Reporting mechanism.
    pub ltr: bool,
    /// Device Capabilities.
    pub device_capabilities: Option<u32>,
    /// Device Control.
    pub device_control: Option<u16>,
    /// Link Capabilities.
    pub link_capabilities: Option<u32>,
    /// Link Control.
    pub link_control: Option<u16>,
    /// Link Status.
    pub link_status: Option<u16>,
    /// Device Capabilities 2.
    pub device_capabilities_2: Option<u32>,
    /// Device Control 2.
    pub device_control_2: Option<u16>,
    /// Link Capabilities 2.
    pub link_capabilities_2: Option<u32>,
    /// Link Control 2.
    pub link_control_2: Option<u16>,
    /// Link Status 2.
    pub link_status_2: Option<u16>,
}

impl Default for PcieConfig {
    fn default() -> Self {
        Self {
            offset: None,
            r#type: PcieType::Endpoint,
            flr: true,
            link_speed: 1,
            link_width: 1,
            max_payload: 128,
            extended_tag: false,
            ltr: false,
            device_capabilities: None,
            device_control: None,
            link_capabilities: None,
            link_control: None,
            link_status: None,
            device_capabilities_2: None,
            device_control_2: None,
            link_capabilities_2: None,
            link_control_2: None,
            link_status_2: None,
        }
    }
}

/// The mistake in a [`PcieConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PcieConfigError {
    /// The link speed has no number.
    #[error("link speed {0}: speeds are 1 (2.5 GT/s) to 6 (64 GT/s)")]
    LinkSpeed(u8),
    /// The number of lanes does not exist.
    #[error("{0} lanes: a link has 1, 2, 4, 8, 12, 16 or 32")]
    LinkWidth(u8),
    /// The payload size is not a permitted power of two.
    #[error("a payload of {0} bytes: sizes are 128, 256, 512, 1024, 2048 and 4096")]
    MaxPayload(u16),
}

impl PcieConfigError {
    /// Returns the key at fault.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::LinkSpeed(_) => "link-speed",
            Self::LinkWidth(_) => "link-width",
            Self::MaxPayload(_) => "max-payload",
        }
    }
}

/// The PCI Express capability of a function.
#[derive(Debug)]
pub struct PciExpress {
    registers: Block,
}

impl PciExpress {
    /// Creates the capability. `aux_power` is shown in Device Status and keeps `Aux Power PM
    /// Enable` over fundamental resets.
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
        let mut registers = Block::new(vec![Dword::new(); 15]);
        let mut place = |offset: usize, dword: Dword| {
            if let Some(slot) = registers.dword_mut(offset / 4) {
                *slot = dword;
            }
        };
        let version = 2;
        place(
            0x00,
            Dword::new().with(2, Register::new(version | config.r#type.bits() << 4)),
        );
        place(DEVICE_CAPABILITIES, device_capabilities(config));
        place(DEVICE_CONTROL, device_control(config, aux_power));
        if config.r#type != PcieType::RootComplexIntegratedEndpoint {
            place(0x0c, Dword::read_only(link_capabilities(config).into()));
            place(LINK_CONTROL, link_control(config));
            place(0x2c, Dword::read_only(link_capabilities_2(config)));
            place(0x30, link_control_2(config));
        }
        place(0x24, Dword::read_only(device_capabilities_2(config).into()));
        place(DEVICE_CONTROL_2, device_control_2(config));
        let mut pcie = Self { registers };
        if let Some(captured) = config.device_capabilities {
            // The limit in a dump is what the slot's message said, not a reset value.
            pcie.registers.set(DEVICE_CAPABILITIES, captured);
        }
        Ok(pcie)
    }

    fn device_capabilities(&self) -> DeviceCapabilities {
        self.registers.get(DEVICE_CAPABILITIES)
    }

    fn device_control(&self) -> DeviceControl {
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

    /// Sets Transactions Pending, which follows the function's DMA.
    pub fn set_transactions_pending(&mut self, pending: bool) {
        let status = self.device_status().with_transactions_pending(pending);
        self.set_device_status(status);
    }

    /// Logs an Unsupported Request that the function received (PCIe Base §7.5.3.5). It sets the bit
    /// of the request and that of its severity, or Correctable if the request is advisory.
    pub fn record_unsupported_request(&mut self, fatal: bool, advisory: bool) {
        let status = self.device_status().with_unsupported_request(true);
        self.set_device_status(if fatal {
            status.with_fatal_error(true)
        } else if advisory {
            status.with_correctable_error(true)
        } else {
            status.with_non_fatal_error(true)
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
                .with_function_level_reset(config.flr)
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
    let aux_power_pm = DeviceControl::new().with_aux_power_pm(true);
    let control = Register::new(reset)
        .rw(DeviceControl::new()
            .with_error_reporting(0xf)
            .with_relaxed_ordering(true)
            .with_max_payload_size(7)
            .with_extended_tag(config.extended_tag || reset.extended_tag())
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

impl PcieConfig {
    /// Returns the fields of Link Capabilities that all functions on a link have in common: speed, width
    /// and port (PCIe Base §7.5.3.6).
    pub(crate) fn link(&self) -> LinkCapabilities {
        LinkCapabilities::from(u32::from(link_capabilities(self)) & 0xff00_03ff)
    }

    /// Returns whether the function has a function level reset.
    pub(crate) fn has_flr(&self) -> bool {
        let capabilities = self.device_capabilities.map(DeviceCapabilities::from);
        capabilities.map_or(self.flr, |capabilities| capabilities.function_level_reset())
    }
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
            .with_ltr_enable(capabilities.ltr())
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
        let Self { registers } = self;
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
