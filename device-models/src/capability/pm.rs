//! PCI Power Management capability, id 01h (PCIe Base §7.5.2).
//!
//! | offset | register | attributes |
//! |---|---|---|
//! | +2 | PMC | read-only |
//! | +4 | PMCSR | `PowerState`, `PME_En`, `Data_Select` RW; `PME_Status` RW1C; `No_Soft_Reset`, `Data_Scale` RO |
//! | +6 | PMCSR_BSE | read-only zero: an endpoint is no bridge |
//! | +7 | Data | read-only, follows `Data_Select` |

use bitfield_struct::bitfield;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Capability, CapabilityId};
use crate::config::ConfigEffect;
use crate::power::{PowerState, Transition};
use crate::register::{Block, Dword, DwordWrite, Register, ResetKind, register_bits};

/// Power Management Capabilities, +2 (PCIe Base §7.5.2.1).
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct Pmc {
    #[bits(3)]
    pub version: u8,
    pub pme_clock: bool,
    pub immediate_readiness_on_return_to_d0: bool,
    pub dsi: bool,
    /// 3.3 V auxiliary current in the steps 0, 55, 100, 160, 220, 270, 320, 375 mA.
    #[bits(3)]
    pub aux_current: u8,
    pub d1_support: bool,
    pub d2_support: bool,
    /// Bit n: PME can be signalled from state n (D0, D1, D2, D3hot, D3cold).
    #[bits(5)]
    pub pme_support: u8,
}

/// Power Management Control/Status, +4 (PCIe Base §7.5.2.2).
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct Pmcsr {
    #[bits(2)]
    pub power_state: u8,
    __: bool,
    pub no_soft_reset: bool,
    #[bits(4)]
    __: u8,
    pub pme_en: bool,
    #[bits(4)]
    pub data_select: u8,
    #[bits(2)]
    pub data_scale: u8,
    pub pme_status: bool,
}

register_bits!(Pmc: u16, Pmcsr: u16);

const PMC: usize = 2;
const PMCSR: usize = 4;
const PMCSR_DWORD: usize = PMCSR / 4;
const DATA: usize = 7;

/// What the Data register shows for each `Data_Select` value (PCIe Base §7.5.2.3): 0 to 3 power
/// consumed in D0 to D3, 4 to 7 power dissipated, 8 common logic of a multi-function device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DataRegister {
    /// `Data_Select` value, 0 to 8.
    pub select: u8,
    /// `Data_Scale`: 0 unknown, 1 × 0.1 W, 2 × 0.01 W, 3 × 0.001 W.
    pub scale: u8,
    /// Data in units of the scale.
    pub value: u8,
}

/// What a power management capability can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PmConfig {
    /// PMC as software reads it. `pme_support` bit 4 (D3cold) and `aux_current` must be clear
    /// where there is no auxiliary power.
    pub pmc: Pmc,
    /// PMCSR `No_Soft_Reset`.
    pub no_soft_reset: bool,
    /// Operating points of the Data register; none: no Data register.
    pub data: Vec<DataRegister>,
}

/// The power management capability of a function.
#[derive(Debug)]
pub struct PowerManagement {
    registers: Block,
    data: Vec<DataRegister>,
}

impl PowerManagement {
    /// Makes the capability in D0.
    #[must_use]
    pub fn new(config: PmConfig) -> Self {
        let PmConfig {
            pmc,
            no_soft_reset,
            data,
        } = config;
        let pme = pmc.pme_support() != 0;
        let from_d3cold = pmc.pme_support() & PowerState::D3cold.pme_support_bit() != 0;
        let has_data = !data.is_empty();
        let pme_context = Pmcsr::new().with_pme_en(pme).with_pme_status(pme);
        let mut pmcsr = Register::new(Pmcsr::new().with_no_soft_reset(no_soft_reset))
            .rw(Pmcsr::new()
                .with_power_state(PowerState::D3hot.bits())
                .with_pme_en(pme)
                .with_data_select(if has_data { 0xf } else { 0 }))
            .rw1c(Pmcsr::new().with_pme_status(pme))
            .kept_by_soft_reset(pme_context);
        if from_d3cold {
            pmcsr = pmcsr.aux_backed(pme_context);
        }
        let mut pm = Self {
            registers: Block::new([
                Dword::new().with(2, Register::new(pmc)),
                Dword::new().with(0, pmcsr),
            ]),
            data,
        };
        pm.show_data();
        pm
    }

    /// PMC.
    #[must_use]
    pub fn pmc(&self) -> Pmc {
        self.registers.get(PMC)
    }

    /// PMCSR.
    #[must_use]
    pub fn pmcsr(&self) -> Pmcsr {
        self.registers.get(PMCSR)
    }

    /// The state in PMCSR: D0, D1, D2 or D3hot.
    #[must_use]
    pub fn power_state(&self) -> PowerState {
        PowerState::from_bits(self.pmcsr().power_state())
    }

    /// Whether the function can signal PME from `state`.
    #[must_use]
    pub fn supports_pme_from(&self, state: PowerState) -> bool {
        self.pmc().pme_support() & state.pme_support_bit() != 0
    }

    /// Hardware's side of a wake event: `PME_Status` is set whether or not `PME_En` is.
    pub fn set_pme_status(&mut self) {
        let pmcsr = self.pmcsr().with_pme_status(true);
        self.registers.set(PMCSR, pmcsr);
    }

    /// Whether PMC advertises `state`.
    fn supports(&self, state: PowerState) -> bool {
        match state {
            PowerState::D1 => self.pmc().d1_support(),
            PowerState::D2 => self.pmc().d2_support(),
            PowerState::D0 | PowerState::D3hot => true,
            PowerState::D3cold => false,
        }
    }

    /// Shows the operating point that `Data_Select` names.
    fn show_data(&mut self) {
        let pmcsr = self.pmcsr();
        let point = self
            .data
            .iter()
            .find(|point| point.select == pmcsr.data_select())
            .copied()
            .unwrap_or_default();
        self.registers
            .set(PMCSR, pmcsr.with_data_scale(point.scale));
        self.registers.set(DATA, point.value);
    }
}

impl Capability for PowerManagement {
    fn id(&self) -> CapabilityId {
        CapabilityId::Conventional(0x01)
    }

    fn name(&self) -> &'static str {
        "power-management"
    }

    fn registers(&self) -> &Block {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Block {
        &mut self.registers
    }

    /// An unsupported or illegal `PowerState` is discarded; the other fields of the same write take
    /// effect. PME bits change before the state does, so that one write can arm wake-up with a
    /// clean status and go to sleep.
    fn write(&mut self, index: usize, write: DwordWrite, effects: &mut Vec<ConfigEffect>) {
        if index != PMCSR_DWORD {
            self.registers.write(index, write);
            return;
        }
        let before = self.pmcsr();
        self.registers.write(index, write);
        let asked = self.pmcsr();

        let from = PowerState::from_bits(before.power_state());
        let to = PowerState::from_bits(asked.power_state());
        let transition = if self.supports(to) {
            from.software_transition(to)
        } else {
            Transition::Unsupported
        };
        let after = if transition.happens() {
            asked
        } else {
            asked.with_power_state(from.bits())
        };
        self.registers.set(PMCSR, after);
        self.show_data();

        if before.pme_en() != after.pme_en() || before.pme_status() != after.pme_status() {
            effects.push(ConfigEffect::Pme);
        }
        if from != to {
            effects.push(ConfigEffect::PowerState {
                from,
                to,
                transition,
            });
        }
    }

    fn reset(&mut self, kind: ResetKind) {
        self.registers.reset(kind);
        self.show_data();
    }

    fn inspect(&self) -> Value {
        let (pmc, pmcsr) = (self.pmc(), self.pmcsr());
        json!({
            "version": pmc.version(),
            "power_state": self.power_state(),
            "no_soft_reset": pmcsr.no_soft_reset(),
            "pme_support": PowerState::ALL
                .into_iter()
                .filter(|state| self.supports_pme_from(*state))
                .collect::<Vec<_>>(),
            "pme_en": pmcsr.pme_en(),
            "pme_status": pmcsr.pme_status(),
            "d1_support": pmc.d1_support(),
            "d2_support": pmc.d2_support(),
            "data_select": pmcsr.data_select(),
            "data_scale": pmcsr.data_scale(),
            "data": self.registers.get::<u8>(DATA),
        })
    }
}

#[cfg(test)]
mod tests;
