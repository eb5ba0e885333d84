//! The server's clock: the monotonic one, or one that stands still until it is told to move.

use std::time::{Duration, Instant};

use pci_device_models::time::Time;

/// Gives the devices their time, counted from the clock's creation.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// Real time since `start`, and what was added by [`Clock::advance`].
    Monotonic { start: Instant, offset: Duration },
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
            start: Instant::now(),
            offset: Duration::ZERO,
        })
    }

    /// A clock that stands still.
    #[must_use]
    pub const fn manual() -> Self {
        Self(Kind::Manual { now: Time::ZERO })
    }

    /// Whether time passes only by [`Self::advance`].
    #[must_use]
    pub const fn is_manual(&self) -> bool {
        matches!(self.0, Kind::Manual { .. })
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Time {
        self.at(Instant::now())
    }

    /// What a running clock shows at `instant`, for who has looked at the system's clock already.
    #[must_use]
    pub(crate) fn at(&self, instant: Instant) -> Time {
        match self.0 {
            Kind::Monotonic { start, offset } => {
                let running = instant.saturating_duration_since(start);
                Time::ZERO.after(running.saturating_add(offset))
            }
            Kind::Manual { now } => now,
        }
    }

    /// Moves time forward. A running clock jumps and runs on.
    pub fn advance(&mut self, span: Duration) {
        match &mut self.0 {
            Kind::Monotonic { offset, .. } => *offset = offset.saturating_add(span),
            Kind::Manual { now } => *now = now.after(span),
        }
    }

    /// How long to sleep until `deadline`, zero if it has passed. `None`: it does not come by
    /// itself.
    #[must_use]
    pub fn until(&self, deadline: Time) -> Option<Duration> {
        let left = deadline.since(self.now());
        (!self.is_manual() || left.is_zero()).then_some(left)
    }
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
