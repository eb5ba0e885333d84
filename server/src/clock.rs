//! The server's clock: the monotonic one, or one that stands still until it is told to move.
//!
//! ```
//! use std::time::Duration;
//!
//! use dormouse::clock::Clock;
//!
//! let mut clock = Clock::manual();
//! clock.advance(Duration::from_millis(5));
//! assert_eq!(clock.now().as_nanos(), 5_000_000);
//! ```

use std::time::Duration;

use pci_device_models::time::Time;
use rustix::time::{ClockId, clock_gettime};

/// Gives the devices their time, counted from the clock's creation.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// The system's time since `start`, and the nanoseconds that [`Clock::advance`] added.
    Monotonic { start: Time, offset: u64 },
    /// Moves by [`Clock::advance`] only.
    Manual { now: Time },
}

impl Default for Clock {
    fn default() -> Self {
        Self::monotonic()
    }
}

impl Clock {
    /// A clock that runs.
    #[must_use]
    pub fn monotonic() -> Self {
        Self(Kind::Monotonic {
            start: system(),
            offset: 0,
        })
    }

    /// A clock that stands still.
    #[must_use]
    pub const fn manual() -> Self {
        Self(Kind::Manual { now: Time::ZERO })
    }

    /// Returns whether time passes only by [`Self::advance`].
    #[must_use]
    pub const fn is_manual(&self) -> bool {
        matches!(self.0, Kind::Manual { .. })
    }

    /// Returns the present time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.at(system())
    }

    /// Returns the time of this clock at `system` of the [system's clock](system), for callers that have
    /// read that already.
    #[must_use]
    pub(crate) fn at(&self, system: Time) -> Time {
        match self.0 {
            Kind::Monotonic { start, offset } => {
                let running = system.as_nanos().saturating_sub(start.as_nanos());
                Time::from_nanos(running.saturating_add(offset))
            }
            Kind::Manual { now } => now,
        }
    }

    /// Moves the clock forward. A running clock jumps and continues.
    pub fn advance(&mut self, span: Duration) {
        match &mut self.0 {
            Kind::Monotonic { offset, .. } => {
                *offset = Time::from_nanos(*offset).after(span).as_nanos()
            }
            Kind::Manual { now } => *now = now.after(span),
        }
    }

    /// Returns the time until `deadline`, zero if it has passed, or `None` if the clock is manual.
    #[must_use]
    pub fn until(&self, deadline: Time) -> Option<Duration> {
        let left = deadline.since(self.now());
        (!self.is_manual() || left.is_zero()).then_some(left)
    }
}

/// The system's monotonic clock.
#[must_use]
pub(crate) fn system() -> Time {
    let now = clock_gettime(ClockId::Monotonic);
    // Neither is ever negative.
    let (seconds, nanos) = (now.tv_sec as u64, now.tv_nsec as u64);
    Time::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let mut clock = Clock::manual();
        let deadline = Time::ZERO.after(HOUR);
        assert_eq!((clock.now(), clock.until(deadline)), (Time::ZERO, None));
        clock.advance(HOUR);
        assert_eq!(
            (clock.now(), clock.until(deadline)),
            (deadline, Some(Duration::ZERO))
        );
    }

    #[test]
    fn a_running_clock_jumps_and_runs_on() {
        let mut clock = Clock::monotonic();
        let before = clock.now();
        clock.advance(HOUR);
        let after = clock.now();
        assert!(after.since(before) >= HOUR);
        assert!(
            clock
                .until(after.after(HOUR))
                .is_some_and(|left| left <= HOUR)
        );
        assert!(clock.now() >= after);
    }
}
