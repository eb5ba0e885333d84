//! The state of a virtual function that its physical function decides.

use serde::{Deserialize, Serialize};

use crate::power::PowerState;
use crate::snapshot;

/// The state of a virtual function that its physical function decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Presence {
    /// The function exists.
    pub(crate) exists: bool,
    /// Its memory BARs decode in D0.
    pub(crate) memory_space: bool,
    /// The power state of the physical function.
    #[serde(with = "snapshot::power_state")]
    pub(crate) power_state: PowerState,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            exists: false,
            memory_space: false,
            power_state: PowerState::D0,
        }
    }
}
