//! Power states of a function and the legal transitions between them.
//!
//! ```
//! use std::time::Duration;
//!
//! use pci_device_models::power::{PowerState, Transition};
//!
//! assert_eq!(PowerState::D3hot.software_transition(PowerState::D0), Transition::Legal);
//! assert_eq!(PowerState::D2.software_transition(PowerState::D1), Transition::Illegal);
//! let wait = PowerState::D3hot.recovery_time(PowerState::D0);
//! assert_eq!(wait, Duration::from_millis(10));
//! ```

use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

/// A device power state (PCIe Base §5.3.1). It is displayed as Linux sysfs does (`D3hot`) and
/// written in profiles in lower case (`d3hot`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all(deserialize = "kebab-case"))]
pub enum PowerState {
    /// The working state.
    #[default]
    D0,
    /// Light sleep, optional.
    D1,
    /// Deeper sleep, optional.
    D2,
    /// Software-controlled off state with main power present.
    D3hot,
    /// Main power is off.
    D3cold,
}

impl PowerState {
    /// All states from awake to off.
    pub const ALL: [Self; 5] = [Self::D0, Self::D1, Self::D2, Self::D3hot, Self::D3cold];

    /// Returns the state with this PMCSR `PowerState` encoding (the low two bits count).
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::D0,
            1 => Self::D1,
            2 => Self::D2,
            _ => Self::D3hot,
        }
    }

    /// Returns the PMCSR `PowerState` encoding. D3cold has none of its own and shares that of
    /// D3hot.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::D0 => 0,
            Self::D1 => 1,
            Self::D2 => 2,
            Self::D3hot | Self::D3cold => 3,
        }
    }

    /// Returns the state's bit in PMC `PME_Support`.
    #[must_use]
    pub const fn pme_support_bit(self) -> u8 {
        1 << self as u8
    }

    /// Returns the result of a PMCSR write that requests `to` in this state, as far as legality
    /// goes (PCIe Base §5.8). The function itself checks whether it implements `to`.
    ///
    /// | from \ to | D0 | D1 | D2 | D3hot |
    /// |---|---|---|---|---|
    /// | D0 | – | yes | yes | yes |
    /// | D1 | yes | – | yes | yes |
    /// | D2 | yes | no | – | yes |
    /// | D3hot | yes | no | no | – |
    #[must_use]
    pub fn software_transition(self, to: Self) -> Transition {
        if self == to {
            Transition::Same
        } else if to == Self::D3cold || self == Self::D3cold {
            Transition::Illegal
        } else if to == Self::D0 || to > self {
            Transition::Legal
        } else {
            Transition::Illegal
        }
    }

    /// Returns the time that software has to wait after requesting `to`, before the next access of
    /// any kind (PCIe Base §5.9; Linux `PCI_PM_D3HOT_WAIT`, `PCI_PM_D2_DELAY`).
    #[must_use]
    pub const fn recovery_time(self, to: Self) -> Duration {
        match (self, to) {
            (Self::D3hot, _) | (_, Self::D3hot) => Duration::from_millis(10),
            (Self::D2, _) | (_, Self::D2) => Duration::from_micros(200),
            _ => Duration::ZERO,
        }
    }
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::D0 => "D0",
            Self::D1 => "D1",
            Self::D2 => "D2",
            Self::D3hot => "D3hot",
            Self::D3cold => "D3cold",
        })
    }
}

/// Reads a power state as it is shown, not as it is written in profiles.
pub(crate) fn deserialize_shown<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<PowerState, D::Error> {
    let shown = String::deserialize(deserializer)?;
    PowerState::ALL
        .into_iter()
        .find(|state| state.to_string() == shown)
        .ok_or_else(|| D::Error::custom(format!("there is no power state {shown:?}")))
}

/// The result of a request to change the power state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transition {
    /// The function is in that state already.
    Same,
    /// The function changes state.
    Legal,
    /// PMC does not advertise the state: the write completes and its `PowerState` is discarded.
    Unsupported,
    /// The state diagram has no such edge: the `PowerState` is discarded as well.
    Illegal,
}

impl Transition {
    /// Returns whether the function is in the requested state afterwards.
    #[must_use]
    pub const fn happens(self) -> bool {
        matches!(self, Self::Same | Self::Legal)
    }
}
