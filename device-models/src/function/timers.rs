//! The numbered timers of a device model.
//!
//! A number is a `u16`, so a model can have no more than 65,536 timers.

use std::collections::{BTreeMap, BTreeSet};

use crate::snapshot::{due, left};
use crate::time::Time;

/// The running timers. Both maps hold the same timers.
#[derive(Debug, Default)]
pub(super) struct Timers {
    by_number: BTreeMap<u16, Time>,
    /// The timers in the order in which they expire: by time, then by number.
    by_time: BTreeSet<(Time, u16)>,
}

/// The saved form of [`Timers`]: for each number, the nanoseconds left.
pub(super) type SavedTimers = BTreeMap<u16, u64>;

impl Timers {
    /// Restarts timer `number`, or stops it.
    pub(super) fn set(&mut self, number: u16, due: Option<Time>) {
        if let Some(before) = self.by_number.remove(&number) {
            self.by_time.remove(&(before, number));
        }
        if let Some(due) = due {
            self.by_number.insert(number, due);
            self.by_time.insert((due, number));
        }
    }

    /// Returns the time at which timer `number` is due, if it runs.
    pub(super) fn get(&self, number: u16) -> Option<Time> {
        self.by_number.get(&number).copied()
    }

    /// Returns the time at which the first timer is due.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.by_time.first().map(|(due, _)| *due)
    }

    /// Stops the first of those that are due by `now`, and returns its number and due time.
    pub(super) fn take_due(&mut self, now: Time) -> Option<(u16, Time)> {
        let (due, number) = self.by_time.first().copied()?;
        (due <= now).then(|| {
            self.set(number, None);
            (number, due)
        })
    }

    /// Returns the running timers, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, Time)> {
        self.by_number.iter().map(|(number, due)| (*number, *due))
    }

    pub(super) fn save(&self, now: Time) -> SavedTimers {
        self.iter()
            .map(|(number, due)| (number, left(now, due)))
            .collect()
    }

    pub(super) fn restored(now: Time, saved: &SavedTimers) -> Self {
        let mut timers = Self::default();
        for (number, left) in saved {
            timers.set(*number, Some(due(now, *left)));
        }
        timers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }

    #[test]
    fn timers_come_due_by_time_and_then_by_number() {
        let mut timers = Timers::default();
        for (number, nanos) in [(7, 20), (3, 20), (9, 10), (0, 30)] {
            timers.set(number, Some(at(nanos)));
        }
        timers.set(9, Some(at(25)));
        timers.set(0, None);
        assert_eq!(timers.next_deadline(), Some(at(20)));
        assert_eq!(timers.take_due(at(19)), None);
        let due: Vec<_> = std::iter::from_fn(|| timers.take_due(at(40))).collect();
        assert_eq!(due, [(3, at(20)), (7, at(20)), (9, at(25))]);
        assert_eq!((timers.next_deadline(), timers.get(9)), (None, None));
    }

    #[test]
    fn every_number_has_a_timer_and_there_are_no_more() {
        let mut timers = Timers::default();
        for number in (0..=u16::MAX).chain(0..100) {
            timers.set(number, Some(at(u64::from(number))));
        }
        let saved = timers.save(at(0));
        assert_eq!(saved.len(), 1 << 16);
        let mut restored = Timers::restored(at(5), &saved);
        for number in 0..=u16::MAX {
            let due = at(u64::from(number) + 5);
            assert_eq!(restored.take_due(at(1 << 20)), Some((number, due)));
        }
    }
}
