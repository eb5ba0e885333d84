//! Dynamic Power Allocation, extended id 0016h (PCIe Base §7.9.12, §6.16).
//!
//! | offset | register | attributes |
//! |---|---|---|
//! | +4 | Capability: `Substate_Max`, latency unit, power scale, transition latencies | RO |
//! | +8 | Latency Indicator: which of the two latencies a substate has | RO |
//! | +C | Status: substate RO, Substate Control Enabled RW1C, set by reset | |
//! | +E | Control: requested substate | RW |
//! | +10 | power allocated to each substate, a byte each | RO |

use std::time::Duration;

use bitfield_struct::bitfield;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use super::{Capability, CapabilityId};
use crate::config::ConfigEffect;
use crate::pci::ExtendedId;
use crate::pci::dynamic_power_allocation::{CAPABILITY, CONTROL, LATENCY_INDICATOR, STATUS};
use crate::register::{Block, Dword, DwordWrite, Register, ResetKind, register_bits};
use crate::snapshot::{self, RestoreError};

/// DPA Capability, +4.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct DpaCapability {
    /// Number of substates less one.
    #[bits(5)]
    pub substate_max: u8,
    #[bits(3)]
    __: u8,
    /// 0: 1 ms, 1: 10 ms, 2: 100 ms.
    #[bits(2)]
    pub transition_latency_unit: u8,
    #[bits(2)]
    __: u8,
    /// 0: 10 W, 1: 1 W, 2: 0.1 W, 3: 0.01 W.
    #[bits(2)]
    pub power_allocation_scale: u8,
    #[bits(2)]
    __: u8,
    pub transition_latency_0: u8,
    pub transition_latency_1: u8,
}

/// DPA Status, +C.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct DpaStatus {
    #[bits(5)]
    pub substate: u8,
    #[bits(3)]
    __: u8,
    pub substate_control_enabled: bool,
    #[bits(7)]
    __: u8,
}

register_bits!(DpaCapability: u32, DpaStatus: u16);

const CONTROL_DWORD: usize = STATUS / 4;

/// The `[capabilities.dpa]` table of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DpaConfig {
    /// Offset in config space.
    #[serde(default)]
    pub offset: Option<u16>,
    /// Power of each substate in units of the scale, the largest first: 1 to 32 of them.
    pub power: Vec<u8>,
    /// 0: 10 W, 1: 1 W, 2: 0.1 W, 3: 0.01 W.
    #[serde(default = "watts")]
    pub power_scale: u8,
    /// 0: 1 ms, 1: 10 ms, 2: 100 ms.
    #[serde(default)]
    pub latency_unit: u8,
    /// The two transition latencies, in that unit.
    #[serde(default)]
    pub latency: [u8; 2],
    /// Bit n set: substate n has the second latency.
    #[serde(default)]
    pub latency_indicator: u32,
}

const fn watts() -> u8 {
    1
}

/// The mistake in a [`DpaConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DpaConfigError {
    /// A function has 1 to 32 substates.
    #[error("{0} substates: there are 1 to 32, each with its power")]
    Substates(usize),
    /// Substate 0 is the most a function ever draws.
    #[error("substate {0} draws more than the one before it; power never rises with the number")]
    Rising(usize),
    /// A field of two bits.
    #[error("{value} is too large, {max} is the largest")]
    Field {
        /// Key at fault.
        key: &'static str,
        /// Its value.
        value: u8,
        /// Its largest value.
        max: u8,
    },
}

impl DpaConfigError {
    /// Returns the key at fault.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Substates(_) | Self::Rising(_) => "power",
            Self::Field { key, .. } => key,
        }
    }
}

/// The Dynamic Power Allocation capability of a function.
#[derive(Debug)]
pub struct DynamicPowerAllocation {
    registers: Block,
    /// The substate to which the transition in progress leads.
    target: u8,
}

impl DynamicPowerAllocation {
    /// Creates the capability in substate 0.
    ///
    /// # Errors
    /// [`DpaConfigError`] with the wrong key.
    pub fn new(config: &DpaConfig) -> Result<Self, DpaConfigError> {
        let DpaConfig {
            offset: _,
            power,
            power_scale,
            latency_unit,
            latency: [latency_0, latency_1],
            latency_indicator,
        } = config;
        if power.is_empty() || power.len() > 32 {
            return Err(DpaConfigError::Substates(power.len()));
        }
        if let Some(at) = power.windows(2).position(|pair| pair[1] > pair[0]) {
            return Err(DpaConfigError::Rising(at + 1));
        }
        for (key, value, max) in [
            ("power-scale", *power_scale, 3),
            ("latency-unit", *latency_unit, 2),
        ] {
            if value > max {
                return Err(DpaConfigError::Field { key, value, max });
            }
        }
        let capability = DpaCapability::new()
            .with_substate_max((power.len() - 1) as u8)
            .with_transition_latency_unit(*latency_unit)
            .with_power_allocation_scale(*power_scale)
            .with_transition_latency_0(*latency_0)
            .with_transition_latency_1(*latency_1);
        let enabled = DpaStatus::new().with_substate_control_enabled(true);
        let mut dwords = vec![
            Dword::new(),
            Dword::new().with(0, Register::new(capability)),
            Dword::read_only(*latency_indicator),
            Dword::new()
                .with(0, Register::new(enabled).rw1c(enabled))
                .with(2, Register::new(0_u16).rw(0x1f)),
        ];
        dwords.extend(power.chunks(4).map(|chunk| {
            let mut bytes = [0; 4];
            for (to, from) in bytes.iter_mut().zip(chunk) {
                *to = *from;
            }
            Dword::read_only(u32::from_le_bytes(bytes))
        }));
        Ok(Self {
            registers: Block::new(dwords),
            target: 0,
        })
    }

    fn capability(&self) -> DpaCapability {
        self.registers.get(CAPABILITY)
    }

    fn status(&self) -> DpaStatus {
        self.registers.get(STATUS)
    }

    /// Returns the duration of the transition in progress, if there is one.
    #[must_use]
    pub fn transition_latency(&self) -> Option<Duration> {
        if self.target == self.status().substate() {
            return None;
        }
        let capability = self.capability();
        let indicator: u32 = self.registers.get(LATENCY_INDICATOR);
        let latency = if indicator >> self.target & 1 == 1 {
            capability.transition_latency_1()
        } else {
            capability.transition_latency_0()
        };
        let unit = match capability.transition_latency_unit() {
            0 => 1,
            1 => 10,
            _ => 100,
        };
        Some(Duration::from_millis(unit * u64::from(latency)))
    }

    /// Ends the transition in progress.
    pub fn settle(&mut self) {
        self.show(self.target);
    }

    fn show(&mut self, substate: u8) {
        let status = self.status().with_substate(substate);
        self.registers.set(STATUS, status);
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedDpa {
    registers: Vec<u32>,
    target: u8,
}

impl Capability for DynamicPowerAllocation {
    fn id(&self) -> CapabilityId {
        CapabilityId::Extended {
            id: ExtendedId::DynamicPowerAllocation,
            version: 1,
        }
    }

    fn name(&self) -> &'static str {
        "dynamic-power-allocation"
    }

    fn registers(&self) -> &Block {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Block {
        &mut self.registers
    }

    /// Handles a write. During a transition Status shows the substate of the two that draws more
    /// power, the lower number. Substates that do not exist are ignored, which the specification
    /// leaves undefined.
    fn write(&mut self, index: usize, write: DwordWrite, effects: &mut Vec<ConfigEffect>) {
        self.registers.write(index, write);
        let asked = self.registers.get::<u16>(CONTROL) as u8;
        if index != CONTROL_DWORD
            || !self.status().substate_control_enabled()
            || asked == self.target
            || asked > self.capability().substate_max()
        {
            return;
        }
        let shown = self.status().substate().min(asked);
        self.target = asked;
        self.show(shown);
        effects.push(ConfigEffect::PowerAllocation);
    }

    fn reset(&mut self, kind: ResetKind) {
        self.registers.reset(kind);
        self.target = 0;
    }

    fn save(&self) -> Value {
        let Self { registers, target } = self;
        snapshot::tree(&SavedDpa {
            registers: registers.values(),
            target: *target,
        })
    }

    fn restore(
        &mut self,
        at: &str,
        saved: &Value,
        _: &mut Vec<ConfigEffect>,
    ) -> Result<(), RestoreError> {
        let SavedDpa { registers, target } = snapshot::read(at, saved)?;
        let max = self.capability().substate_max();
        if target > max {
            let reason = format!("substate {target} does not exist; the last is {max}");
            return Err(RestoreError::part(at, reason));
        }
        self.registers.set_values(at, &registers)?;
        self.target = target;
        Ok(())
    }

    fn inspect(&self) -> Value {
        let status = self.status();
        json!({
            "substates": self.capability().substate_max() + 1,
            "substate": status.substate(),
            "target": self.target,
            "substate_control_enabled": status.substate_control_enabled(),
        })
    }
}

#[cfg(test)]
mod tests;
