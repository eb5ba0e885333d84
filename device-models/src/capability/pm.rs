//! PCI Power Management capability, id 01h (PCIe Base §7.5.2).
//!
//! | offset | register | attributes |
//! |---|---|---|
//! | +2 | PMC | read-only |
//! | +4 | PMCSR | `PowerState`, `PME_En`, `Data_Select` RW; `PME_Status` RW1C; `No_Soft_Reset`, `Data_Scale` RO |
//! | +6 | PMCSR_BSE | read-only zero, since an endpoint is not a bridge |
//! | +7 | Data | read-only, follows `Data_Select` |

use bitfield_struct::bitfield;
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::{Capability, CapabilityId};
use crate::config::ConfigEffect;
use crate::pci::ConventionalId;
use crate::pci::power_management::{DATA, PMC, PMCSR};
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

const PMCSR_DWORD: usize = PMCSR / 4;

/// The content of the Data register for one `Data_Select` value (PCIe Base §7.5.2.3): 0 to 3 power
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

/// The properties of a power management capability: the table `[capabilities.pm]` of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PmConfig {
    /// Byte offset in config space.
    pub offset: Option<u16>,
    /// PMC Version, 1 to 3; PCI Express functions have 3.
    pub version: u8,
    /// The states from which the function can signal PME.
    pub pme_from: Vec<PowerState>,
    /// D1 exists.
    pub d1: bool,
    /// D2 exists.
    pub d2: bool,
    /// D3hot→D0 keeps all state.
    pub no_soft_reset: bool,
    /// Current drawn from 3.3 V auxiliary power while PME is armed in D3cold, in mA: one of
    /// [`AUX_CURRENT_MA`].
    pub aux_current_ma: u16,
    /// The function needs device-specific initialisation after a reset.
    pub dsi: bool,
    /// The function is ready at once after a return to D0.
    pub immediate_readiness: bool,
    /// Operating points of the Data register. If there are none, the Data register does not exist.
    pub data: Vec<DataRegister>,
}

/// The `Data_Select` value of the power of the common logic, which function 0 of several has.
pub(crate) const COMMON_LOGIC: u8 = 8;

impl PmConfig {
    /// Returns the properties without the power of the common logic.
    pub(crate) fn without_common_logic(&self) -> Self {
        let mut config = self.clone();
        config.data.retain(|point| point.select != COMMON_LOGIC);
        config
    }
}

impl Default for PmConfig {
    fn default() -> Self {
        Self {
            offset: None,
            version: 3,
            pme_from: Vec::new(),
            d1: false,
            d2: false,
            no_soft_reset: false,
            aux_current_ma: 0,
            dsi: false,
            immediate_readiness: false,
            data: Vec::new(),
        }
    }
}

/// The auxiliary currents in mA that PMC can express, by their encoding (PCIe Base §7.5.2.1).
pub const AUX_CURRENT_MA: [u16; 8] = [0, 55, 100, 160, 220, 270, 320, 375];

/// Reasons for which a power management capability is impossible, or forbidden although silicon does
/// it (PCIe Base §7.5.2). [`PmConfig::departures`] returns the latter.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PmConfigError {
    /// Versions in use are 1 to 3.
    #[error("version {version} does not exist; PCI Express functions have 3, older ones 1 or 2")]
    Version {
        /// Requested version.
        version: u8,
    },
    /// PME from a state that the function does not have.
    #[error(
        "PME is signalled from {state}, which the function does not have (PCIe Base §7.5.2.1); set {key} = true or leave it out of pme-from"
    )]
    PmeFromAbsentState {
        /// D1 or D2.
        state: PowerState,
        /// The key that gives the function this state.
        key: &'static str,
    },
    /// The current is not one of the eight that PMC can express.
    #[error("no encoding for {ma} mA; the choice is {AUX_CURRENT_MA:?}")]
    AuxCurrent {
        /// Requested current.
        ma: u16,
    },
    /// Auxiliary current needs PME from D3cold, since wake-up draws it.
    #[error(
        "{ma} mA of auxiliary current serve nothing without PME from D3cold (PCIe Base §7.5.2.1); add \"d3cold\" to pme-from or set 0"
    )]
    AuxCurrentWithoutD3cold {
        /// Requested current.
        ma: u16,
    },
    /// With a Data register `Aux_Current` is zero.
    #[error(
        "{ma} mA of auxiliary current exclude a Data register (PCIe Base §7.5.2.1); set 0 or remove data"
    )]
    AuxCurrentWithData {
        /// Requested current.
        ma: u16,
    },
    /// Selects 9 to 15 are reserved.
    #[error("data select {select} is reserved; selects are 0 to 8")]
    DataSelect {
        /// Requested select.
        select: u8,
    },
    /// `Data_Scale` has two bits.
    #[error(
        "data scale {scale} does not exist; 0 is unknown, 1 is 0.1 W, 2 is 0.01 W, 3 is 0.001 W"
    )]
    DataScale {
        /// Requested scale.
        scale: u8,
    },
    /// Two values have the same select.
    #[error("data select {select} is given twice; remove one")]
    DataDuplicate {
        /// The select.
        select: u8,
    },
}

impl PmConfigError {
    /// Returns the key of the table at fault.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Version { .. } => "version",
            Self::PmeFromAbsentState { .. } => "pme-from",
            Self::AuxCurrent { .. }
            | Self::AuxCurrentWithoutD3cold { .. }
            | Self::AuxCurrentWithData { .. } => "aux-current-ma",
            Self::DataSelect { .. } | Self::DataScale { .. } | Self::DataDuplicate { .. } => "data",
        }
    }
}

impl PmConfig {
    /// Returns PMC as it is in a slot with auxiliary power.
    fn pmc(&self) -> Result<Pmc, PmConfigError> {
        let ma = self.aux_current_ma;
        let aux_current = (0..)
            .zip(AUX_CURRENT_MA)
            .find_map(|(code, current)| (current == ma).then_some(code))
            .ok_or(PmConfigError::AuxCurrent { ma })?;
        let pme_support = self
            .pme_from
            .iter()
            .fold(0, |support, state| support | state.pme_support_bit());
        Ok(Pmc::new()
            .with_version(self.version & 0x7)
            .with_immediate_readiness_on_return_to_d0(self.immediate_readiness)
            .with_dsi(self.dsi)
            .with_aux_current(aux_current)
            .with_d1_support(self.d1)
            .with_d2_support(self.d2)
            .with_pme_support(pme_support))
    }

    /// Returns the rules of the specification that the table breaks as silicon does.
    #[must_use]
    pub fn departures(&self) -> Vec<PmConfigError> {
        let mut departures = Vec::new();
        for (state, exists, key) in [
            (PowerState::D1, self.d1, "d1"),
            (PowerState::D2, self.d2, "d2"),
        ] {
            if self.pme_from.contains(&state) && !exists {
                departures.push(PmConfigError::PmeFromAbsentState { state, key });
            }
        }
        let ma = self.aux_current_ma;
        if ma != 0 && !self.pme_from.contains(&PowerState::D3cold) {
            departures.push(PmConfigError::AuxCurrentWithoutD3cold { ma });
        }
        if ma != 0 && !self.data.is_empty() {
            departures.push(PmConfigError::AuxCurrentWithData { ma });
        }
        departures
    }

    fn validate(&self) -> Result<(), PmConfigError> {
        let version = self.version;
        if !(1..=3).contains(&version) {
            return Err(PmConfigError::Version { version });
        }
        let mut seen = 0_u16;
        for &DataRegister { select, scale, .. } in &self.data {
            if select > 8 {
                return Err(PmConfigError::DataSelect { select });
            }
            if scale > 3 {
                return Err(PmConfigError::DataScale { scale });
            }
            if seen & 1 << select != 0 {
                return Err(PmConfigError::DataDuplicate { select });
            }
            seen |= 1 << select;
        }
        Ok(())
    }
}

/// The power management capability of a function.
#[derive(Debug)]
pub struct PowerManagement {
    registers: Block,
    data: Vec<DataRegister>,
}

impl PowerManagement {
    /// Creates the capability in D0. Without auxiliary power in the slot, PMC offers no PME from
    /// D3cold and no auxiliary current, like silicon that samples an `AUX_PWR` pin.
    ///
    /// # Errors
    /// The rule of PCIe Base §7.5.2 that the table breaks.
    pub fn new(config: &PmConfig, aux_power: bool) -> Result<Self, PmConfigError> {
        let mut pmc = config.pmc()?;
        config.validate()?;
        if !aux_power {
            let support = pmc.pme_support() & !PowerState::D3cold.pme_support_bit();
            pmc = pmc.with_pme_support(support).with_aux_current(0);
        }
        let pme = pmc.pme_support() != 0;
        let from_d3cold = pmc.pme_support() & PowerState::D3cold.pme_support_bit() != 0;
        let has_data = !config.data.is_empty();
        let pme_context = Pmcsr::new().with_pme_en(pme).with_pme_status(pme);
        let mut pmcsr = Register::new(Pmcsr::new().with_no_soft_reset(config.no_soft_reset))
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
            data: config.data.clone(),
        };
        pm.show_data();
        Ok(pm)
    }

    /// Returns PMC.
    #[must_use]
    pub fn pmc(&self) -> Pmc {
        self.registers.get(PMC)
    }

    /// Returns PMCSR.
    #[must_use]
    pub fn pmcsr(&self) -> Pmcsr {
        self.registers.get(PMCSR)
    }

    /// Returns the state in PMCSR: D0, D1, D2 or D3hot.
    #[must_use]
    pub fn power_state(&self) -> PowerState {
        PowerState::from_bits(self.pmcsr().power_state())
    }

    /// Returns whether the function can signal PME from `state`.
    #[must_use]
    pub fn supports_pme_from(&self, state: PowerState) -> bool {
        self.pmc().pme_support() & state.pme_support_bit() != 0
    }

    /// Sets `PME_Status` for a wake event, whether or not `PME_En` is set.
    pub fn set_pme_status(&mut self) {
        let pmcsr = self.pmcsr().with_pme_status(true);
        self.registers.set(PMCSR, pmcsr);
    }

    /// Returns whether PMC advertises `state`.
    fn supports(&self, state: PowerState) -> bool {
        match state {
            PowerState::D1 => self.pmc().d1_support(),
            PowerState::D2 => self.pmc().d2_support(),
            PowerState::D0 | PowerState::D3hot => true,
            PowerState::D3cold => false,
        }
    }

    /// Shows the operating point that `Data_Select` selects.
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
        CapabilityId::Conventional(ConventionalId::PowerManagement)
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

    /// Handles a write. An unsupported or illegal `PowerState` is discarded, but the other fields
    /// of the same write take effect. PME bits change before the state does, so that one write can
    /// arm wake-up with a clean status and go to sleep.
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

    registers_are_the_state!(data);

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
