//! On-off arguments and flags.

use serde::{Deserialize, Serialize};

/// `on` or `off`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// On.
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    On,
    /// Off.
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Off,
}

impl Switch {
    /// Returns whether the switch is on.
    #[must_use]
    pub const fn is_on(self) -> bool {
        matches!(self, Self::On)
    }
}

/// Returns whether a flag is unset, in the form that serde's `skip_serializing_if` needs.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub(super) const fn is_false(flag: &bool) -> bool {
    !*flag
}
