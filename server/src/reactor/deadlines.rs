//! Deadlines of the served functions.

use pci_device_models::time::{Time, earliest};

/// The next deadline of each function, and the first of them all, which is asked for in every turn
/// of the loop.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    each: Vec<Option<Time>>,
    first: Option<Time>,
}

impl Deadlines {
    /// Makes room for another function, which has none.
    pub(super) fn push(&mut self) {
        self.each.push(None);
    }

    /// From now on this is the deadline of the function of that number.
    pub(super) fn set(&mut self, number: usize, deadline: Option<Time>) {
        let Some(place) = self.each.get_mut(number).filter(|old| **old != deadline) else {
            return;
        };
        let old = std::mem::replace(place, deadline);
        self.first = if old.is_some() && old == self.first {
            self.each.iter().flatten().min().copied()
        } else {
            earliest(self.first, deadline)
        };
    }

    /// The first one.
    pub(super) const fn first(&self) -> Option<Time> {
        self.first
    }

    /// The function from `number` on whose deadline has come at `now`.
    pub(super) fn next_due(&self, number: usize, now: Time) -> Option<usize> {
        let mut rest = self.each.iter().enumerate().skip(number);
        let due = rest.find(|(_, deadline)| deadline.is_some_and(|at| at <= now));
        due.map(|(number, _)| number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_that_of_all_whatever_changes() {
        let mut deadlines = Deadlines::default();
        (0..3).for_each(|_| deadlines.push());
        let choices = [None, Some(1), Some(2), Some(3)].map(|nanos| nanos.map(Time::from_nanos));
        // Every change from every state.
        for states in 0..4_usize.pow(3) {
            for (number, deadline) in (0..3).flat_map(|number| choices.map(|to| (number, to))) {
                for other in 0..3 {
                    deadlines.set(other, choices[states >> (2 * other) & 3]);
                }
                deadlines.set(number, deadline);
                let all = deadlines.each.iter().flatten();
                assert_eq!(deadlines.first(), all.min().copied());
            }
        }
    }

    #[test]
    fn those_that_are_due_come_in_their_order() {
        let mut deadlines = Deadlines::default();
        for nanos in [Some(5), None, Some(3), Some(4)] {
            deadlines.push();
            deadlines.set(deadlines.each.len() - 1, nanos.map(Time::from_nanos));
        }
        let now = Time::from_nanos(4);
        assert_eq!(deadlines.next_due(0, now), Some(2));
        assert_eq!(deadlines.next_due(3, now), Some(3));
        assert_eq!(deadlines.next_due(4, now), None);
        // One that does not exist has none.
        deadlines.set(9, Some(now));
        assert_eq!(deadlines.first(), Some(Time::from_nanos(3)));
    }
}
