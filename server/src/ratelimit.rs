//! Limits log lines that a client or a guest can trigger, which would otherwise fill the disk.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::time::{ClockId, clock_gettime};

/// Maximum lines of one call site in [`WINDOW_SECONDS`].
static BURST: AtomicU32 = AtomicU32::new(5);
const WINDOW_SECONDS: u64 = 10;

/// Sets the maximum lines of one call site in ten seconds.
#[cfg(feature = "cli")]
pub(crate) fn set_burst(lines: u32) {
    BURST.store(lines, Ordering::Relaxed);
}

/// The limit of one place in the code; see [`limited!`].
#[derive(Debug)]
pub(crate) struct RateLimit {
    window: AtomicU64,
    lines: AtomicU32,
}

impl RateLimit {
    pub(crate) const fn new() -> Self {
        Self {
            window: AtomicU64::new(0),
            lines: AtomicU32::new(0),
        }
    }

    /// Returns `Some` if a line may be logged now. Otherwise counts it as dropped.
    pub(crate) fn allows(&self) -> Option<Suppressed> {
        let seconds = clock_gettime(ClockId::MonotonicCoarse).tv_sec;
        let burst = BURST.load(Ordering::Relaxed);
        self.allows_at(u64::try_from(seconds).unwrap_or_default(), burst)
    }

    fn allows_at(&self, seconds: u64, burst: u32) -> Option<Suppressed> {
        // Counted from 1, so that the initial 0 is never the present window.
        let window = seconds / WINDOW_SECONDS + 1;
        let mut left_out = 0;
        if self.window.swap(window, Ordering::Relaxed) != window {
            left_out = self.lines.swap(0, Ordering::Relaxed).saturating_sub(burst);
        }
        let lines = self.lines.fetch_add(1, Ordering::Relaxed);
        (lines < burst).then_some(Suppressed(left_out))
    }
}

/// The number of lines of the same call site that were dropped before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suppressed(pub(crate) u32);

/// `limited!(warn, …)` is `tracing::warn!(…)`, a few times in ten seconds at most.
macro_rules! limited {
    ($level:ident, $($line:tt)+) => {{
        static LIMIT: $crate::ratelimit::RateLimit = $crate::ratelimit::RateLimit::new();
        if let Some($crate::ratelimit::Suppressed(suppressed)) = LIMIT.allows() {
            if suppressed == 0 {
                ::tracing::$level!($($line)+);
            } else {
                ::tracing::$level!(suppressed, $($line)+);
            }
        }
    }};
}
pub(crate) use limited;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_next_window_says_what_was_left_out() {
        for burst in [1, 5, 19] {
            let limit = RateLimit::new();
            let passed = (0..20).filter(|_| limit.allows_at(3, burst).is_some());
            assert_eq!(passed.count(), burst as usize);
            let next = |limit: &RateLimit| limit.allows_at(WINDOW_SECONDS, burst);
            assert_eq!(next(&limit), Some(Suppressed(20 - burst)));
            assert_eq!(next(&limit), (burst > 1).then_some(Suppressed(0)));
        }
    }
}
