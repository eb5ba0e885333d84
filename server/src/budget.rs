//! The time that one turn may take.
//!
//! A turn that does little must not cost a look at the clock. So what is done counts as units of work, the
//! clock is read only after some of them, and the turn is over when its time is up or it has done very
//! many of them.

use std::time::Duration;

use pci_device_models::time::Time;

use crate::clock::system;

/// Time after which a turn is over.
const LIMIT: Duration = Duration::from_millis(1);
/// Units of work between two looks at the clock: ordinary messages, or as many writes of a
/// REGION_WRITE_MULTI.
const BETWEEN_LOOKS: u32 = 16;
/// Units of work after which a turn is over however little time it took.
const MOST: u32 = 1 << 12;
/// Bytes that count as a unit.
const BYTES_PER_UNIT: usize = 8 << 10;

/// The units of a message that can take a large part of a turn by itself: the clock is read after it.
pub(crate) const DEAR: u32 = BETWEEN_LOOKS;

/// The use that a turn has made of its time.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    units: u32,
    /// The value of `units` at which the clock is read next.
    next_look: u32,
    /// The end of the turn, once the clock has been read.
    end: Option<Time>,
    spent: bool,
}

impl Budget {
    /// Creates the budget of a turn that begins at `start`, on the system's clock, if that is known. Else it
    /// begins with the first look at the clock.
    pub(crate) fn new(start: Option<Time>) -> Self {
        Self {
            units: 0,
            next_look: BETWEEN_LOOKS,
            end: start.map(|start| start.after(LIMIT)),
            spent: false,
        }
    }

    /// Adds a message of `bytes`.
    pub(crate) fn spend_message(&mut self, bytes: usize) {
        let units = u32::try_from(bytes / BYTES_PER_UNIT).unwrap_or(MOST);
        self.spend(units.saturating_add(1));
    }

    /// Adds units of work.
    pub(crate) fn spend(&mut self, units: u32) {
        self.spend_at(units, system);
    }

    fn spend_at(&mut self, units: u32, now: impl FnOnce() -> Time) {
        self.units = self.units.saturating_add(units);
        if self.units >= self.next_look {
            self.next_look = self.units.saturating_add(BETWEEN_LOOKS);
            let now = now();
            let end = *self.end.get_or_insert(now.after(LIMIT));
            self.spent |= now >= end || self.units >= MOST;
        }
    }

    /// Returns whether the turn is over: what is not finished continues in the next one.
    pub(crate) const fn is_spent(&self) -> bool {
        self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::from_nanos(1000);

    #[test]
    fn a_turn_that_does_little_reads_no_clock() {
        let mut budget = Budget::new(None);
        for _ in 1..BETWEEN_LOOKS {
            budget.spend_at(1, || panic!("the clock is read"));
        }
        let mut looks = 0;
        for _ in 0..4 * BETWEEN_LOOKS {
            budget.spend_at(1, || {
                looks += 1;
                START
            });
        }
        assert_eq!(looks, 4);
        assert!(!budget.is_spent());
    }

    #[test]
    fn a_turn_is_over_when_its_time_is_up() {
        for (begun, over) in [(Some(START), true), (None, false)] {
            let mut budget = Budget::new(begun);
            budget.spend_at(DEAR, || START.after(LIMIT));
            assert_eq!(budget.is_spent(), over, "{begun:?}");
            budget.spend_at(DEAR, || START.after(2 * LIMIT));
            assert!(budget.is_spent());
            budget.spend_at(1, || panic!("the clock is read"));
            assert!(budget.is_spent(), "once and for all");
        }
    }

    #[test]
    fn a_turn_is_over_when_it_has_done_very_much() {
        let mut budget = Budget::new(None);
        budget.spend_at(MOST - 1, || START);
        assert!(!budget.is_spent());
        budget.spend_at(DEAR, || START);
        assert!(budget.is_spent());
        let mut budget = Budget::new(None);
        budget.spend_at(u32::MAX, || START);
        budget.spend_at(u32::MAX, || START);
        assert!(budget.is_spent());
    }
}
