//! Downstream Port Containment as the functions of the slot suffer it (PCIe Base §6.2.11): the port takes
//! the link down, which is a hot reset (§2.9.1), and keeps it down.

use super::Function;
use super::conditions::{Condition, Ended, Until};
use super::core::Core;
use crate::effect::{Effect, FunctionEvent};
use crate::fault::consequence::LinkFailure;
use crate::time::Time;

impl Function {
    /// Makes the function follow another one of its slot, whose containment begins or ends. `other` tells it
    /// from further ones, and from the names of faults.
    pub(crate) fn follow_containment(&mut self, now: Time, other: &str, contained: bool) {
        if contained {
            let condition = Condition {
                by: other.to_owned(),
                until: Until::Removed,
            };
            self.contain(now, condition, false);
        } else {
            self.end_conditions(now, |condition| condition.by == other);
            self.drop_idle_faults();
        }
    }

    /// Takes the link down, for an error of the function's `own` or of another function.
    pub(super) fn contain(&mut self, now: Time, condition: Condition, own: bool) {
        let faults = self.core.faults.as_ref();
        let before = faults.map_or((false, false), |faults| faults.conditions.contained());
        let (was_contained, was_own) = before;
        self.add_link_failure(now, condition, LinkFailure::Contained { own });
        if own && !was_own {
            self.core.emit(Effect::Containment(true));
        }
        if !was_contained {
            self.core.tell_contained(true);
        }
    }

    /// Notices that containment is over. Whoever accesses the function then has to wait as after any hot
    /// reset.
    pub(super) fn release(&mut self, now: Time, ended: Ended) {
        if ended.released && self.core.is_there() {
            self.core.start_reset_recovery(now);
        }
        self.core.tell_ended(ended);
    }
}

impl Core {
    /// Tells the end of containment.
    pub(super) fn tell_ended(&mut self, ended: Ended) {
        if ended.own_contained {
            self.emit(Effect::Containment(false));
        }
        if ended.released {
            self.tell_contained(false);
        }
    }

    fn tell_contained(&mut self, contained: bool) {
        self.emit(Effect::Event(FunctionEvent::Containment { contained }));
    }
}
