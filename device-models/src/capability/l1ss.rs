//! L1 PM Substates extended capability, id 001Eh (PCIe Base §7.8.3).
//!
//! | offset | register | attributes |
//! |---|---|---|
//! | +4 | L1 PM Substates Capabilities | read-only |
//! | +8 | L1 PM Substates Control 1 | enables and `LTR_L1.2_THRESHOLD` RW, kept by FLR |
//! | +C | L1 PM Substates Control 2 | `T_POWER_ON` RW, kept by FLR |
//!
//! The model has no link whose power the substates could save, so the registers are storage. Fields
//! of a substate that the function does not have are read-only zero.

use bitfield_struct::bitfield;
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::{Capability, CapabilityId};
use crate::pci::ExtendedId;
use crate::pci::l1_pm_substates::{CAPABILITIES, CONTROL_1, CONTROL_2};
use crate::register::{Block, Dword, Register, register_bits};

/// L1 PM Substates Capabilities, +4.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct L1ssCapabilities {
    pub pci_pm_l1_2: bool,
    pub pci_pm_l1_1: bool,
    pub aspm_l1_2: bool,
    pub aspm_l1_1: bool,
    pub l1_pm_substates: bool,
    #[bits(3)]
    __: u8,
    /// `Port Common_Mode_Restore_Time` in µs.
    pub common_mode_restore_us: u8,
    /// Unit of `power_on_value`: 2, 10 or 100 µs.
    #[bits(2)]
    pub power_on_scale: u8,
    __: bool,
    #[bits(5)]
    pub power_on_value: u8,
    __: u8,
}

/// L1 PM Substates Control 1, +8.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct L1ssControl1 {
    pub pci_pm_l1_2_enable: bool,
    pub pci_pm_l1_1_enable: bool,
    pub aspm_l1_2_enable: bool,
    pub aspm_l1_1_enable: bool,
    #[bits(12)]
    __: u16,
    #[bits(10)]
    pub ltr_l1_2_threshold_value: u16,
    #[bits(3)]
    __: u8,
    #[bits(3)]
    pub ltr_l1_2_threshold_scale: u8,
}

/// L1 PM Substates Control 2, +C.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct L1ssControl2 {
    /// Unit of `power_on_value`: 2, 10 or 100 µs.
    #[bits(2)]
    pub power_on_scale: u8,
    __: bool,
    #[bits(5)]
    pub power_on_value: u8,
    #[bits(24)]
    __: u32,
}

register_bits!(L1ssCapabilities: u32, L1ssControl1: u32, L1ssControl2: u32);

/// Units of `T_POWER_ON` in µs, by their encoding.
const POWER_ON_SCALE_US: [u16; 3] = [2, 10, 100];

/// The substates a function has: the table `[capabilities.l1ss]` of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct L1ssConfig {
    /// Byte offset in config space.
    pub offset: Option<u16>,
    /// PCI-PM L1.1.
    #[serde(rename = "pci-pm-l1.1")]
    pub pci_pm_l1_1: bool,
    /// PCI-PM L1.2.
    #[serde(rename = "pci-pm-l1.2")]
    pub pci_pm_l1_2: bool,
    /// ASPM L1.1.
    #[serde(rename = "aspm-l1.1")]
    pub aspm_l1_1: bool,
    /// ASPM L1.2.
    #[serde(rename = "aspm-l1.2")]
    pub aspm_l1_2: bool,
    /// Time to restore the link's common mode, in µs.
    pub common_mode_restore_us: u8,
    /// Unit of the time from L1.2 to power, in µs: 2, 10 or 100.
    pub power_on_scale_us: u16,
    /// The time from L1.2 to power in that unit, 0 to 31.
    pub power_on_value: u8,
}

impl Default for L1ssConfig {
    /// All four substates with the specification's 10 µs to power.
    fn default() -> Self {
        Self {
            offset: None,
            pci_pm_l1_1: true,
            pci_pm_l1_2: true,
            aspm_l1_1: true,
            aspm_l1_2: true,
            common_mode_restore_us: 0,
            power_on_scale_us: 2,
            power_on_value: 5,
        }
    }
}

/// Reasons for which the substates are impossible.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum L1ssConfigError {
    /// The unit is not one of the three.
    #[error("no encoding for a unit of {scale_us} µs; the choice is {POWER_ON_SCALE_US:?}")]
    PowerOnScale {
        /// Requested unit.
        scale_us: u16,
    },
    /// The value does not fit five bits.
    #[error(
        "{value} is more than the five bits of T_POWER_ON hold; at most 31, or take a larger power-on-scale-us"
    )]
    PowerOnValue {
        /// Requested value.
        value: u8,
    },
}

impl L1ssConfigError {
    /// Returns the key of the table at fault.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::PowerOnScale { .. } => "power-on-scale-us",
            Self::PowerOnValue { .. } => "power-on-value",
        }
    }
}

/// The L1 PM substates capability of a device's function 0.
#[derive(Debug)]
pub struct L1PmSubstates {
    registers: Block,
}

impl L1PmSubstates {
    /// Creates the capability.
    ///
    /// # Errors
    /// `T_POWER_ON` has no encoding.
    pub fn new(config: &L1ssConfig) -> Result<Self, L1ssConfigError> {
        let scale_us = config.power_on_scale_us;
        let scale = (0..)
            .zip(POWER_ON_SCALE_US)
            .find_map(|(code, unit)| (unit == scale_us).then_some(code))
            .ok_or(L1ssConfigError::PowerOnScale { scale_us })?;
        let value = config.power_on_value;
        if value > 31 {
            return Err(L1ssConfigError::PowerOnValue { value });
        }
        let capabilities = L1ssCapabilities::new()
            .with_pci_pm_l1_2(config.pci_pm_l1_2)
            .with_pci_pm_l1_1(config.pci_pm_l1_1)
            .with_aspm_l1_2(config.aspm_l1_2)
            .with_aspm_l1_1(config.aspm_l1_1)
            .with_l1_pm_substates(true)
            .with_common_mode_restore_us(config.common_mode_restore_us)
            .with_power_on_scale(scale)
            .with_power_on_value(value);
        let threshold = config.aspm_l1_2;
        let control_1 = L1ssControl1::new()
            .with_pci_pm_l1_2_enable(config.pci_pm_l1_2)
            .with_pci_pm_l1_1_enable(config.pci_pm_l1_1)
            .with_aspm_l1_2_enable(config.aspm_l1_2)
            .with_aspm_l1_1_enable(config.aspm_l1_1)
            .with_ltr_l1_2_threshold_value(if threshold { 0x3ff } else { 0 })
            .with_ltr_l1_2_threshold_scale(if threshold { 0x7 } else { 0 });
        let control_1 = Register::new(L1ssControl1::new())
            .rw(control_1)
            .kept_by_flr(control_1);
        let control_2 = if config.pci_pm_l1_2 || config.aspm_l1_2 {
            let power_on = L1ssControl2::new()
                .with_power_on_scale(0x3)
                .with_power_on_value(0x1f);
            // 5 × 2 µs: the register's own default, not what this function asks for.
            Register::new(L1ssControl2::new().with_power_on_value(5))
                .rw(power_on)
                .kept_by_flr(power_on)
        } else {
            Register::new(L1ssControl2::new())
        };
        Ok(Self {
            registers: Block::new([
                Dword::new(),
                Dword::new().with(0, Register::new(capabilities)),
                Dword::new().with(0, control_1),
                Dword::new().with(0, control_2),
            ]),
        })
    }
}

impl Capability for L1PmSubstates {
    fn id(&self) -> CapabilityId {
        CapabilityId::Extended {
            id: ExtendedId::L1PmSubstates,
            version: 1,
        }
    }

    fn name(&self) -> &'static str {
        "l1-pm-substates"
    }

    fn registers(&self) -> &Block {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Block {
        &mut self.registers
    }

    registers_are_the_state!();

    fn inspect(&self) -> Value {
        let capabilities: L1ssCapabilities = self.registers.get(CAPABILITIES);
        let control_1: L1ssControl1 = self.registers.get(CONTROL_1);
        let control_2: L1ssControl2 = self.registers.get(CONTROL_2);
        let substate =
            |supported: bool, enabled: bool| json!({ "supported": supported, "enabled": enabled });
        json!({
            "pci_pm_l1_1": substate(capabilities.pci_pm_l1_1(), control_1.pci_pm_l1_1_enable()),
            "pci_pm_l1_2": substate(capabilities.pci_pm_l1_2(), control_1.pci_pm_l1_2_enable()),
            "aspm_l1_1": substate(capabilities.aspm_l1_1(), control_1.aspm_l1_1_enable()),
            "aspm_l1_2": substate(capabilities.aspm_l1_2(), control_1.aspm_l1_2_enable()),
            "ltr_l1_2_threshold_value": control_1.ltr_l1_2_threshold_value(),
            "ltr_l1_2_threshold_scale": control_1.ltr_l1_2_threshold_scale(),
            "power_on_value": control_2.power_on_value(),
            "power_on_scale": control_2.power_on_scale(),
        })
    }
}

#[cfg(test)]
mod tests;
