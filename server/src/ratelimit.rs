//! Limits log lines that a client or a guest can trigger, which would otherwise fill the disk: their
//! number, and their bytes.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use rustix::time::{ClockId, clock_gettime};

use crate::escape::Escaped;

/// Maximum lines of one call site in [`WINDOW_SECONDS`].
static BURST: AtomicU32 = AtomicU32::new(5);
const WINDOW_SECONDS: u64 = 10;

/// Bytes of the lines of all call sites in [`WINDOW_SECONDS`], after which no more are logged.
const MAX_BYTES: usize = 64 << 10;
/// Bytes of a line without the text of others: time, level, place in the code, message, numbers.
const LINE_BYTES: usize = 384;
/// Maximum bytes of a text of others in a line.
const TEXT_BYTES: usize = 512;

static SPENT: Spent = Spent::new();

/// Sets the maximum lines of one call site in ten seconds.
#[cfg(feature = "cli")]
pub(crate) fn set_burst(lines: u32) {
    BURST.store(lines, Ordering::Relaxed);
}

/// The bytes that all call sites of a process have logged.
#[derive(Debug)]
struct Spent {
    window: AtomicU64,
    bytes: AtomicUsize,
}

impl Spent {
    const fn new() -> Self {
        Self {
            window: AtomicU64::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    /// Returns whether another line may be logged in this window, and counts what it has at least.
    fn has_room(&self, window: u64) -> bool {
        if self.window.swap(window, Ordering::Relaxed) != window {
            self.bytes.store(0, Ordering::Relaxed);
        }
        let room = self.bytes.load(Ordering::Relaxed) < MAX_BYTES;
        if room {
            self.add(LINE_BYTES);
        }
        room
    }

    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The limit of one place in the code; see [`limited!`].
#[derive(Debug)]
pub(crate) struct RateLimit {
    window: AtomicU64,
    lines: AtomicU32,
    left_out: AtomicU32,
}

impl RateLimit {
    pub(crate) const fn new() -> Self {
        Self {
            window: AtomicU64::new(0),
            lines: AtomicU32::new(0),
            left_out: AtomicU32::new(0),
        }
    }

    /// Returns `Some` if a line may be logged now. Otherwise counts it as dropped.
    pub(crate) fn allows(&self) -> Option<Suppressed> {
        let seconds = clock_gettime(ClockId::MonotonicCoarse).tv_sec;
        let burst = BURST.load(Ordering::Relaxed);
        self.allows_at(u64::try_from(seconds).unwrap_or_default(), burst, &SPENT)
    }

    fn allows_at(&self, seconds: u64, burst: u32, spent: &Spent) -> Option<Suppressed> {
        // Counted from 1, so that the initial 0 is never the present window.
        let window = seconds / WINDOW_SECONDS + 1;
        if self.window.swap(window, Ordering::Relaxed) != window {
            self.lines.store(0, Ordering::Relaxed);
        }
        if self.lines.load(Ordering::Relaxed) < burst && spent.has_room(window) {
            self.lines.fetch_add(1, Ordering::Relaxed);
            return Some(Suppressed(self.left_out.swap(0, Ordering::Relaxed)));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// The number of lines of the same call site that were dropped before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suppressed(pub(crate) u32);

/// A text of others in a log line: escaped, cut, and counted.
#[derive(Debug)]
pub(crate) struct Text<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Escaped::new(f, TEXT_BYTES);
        // An error says that the text is cut, which is no error of the line.
        let _ = fmt::write(&mut text, format_args!("{}", self.0));
        SPENT.add(text.taken());
        Ok(())
    }
}

/// `limited!(warn, …)` is `tracing::warn!(…)`, a few times in ten seconds at most, with each `%value` as a
/// [`Text`].
macro_rules! limited {
    (@line $level:ident, $count:ident, [$($done:tt)*] $name:ident = % $value:expr, $($rest:tt)+) => {
        limited!(@line $level, $count,
            [$($done)* $name = %$crate::ratelimit::Text(&$value),] $($rest)+)
    };
    (@line $level:ident, $count:ident, [$($done:tt)*] % $value:ident, $($rest:tt)+) => {
        limited!(@line $level, $count,
            [$($done)* $value = %$crate::ratelimit::Text(&$value),] $($rest)+)
    };
    (@line $level:ident, $count:ident, [$($done:tt)*] $name:ident = $value:expr, $($rest:tt)+) => {
        limited!(@line $level, $count, [$($done)* $name = $value,] $($rest)+)
    };
    (@line $level:ident, $count:ident, [$($done:tt)*] $value:ident, $($rest:tt)+) => {
        limited!(@line $level, $count, [$($done)* $value,] $($rest)+)
    };
    (@line $level:ident, $count:ident, [$($done:tt)*] $message:literal $(, $number:expr)* $(,)?) => {
        if $count == 0 {
            ::tracing::$level!($($done)* $message $(, $number)*);
        } else {
            ::tracing::$level!(suppressed = $count, $($done)* $message $(, $number)*);
        }
    };
    ($level:ident, $($line:tt)+) => {{
        static LIMIT: $crate::ratelimit::RateLimit = $crate::ratelimit::RateLimit::new();
        if let Some($crate::ratelimit::Suppressed(suppressed)) = LIMIT.allows() {
            limited!(@line $level, suppressed, [] $($line)+)
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
            let (limit, spent) = (RateLimit::new(), Spent::new());
            let passed = (0..20).filter(|_| limit.allows_at(3, burst, &spent).is_some());
            assert_eq!(passed.count(), burst as usize);
            let next = || limit.allows_at(WINDOW_SECONDS, burst, &spent);
            assert_eq!(next(), Some(Suppressed(20 - burst)));
            assert_eq!(next(), (burst > 1).then_some(Suppressed(0)));
        }
    }

    /// Many call sites, each with as many lines as it likes and as much text as fits: what all of them
    /// log is bounded, and none is silent for ever.
    #[test]
    fn the_bytes_of_all_call_sites_are_bounded() {
        let sites: Vec<RateLimit> = (0..100).map(|_| RateLimit::new()).collect();
        let spent = Spent::new();
        for seconds in (0..60).step_by(WINDOW_SECONDS as usize) {
            let mut bytes = 0;
            for site in sites.iter().cycle().take(10_000) {
                if site.allows_at(seconds, u32::MAX, &spent).is_some() {
                    spent.add(TEXT_BYTES);
                    bytes += LINE_BYTES + TEXT_BYTES;
                }
            }
            assert!(bytes >= MAX_BYTES, "{bytes} bytes");
            assert!(bytes < MAX_BYTES + LINE_BYTES + TEXT_BYTES, "{bytes} bytes");
        }
        let quiet = RateLimit::new();
        assert_eq!(
            quiet.allows_at(0, 5, &spent),
            Some(Suppressed(0)),
            "a new window"
        );
    }

    #[test]
    fn text_of_others_is_escaped_and_cut() {
        let text = Text("\n\u{9b}".repeat(1000)).to_string();
        assert!(
            text.starts_with(r"\n\u{9b}\n") && text.ends_with('…'),
            "{text}"
        );
        assert!(text.len() <= TEXT_BYTES, "{} bytes", text.len());
    }
}
