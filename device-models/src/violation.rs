//! What software did that hardware leaves undefined, forbids or silently drops.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::power::PowerState;
use crate::time::Time;

/// Records kept for inspection; older ones are only counted.
const KEPT: usize = 64;

/// A mistake of the software that drives the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "violation", rename_all = "kebab-case")]
pub enum Violation {
    /// An access before the recovery time of a transition or reset was over (PCIe Base §5.9).
    TooEarly {
        /// How much too early, in nanoseconds.
        early_nanos: u64,
    },
    /// PMCSR was asked for a state that no edge of the state diagram reaches.
    IllegalTransition {
        /// State at the time.
        from: PowerState,
        /// State asked for.
        to: PowerState,
    },
    /// PMCSR was asked for a state that PMC does not advertise.
    UnsupportedState {
        /// State asked for.
        to: PowerState,
    },
    /// A BAR or the ROM was accessed outside D0.
    AccessOutsideD0 {
        /// State at the time.
        state: PowerState,
    },
    /// A BAR or the ROM was accessed while its decoding was off.
    DecodeOff,
    /// The function went to sleep with transactions pending (PCIe Base §5.3.1.4).
    TransactionsPending,
}

impl Violation {
    /// Position of the kind in [`KINDS`].
    const fn kind(self) -> usize {
        match self {
            Self::TooEarly { .. } => 0,
            Self::IllegalTransition { .. } => 1,
            Self::UnsupportedState { .. } => 2,
            Self::AccessOutsideD0 { .. } => 3,
            Self::DecodeOff => 4,
            Self::TransactionsPending => 5,
        }
    }
}

const KINDS: [&str; 6] = [
    "too-early",
    "illegal-transition",
    "unsupported-state",
    "access-outside-d0",
    "decode-off",
    "transactions-pending",
];

/// The violations seen: counted by kind, the last ones kept with their time.
#[derive(Debug, Default)]
pub struct Violations {
    counts: [u64; KINDS.len()],
    last: VecDeque<(Time, Violation)>,
}

/// What is saved of [`Violations`]: the records are of another clock.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedViolations {
    counts: [u64; KINDS.len()],
}

impl Violations {
    pub(crate) fn save(&self) -> SavedViolations {
        let Self { counts, last: _ } = self;
        SavedViolations { counts: *counts }
    }

    pub(crate) fn restored(SavedViolations { counts }: SavedViolations) -> Self {
        Self {
            counts,
            last: VecDeque::new(),
        }
    }

    /// Counts and keeps one.
    pub fn record(&mut self, now: Time, violation: Violation) {
        if let Some(count) = self.counts.get_mut(violation.kind()) {
            *count = count.saturating_add(1);
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back((now, violation));
    }

    /// All counts together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts
            .iter()
            .fold(0, |total, count| total.saturating_add(*count))
    }

    /// Counts by kind and the last records with their time in nanoseconds.
    #[must_use]
    pub fn inspect(&self) -> Value {
        let counts: serde_json::Map<String, Value> = KINDS
            .into_iter()
            .zip(self.counts)
            .map(|(kind, count)| (kind.to_owned(), count.into()))
            .collect();
        let last: Vec<Value> = self
            .last
            .iter()
            .map(|(at, violation)| json!({ "nanos": at.as_nanos(), "what": violation }))
            .collect();
        json!({ "total": self.total(), "counts": counts, "last": last })
    }
}
