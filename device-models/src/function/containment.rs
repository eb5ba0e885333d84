//! Downstream Port Containment as the functions of the slot suffer it (PCIe Base §6.2.11): the port takes
//! the link down, which is a hot reset (§2.9.1), and keeps it down.

use super::Function;
use super::conditions::{Condition, Until, extend};
use super::core::Core;
use crate::effect::{Effect, FunctionEvent};
use crate::register::ResetKind;
use crate::time::Time;

/// The name of the condition of a function whose link is down for another function of the slot.
const BY_ANOTHER: &str = "containment of another function";

impl Function {
    /// Returns whether the link is down for a fault of this function, or `None` if it is up.
    pub(crate) fn is_contained(&self) -> Option<bool> {
        let faults = self.core.faults.as_ref()?;
        let (_, by_another) = faults.conditions.contained.as_ref()?;
        Some(!by_another)
    }

    /// Makes the function follow another one of its slot, whose containment begins or ends.
    pub(crate) fn follow_containment(&mut self, now: Time, contained: bool) {
        if contained {
            let condition = Condition {
                by: BY_ANOTHER.to_owned(),
                until: Until::Removed,
            };
            self.contain(now, condition, true);
        } else {
            self.end_conditions(now, |condition| condition.by == BY_ANOTHER);
            self.drop_idle_faults();
        }
    }

    /// Takes the link down.
    pub(super) fn contain(&mut self, now: Time, condition: Condition, by_another: bool) {
        let mut faults = self.core.faults.take().unwrap_or_default();
        let was = faults.conditions.contained.is_some();
        extend(&mut faults.conditions.contained, condition, by_another);
        self.core.faults = Some(faults);
        if was {
            return;
        }
        if self.core.is_there() {
            self.reset(now, ResetKind::Hot);
        }
        self.core.tell_contained(true);
    }

    /// Notices that the link is up again.
    pub(super) fn release(&mut self, now: Time) {
        if self.core.is_there() {
            self.core.start_reset_recovery(now);
        }
        self.core.tell_contained(false);
    }
}

impl Core {
    pub(super) fn tell_contained(&mut self, contained: bool) {
        self.emit(Effect::Event(FunctionEvent::Containment { contained }));
    }
}
