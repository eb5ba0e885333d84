//! The two forms of user-driven low power.
//!
//! | | [`mainline`] | [`v4`] |
//! |---|---|---|
//! | feature 3 | LOW_POWER_ENTRY, no data | POWER_MANAGEMENT, flags to enter and to leave |
//! | features 4, 5 | ENTRY_WITH_WAKEUP, EXIT | do not exist |
//! | a request for it | wakes the device | does not wake it |
//! | wake notice | an eventfd, once per entry | irq index 5, gated by `PME_En`, again and again |
//! | after a wake with notice | low power ends | low power lasts until the client leaves it |
//! | BARs while engaged | work, waking the device | EIO |
//! | order on a wake | notice, then INTx | INTx, then notice |
//!
//! A device's dialect is fixed when it is created.

mod mainline;
mod v4;

use serde::{Deserialize, Serialize};

use super::status::DialectStatus;

pub(super) use mainline::Mainline;
pub(super) use v4::{SavedV4, V4};

/// The form of low power that a device speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PmDialect {
    /// As merged into Linux 6.1: features 3, 4 and 5.
    #[default]
    Mainline,
    /// As posted in July 2022, version 4 of the series: feature 3 and irq index 5.
    V4,
}

/// The dialect's state: low power while engaged, and the virtual PME.
#[derive(Debug)]
pub(super) enum Dialect {
    Mainline(Mainline),
    V4(V4),
}

/// The saved state of a [`Dialect`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SavedDialect {
    Mainline(Mainline),
    V4(SavedV4),
}

impl SavedDialect {
    pub(super) const fn kind(&self) -> PmDialect {
        match self {
            Self::Mainline(_) => PmDialect::Mainline,
            Self::V4(_) => PmDialect::V4,
        }
    }
}

impl Dialect {
    pub(super) fn new(dialect: PmDialect, display_of_nvidia: bool) -> Self {
        match dialect {
            PmDialect::Mainline => Self::Mainline(Mainline::default()),
            PmDialect::V4 => Self::V4(V4::new(!display_of_nvidia)),
        }
    }

    pub(super) const fn kind(&self) -> PmDialect {
        match self {
            Self::Mainline(_) => PmDialect::Mainline,
            Self::V4(_) => PmDialect::V4,
        }
    }

    pub(super) fn status(&self) -> DialectStatus {
        match self {
            Self::Mainline(mainline) => mainline.status(),
            Self::V4(v4) => v4.status(),
        }
    }
}
