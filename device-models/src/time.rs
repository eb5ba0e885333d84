//! Virtual time: callers tell the core the time, and the core returns deadlines.
//!
//! ```
//! use std::time::Duration;
//!
//! use pci_device_models::time::{Time, earliest};
//!
//! let due = Time::ZERO.after(Duration::from_millis(2));
//! assert_eq!(due.since(Time::ZERO), Duration::from_millis(2));
//! assert_eq!(earliest(Some(due), None), Some(due));
//! ```

use std::fmt;
use std::time::Duration;

/// A point in time, in nanoseconds since an origin of the caller's choice.
///
/// The daemon counts from its start on the monotonic clock, and a test from any origin. Nothing in
/// this crate reads a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// Creates the point `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns the nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Returns the time passed since `earlier`, zero if that lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Returns the point `span` later. It saturates at the end of time, about 584 years after the
    /// origin.
    #[must_use]
    pub const fn after(self, span: Duration) -> Self {
        let nanos = span.as_secs().saturating_mul(1_000_000_000);
        let nanos = nanos.saturating_add(span.subsec_nanos() as u64);
        Self(self.0.saturating_add(nanos))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} ms", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Returns the earlier of two deadlines, where `None` means never.
#[must_use]
pub fn earliest(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
