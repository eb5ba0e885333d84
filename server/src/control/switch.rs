//! Things that are on or off, and options that are given or not.

use serde::{Deserialize, Serialize};

/// `on` or `off`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

impl Switch {
    /// Whether it is on.
    #[must_use]
    pub const fn is_on(self) -> bool {
        matches!(self, Self::On)
    }
}

/// Whether an option that is written only when it is given was not. The form is that which
/// serde wants.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub(super) const fn is_false(flag: &bool) -> bool {
    !*flag
}
