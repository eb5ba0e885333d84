//! Verbs for a card that leaves its slot and comes back.
//!
//! # Examples
//!
//! ```
//! use dormouse::control::Verb;
//! use dormouse::control::hotplug::{Insert, Remove};
//! use dormouse::testing::Function;
//!
//! let served = Function::profile("testdev").start()?;
//! let mut control = served.control()?;
//! control.ask(&Verb::Remove(Remove { surprise: false }))?;
//! assert!(!control.status()?.device.card.present, "no client keeps it");
//! control.ask(&Verb::Insert(Insert {}))?;
//! assert!(control.status()?.device.card.present);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ControlContext, ControlError, Done};

/// `remove`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Take the card out at once, whoever uses it
    #[cfg_attr(feature = "cli", arg(long))]
    #[serde(default)]
    pub surprise: bool,
}

impl Remove {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Result<Done, ControlError> {
        let removed = if self.surprise {
            cx.device.pull_card(cx.now)
        } else {
            cx.device.remove_card(cx.now)
        };
        let state = removed.map_err(ControlError::Host)?;
        Ok(json!({ "state": state }).into())
    }
}

/// `insert`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Insert {}

impl Insert {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Result<Done, ControlError> {
        let state = cx.device.insert_card(cx.now).map_err(ControlError::Host)?;
        Ok(json!({ "state": state }).into())
    }
}
