//! A function's own time, which stands still while it is stopped for migration.

use pci_device_models::time::Time;

/// Translates between the server's time and the function's.
#[derive(Debug, Default)]
pub(crate) struct OwnTime {
    /// Nanoseconds for which it has stood still so far.
    behind: u64,
    /// The server's time when the function's was last looked at.
    looked: Time,
    /// The time that it shows while it stands still.
    still: Option<Time>,
}

impl OwnTime {
    /// What it shows when the server's clock shows `now`.
    pub(crate) fn at(&mut self, now: Time) -> Time {
        self.looked = now;
        self.show()
    }

    fn show(&self) -> Time {
        let going = Time::from_nanos(self.looked.as_nanos().saturating_sub(self.behind));
        self.still.unwrap_or(going)
    }

    /// Stands still where it was last looked at.
    pub(crate) fn stop(&mut self) {
        self.still = Some(self.show());
    }

    /// Goes on from where it stood still.
    pub(crate) fn go_on(&mut self) {
        if let Some(shown) = self.still.take() {
            self.behind = self.looked.as_nanos().saturating_sub(shown.as_nanos());
        }
    }

    /// The server's time when this one shows `deadline`. `None`: not while it stands still.
    pub(crate) fn when(&self, deadline: Time) -> Option<Time> {
        let server = deadline.as_nanos().saturating_add(self.behind);
        self.still.is_none().then_some(Time::from_nanos(server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn time(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }

    #[test]
    fn it_lags_behind_by_the_time_that_it_stood_still() {
        let mut own = OwnTime::default();
        assert_eq!(own.at(time(7)), time(7));
        own.stop();
        assert_eq!((own.at(time(50)), own.when(time(9))), (time(7), None));
        own.go_on();
        assert_eq!(own.when(time(9)), Some(time(52)));
        assert_eq!(own.at(time(52)), time(9));
        own.go_on();
        assert_eq!(own.at(time(60)), time(17), "it goes already");
        own.stop();
        own.at(time(100));
        own.go_on();
        assert_eq!(own.at(time(101)), time(18));
    }
}
