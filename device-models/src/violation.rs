//! Actions of software that hardware leaves undefined, forbids or silently drops.
//!
//! ```
//! use pci_device_models::power::PowerState;
//! use pci_device_models::time::Time;
//! use pci_device_models::violation::{Violation, Violations};
//!
//! let mut violations = Violations::default();
//! let state = PowerState::D3hot;
//! violations.record(Time::ZERO, Violation::AccessOutsideD0 { state });
//! let report = violations.report();
//! assert_eq!((report.total, report.counts["access-outside-d0"]), (1, 1));
//! ```

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::power::{self, PowerState};
use crate::snapshot::RestoreError;
use crate::time::Time;

/// Number of records kept for inspection. Older ones are only counted.
const KEPT: usize = 64;
/// Number of a model's rules that are counted by name. Violations of further rules are counted in
/// [`OTHER_RULES`].
const RULES: usize = 64;
/// Name for all rules past the first [`RULES`].
const OTHER_RULES: &str = "other";
/// Prefix of the rule in the name of a model's violation.
const MODEL: &str = "model.";
/// Maximum length in bytes of a rule's name, and of the text of one violation.
const RULE_LENGTH: usize = 64;
const TEXT_LENGTH: usize = 256;

/// A mistake of the software that drives the function.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "violation", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Violation {
    /// An access before the recovery time of a transition or reset was over (PCIe Base §5.9).
    TooEarly {
        /// Time by which the access was too early, in nanoseconds.
        early_nanos: u64,
    },
    /// Software requested in PMCSR a state that no edge of the state diagram reaches.
    IllegalTransition {
        /// State at the time.
        #[serde(deserialize_with = "power::deserialize_shown")]
        from: PowerState,
        /// Requested state.
        #[serde(deserialize_with = "power::deserialize_shown")]
        to: PowerState,
    },
    /// Software requested in PMCSR a state that PMC does not advertise.
    UnsupportedState {
        /// Requested state.
        #[serde(deserialize_with = "power::deserialize_shown")]
        to: PowerState,
    },
    /// A BAR or the ROM was accessed outside D0.
    AccessOutsideD0 {
        /// State at the time.
        #[serde(deserialize_with = "power::deserialize_shown")]
        state: PowerState,
    },
    /// A BAR or the ROM was accessed while its decoding was off.
    DecodeOff,
    /// The function went to sleep with transactions pending (PCIe Base §5.3.1.4).
    TransactionsPending,
    /// The function went to D3cold again without its driver, which has to prepare it.
    ColdWithoutDriver,
    /// The device model noticed a violation.
    Model {
        /// Name of the rule, which is the model's own.
        rule: String,
        /// The action of software.
        text: String,
    },
}

impl Violation {
    /// Creates a violation of a rule of the device model. Both strings are cut to their limits.
    pub(crate) fn of_model(rule: &str, text: &str) -> Self {
        Self::Model {
            rule: cut(rule, RULE_LENGTH).to_owned(),
            text: cut(text, TEXT_LENGTH).to_owned(),
        }
    }
}

/// Returns the first `most` bytes of a text, or a few less so that its last character is whole.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let ends = (0..=most.min(text.len())).rev();
    let mut pieces = ends.filter_map(|end| text.get(..end));
    pieces.next().unwrap_or_default()
}

const KINDS: [&str; 7] = [
    "too-early",
    "illegal-transition",
    "unsupported-state",
    "access-outside-d0",
    "decode-off",
    "transactions-pending",
    "cold-without-driver",
];

/// The recorded violations: all are counted by kind, and the last ones are kept with their time.
#[derive(Debug, Default)]
pub struct Violations {
    counts: [u64; KINDS.len()],
    /// Counts of the device model's rules, by name.
    rules: BTreeMap<String, u64>,
    last: VecDeque<(Time, Violation)>,
}

/// The saved state of [`Violations`]: counts only, since the records have times of another clock.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedViolations {
    counts: [u64; KINDS.len()],
    rules: BTreeMap<String, u64>,
}

impl Violations {
    pub(crate) fn save(&self) -> SavedViolations {
        let Self {
            counts,
            rules,
            last: _,
        } = self;
        SavedViolations {
            counts: *counts,
            rules: rules.clone(),
        }
    }

    /// Restores violations from a saved state. `at` is its place in the tree.
    pub(crate) fn restored(at: &str, saved: SavedViolations) -> Result<Self, RestoreError> {
        let SavedViolations { counts, rules } = saved;
        // The one that stands for all further rules comes on top.
        if rules.len() > RULES + 1 || rules.keys().any(|rule| rule.len() > RULE_LENGTH) {
            let reason = format!("at most {RULES} rules of up to {RULE_LENGTH} bytes are counted");
            return Err(RestoreError::part(at, reason));
        }
        Ok(Self {
            counts,
            rules,
            last: VecDeque::new(),
        })
    }

    /// Counts and keeps a violation.
    pub fn record(&mut self, now: Time, violation: Violation) {
        let count = self.count_of(&violation);
        *count = count.saturating_add(1);
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back((now, violation));
    }

    fn count_of(&mut self, violation: &Violation) -> &mut u64 {
        let [
            early,
            illegal,
            unsupported,
            outside_d0,
            decode,
            pending,
            cold,
        ] = &mut self.counts;
        match violation {
            Violation::TooEarly { .. } => early,
            Violation::IllegalTransition { .. } => illegal,
            Violation::UnsupportedState { .. } => unsupported,
            Violation::AccessOutsideD0 { .. } => outside_d0,
            Violation::DecodeOff => decode,
            Violation::TransactionsPending => pending,
            Violation::ColdWithoutDriver => cold,
            Violation::Model { rule, .. } => {
                let known = self.rules.contains_key(rule) || self.rules.len() < RULES;
                let rule = if known { rule } else { OTHER_RULES };
                self.rules.entry(rule.to_owned()).or_default()
            }
        }
    }

    /// Returns the sum of all counts.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts
            .iter()
            .chain(self.rules.values())
            .fold(0, |total, count| total.saturating_add(*count))
    }

    /// Returns the counts and the last records.
    #[must_use]
    pub fn report(&self) -> ViolationReport {
        let of_model = |(rule, count): (&String, &u64)| (format!("{MODEL}{rule}"), *count);
        let counts = KINDS.into_iter().zip(self.counts);
        ViolationReport {
            total: self.total(),
            counts: counts
                .map(|(kind, count)| (kind.to_owned(), count))
                .chain(self.rules.iter().map(of_model))
                .collect(),
            last: (self.last.iter())
                .map(|(at, violation)| ViolationRecord {
                    nanos: at.as_nanos(),
                    what: violation.clone(),
                })
                .collect(),
        }
    }
}

/// The violations of a function since power-on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ViolationReport {
    /// Sum of all counts.
    pub total: u64,
    /// Counts by kind, with 0 for kinds that did not occur; those of a model's rules are
    /// `model.RULE`.
    pub counts: BTreeMap<String, u64>,
    /// The last violations, in order.
    pub last: Vec<ViolationRecord>,
}

/// A violation and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ViolationRecord {
    /// The function's time, in nanoseconds.
    pub nanos: u64,
    /// The violation.
    pub what: Violation,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_models_are_counted_by_name_up_to_a_limit() {
        let mut violations = Violations::default();
        for number in 0..RULES + 5 {
            for _ in 0..2 {
                let violation = Violation::of_model(&format!("rule-{number}"), "text");
                violations.record(Time::ZERO, violation);
            }
        }
        let found = violations.report();
        assert_eq!(found.total, 2 * (RULES as u64 + 5));
        assert_eq!(found.counts["model.rule-0"], 2);
        assert_eq!(found.counts["model.other"], 10);
        assert_eq!(found.counts.len(), 7 + RULES + 1);
        assert_eq!(found.last.len(), KEPT);
        let restored = Violations::restored("here", violations.save()).unwrap();
        assert_eq!(restored.report().counts, found.counts);
    }

    #[test]
    fn names_and_texts_are_cut_between_characters() {
        let long = "é".repeat(200);
        let Violation::Model { rule, text } = Violation::of_model(&format!("x{long}"), &long)
        else {
            panic!("it is a model's");
        };
        assert_eq!((rule.len(), text.len()), (RULE_LENGTH - 1, TEXT_LENGTH));
    }

    #[test]
    fn counts_beyond_the_limits_are_not_restored() {
        let counts = [0; KINDS.len()];
        let many = (0..RULES + 2).map(|number| (number.to_string(), 1));
        let long = [("r".repeat(RULE_LENGTH + 1), 1)];
        for rules in [many.collect(), BTreeMap::from(long)] {
            let saved = SavedViolations { counts, rules };
            assert!(Violations::restored("here", saved).is_err());
        }
    }
}
