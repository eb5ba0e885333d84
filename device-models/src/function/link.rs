//! The link above the function, as far as it fails.
//!
//! The slot meets the faults of its link and tells all of its functions. A link that goes down resets the
//! functions behind it as a hot reset does (PCIe Base §2.9.1, §6.6.1).

use std::time::Duration;

use super::Function;
use super::conditions::{Condition, Until};
use super::core::Core;
use crate::effect::{Effect, Notice};
use crate::fault::consequence::{Lasting, LinkFailure};
use crate::fault::list::Struck;
use crate::register::ResetKind;
use crate::time::Time;

/// The highest speed of a link, in the encoding of Link Status, up to which the time for recovery after a
/// reset begins before the link has trained: 5 GT/s (PCIe Base §6.6.1).
const SLOW: u8 = 2;

impl Function {
    /// Reports the strike of a fault of the slot.
    pub(crate) fn tell_slot_fault(&mut self, struck: &Struck) {
        self.core
            .tell_fault(&struck.name, &struck.what, struck.count);
    }

    /// Has the driver above notify its clients.
    pub(crate) fn notify(&mut self, notice: Notice) {
        self.core.emit(Effect::Notice(notice));
    }

    /// Takes in a failure of the link.
    pub(crate) fn fail_link(
        &mut self,
        now: Time,
        struck: &Struck,
        failure: LinkFailure,
        lasting: Lasting,
    ) {
        let condition = Condition {
            by: struck.name.clone(),
            until: Until::new(struck.at, lasting),
        };
        self.add_link_failure(now, condition, failure);
    }

    /// Adds a failure of the link, in the place of one by the same fault.
    pub(super) fn add_link_failure(
        &mut self,
        now: Time,
        condition: Condition,
        failure: LinkFailure,
    ) {
        let faults = self.core.faults.get_or_insert_default();
        faults.now = now;
        let was_unlinked = faults.conditions.is_unlinked(now);
        let links = &mut faults.conditions.links;
        links.retain(|(other, _)| other.by != condition.by);
        links.push((condition, failure));
        let goes_down = !was_unlinked && faults.conditions.is_unlinked(now);
        if goes_down && self.core.is_there() {
            self.reset(now, ResetKind::Hot);
        }
        self.core.show_link(now);
    }

    /// Ends the failures of the link that a fault of the slot has brought about.
    pub(crate) fn mend_link(&mut self, now: Time, name: &str) {
        self.core.note_time(now);
        self.end_conditions(now, |condition| condition.by == name);
        self.drop_idle_faults();
    }

    /// Follows a change of the link's failures. A function whose link has come up early needs time to
    /// recover from now on.
    pub(super) fn link_changed(&mut self, now: Time, was_unlinked: bool) {
        self.core.show_link(now);
        if was_unlinked && self.core.powered && !self.core.is_unlinked() {
            self.core.ready_at = now;
            self.core.start_reset_recovery(now);
        }
        self.core.update_intx();
        self.core.update_pme(now);
    }

    /// Starts the recovery time of a link that is down for a known time: it ends when the link is up, or
    /// on a fast link 100 ms later.
    pub(crate) fn await_link(&mut self, now: Time) {
        let Some(down) = self.link_down_for(now).filter(|down| !down.is_zero()) else {
            return;
        };
        let pcie = self.core.config.pcie();
        if pcie.is_some_and(|pcie| pcie.full_link_speed() > SLOW) {
            self.core.start_reset_recovery(now.after(down));
        } else {
            self.core.recover(now, down);
        }
    }

    /// Returns the time for which the link stays down, zero if it is up. `None` is for an unknown time.
    #[must_use]
    pub fn link_down_for(&self, now: Time) -> Option<Duration> {
        let faults = self.core.faults.as_ref();
        faults.map_or(Some(Duration::ZERO), |faults| {
            faults.conditions.link_down_left(now)
        })
    }

    /// Returns whether the link is down.
    #[must_use]
    pub fn link_is_down(&self) -> bool {
        self.core.is_unlinked()
    }
}

impl Core {
    /// Returns whether the link is down, at the time of the access or action in progress.
    pub(super) fn is_unlinked(&self) -> bool {
        let faults = self.faults.as_ref();
        faults.is_some_and(|faults| faults.conditions.is_unlinked(faults.now))
    }

    /// Shows speed and width of the link in Link Status.
    pub(super) fn show_link(&mut self, now: Time) {
        if let Some(faults) = &self.faults
            && let Some(pcie) = self.config.pcie_mut()
        {
            let (speed, width) = faults.conditions.link_limits(now);
            pcie.limit_link(speed, width);
        }
    }
}
