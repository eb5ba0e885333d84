//! The link between the port and the slot, which all functions share.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Power;
use super::functions::Functions;
use crate::power::PowerState;

/// The state of the link that power management has brought it to (PCIe Base §5.2, §5.3.2). Active-state
/// power management is the port's and not modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LinkState {
    /// A function is in D0, a virtual one aside.
    L0,
    /// All functions are outside D0.
    L1,
    /// Main power is on, and the link does not train.
    Down,
    /// Main power is off; auxiliary power keeps the wake logic alive.
    L2,
    /// All power is off, or there is no card in the slot.
    L3,
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl LinkState {
    pub(super) fn of(power: &Power, functions: &Functions) -> Self {
        let awake = |power_state: PowerState| power_state == PowerState::D0;
        if !power.present {
            return Self::L3;
        }
        match (power.rail_on, power.auxiliary) {
            (false, true) => Self::L2,
            (false, false) => Self::L3,
            (true, _) if functions.first.link_is_down() => Self::Down,
            // The state of a virtual function never matters to the link (PCIe Base §9.6.4).
            (true, _)
                if functions
                    .iter()
                    .any(|(_, f)| !f.is_virtual() && awake(f.power_state())) =>
            {
                Self::L0
            }
            (true, _) => Self::L1,
        }
    }
}
