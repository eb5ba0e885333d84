//! A function that is off the bus without a fault.

use super::Function;
use super::conditions::{Condition, Until, extend};
use crate::time::Time;

/// The cause of a condition that no fault of a user's has brought about, which no fault can have as its
/// name.
const STRANDED: &str = "(stranded)";

impl Function {
    /// Keeps the function off the bus from now on, by no fault that is set, until [`Self::unstrand`].
    pub(crate) fn strand(&mut self) {
        let powered = self.core.powered;
        let faults = self.core.faults.get_or_insert_default();
        let condition = Condition {
            by: STRANDED.to_owned(),
            until: Until::Removed,
        };
        extend(&mut faults.conditions.gone, condition, powered);
    }

    /// Ends the effect of [`Self::strand`].
    pub(crate) fn unstrand(&mut self, now: Time) {
        self.core.note_time(now);
        self.end_conditions(now, |condition| condition.by == STRANDED);
        self.drop_idle_faults();
    }
}
