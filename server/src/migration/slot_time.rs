//! A slot's own time, which stands still while one of its functions is stopped for migration.

use pci_device_models::slot::FunctionNumber;
use pci_device_models::time::Time;

/// Translates between the server's time and the slot's.
#[derive(Debug, Default)]
pub(crate) struct SlotTime {
    /// Nanoseconds for which it has stood still so far.
    behind: u64,
    /// The server's time when the slot's was last asked for.
    asked: Time,
    /// The time that it shows while it stands still.
    still: Option<Time>,
    /// The functions that are stopped, a bit for each.
    stopped: u8,
    /// The functions that begin no transfers for migration, a bit for each.
    resting: u8,
    /// It has gone on since that was last asked for.
    went_on: bool,
}

impl SlotTime {
    /// Returns the slot's time when the server's clock shows `now`.
    pub(crate) fn at(&mut self, now: Time) -> Time {
        self.asked = now;
        self.show()
    }

    fn show(&self) -> Time {
        let going = Time::from_nanos(self.asked.as_nanos().saturating_sub(self.behind));
        self.still.unwrap_or(going)
    }

    /// Stands still where it was last asked for, until this function goes on and no other is stopped.
    pub(crate) fn stop(&mut self, function: FunctionNumber) {
        self.still = Some(self.show());
        self.stopped |= bit(function);
    }

    /// Goes on from where it stood still, unless another function is stopped.
    pub(crate) fn go_on(&mut self, function: FunctionNumber) {
        self.stopped &= !bit(function);
        if self.stopped == 0
            && let Some(shown) = self.still.take()
        {
            self.behind = self.asked.as_nanos().saturating_sub(shown.as_nanos());
            self.went_on = true;
        }
    }

    /// Notes whether a function begins no transfers for migration.
    pub(crate) fn set_rests(&mut self, function: FunctionNumber, rests: bool) {
        if rests {
            self.resting |= bit(function);
        } else {
            self.resting &= !bit(function);
        }
    }

    /// Returns whether a function begins no transfers for migration.
    pub(crate) fn rests(&self, function: FunctionNumber) -> bool {
        self.resting & bit(function) != 0
    }

    /// Returns whether it has gone on since this was last called.
    pub(crate) const fn take_went_on(&mut self) -> bool {
        std::mem::replace(&mut self.went_on, false)
    }

    /// Returns whether it stands still.
    pub(crate) const fn is_still(&self) -> bool {
        self.still.is_some()
    }

    /// Returns the server's time when this one shows `deadline`, or nothing while it stands still.
    pub(crate) fn when(&self, deadline: Time) -> Option<Time> {
        let server = deadline.as_nanos().saturating_add(self.behind);
        self.still.is_none().then_some(Time::from_nanos(server))
    }
}

fn bit(function: FunctionNumber) -> u8 {
    1 << u8::from(function)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn time(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }

    #[test]
    fn it_lags_behind_by_the_time_that_it_stood_still() {
        let first = FunctionNumber::ZERO;
        let mut own = SlotTime::default();
        assert_eq!(own.at(time(7)), time(7));
        own.stop(first);
        assert_eq!((own.at(time(50)), own.when(time(9))), (time(7), None));
        own.go_on(first);
        assert_eq!(own.when(time(9)), Some(time(52)));
        assert_eq!(own.at(time(52)), time(9));
        own.go_on(first);
        assert_eq!(own.at(time(60)), time(17), "it goes already");
        own.stop(first);
        own.at(time(100));
        own.go_on(first);
        assert_eq!(own.at(time(101)), time(18));
    }

    #[test]
    fn it_goes_on_when_no_function_is_stopped() {
        let second = FunctionNumber::try_from(1).unwrap();
        let mut own = SlotTime::default();
        own.at(time(10));
        own.stop(FunctionNumber::ZERO);
        own.at(time(20));
        own.stop(second);
        own.go_on(FunctionNumber::ZERO);
        assert!(own.is_still());
        assert_eq!(own.at(time(30)), time(10));
        own.go_on(second);
        assert_eq!(own.at(time(31)), time(11));
    }
}
