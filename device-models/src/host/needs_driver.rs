//! A function that its driver has to prepare each time before its power goes.
//!
//! A sleeping function may wake for somebody on the host and sleep again while its user still allows
//! that. The driver, which is the user's, learns nothing of it. The display functions of NVIDIA do
//! not bear this, so a driver keeps them awake until the user has acted (patch 5 of the series of
//! July 2022).

use serde::{Deserialize, Serialize};

use super::DeviceMut;
use crate::time::Time;
use crate::violation::Violation;

/// The consequence of D3cold without the user's driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NeedsDriver {
    /// None: the function needs no driver.
    #[default]
    No,
    /// It is recorded as a violation.
    Recorded,
    /// It is recorded, and the function stays silent until a reset from above.
    Fatal,
}

impl DeviceMut<'_> {
    /// Takes note that the device woke: while low power is still engaged, nobody told the user.
    pub(super) fn note_unattended(&mut self) {
        self.state.low_power.unattended = self.is_engaged();
    }

    /// Takes note that the user acted on the device.
    pub(super) const fn note_attended(&mut self) {
        self.state.low_power.unattended = false;
    }

    /// Checks a sleeping device whose power has just gone. Each wake-up counts once.
    pub(super) fn check_attended(&mut self, now: Time) {
        let needs = self.state.options.needs_driver;
        if needs == NeedsDriver::No || !std::mem::take(&mut self.state.low_power.unattended) {
            return;
        }
        let function = self.slot.function_mut();
        function.record_violation(now, Violation::ColdWithoutDriver);
        if needs == NeedsDriver::Fatal {
            function.strand();
            self.state.low_power.stranded = true;
        }
    }

    /// Revives a function that [`Self::check_attended`] has silenced, for a reset from above.
    pub(super) fn revive(&mut self, now: Time) {
        if std::mem::take(&mut self.state.low_power.stranded) {
            self.slot.function_mut().unstrand(now);
        }
    }
}

#[cfg(test)]
mod tests;
