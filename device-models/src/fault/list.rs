//! The faults that are set, and those of them that an occurrence strikes.

use serde::{Deserialize, Serialize};

use super::consequence::Consequence;
use super::random::Random;
use super::when::{Occasion, Occurrence, Pick};
use super::{Fault, FaultError, FaultStatus, MAX_FAULTS};
use crate::snapshot::{RestoreError, due, left};
use crate::time::{Time, earliest};

/// The faults of a function, or of the host above it.
#[derive(Debug, Default)]
pub(crate) struct FaultList {
    armed: Vec<Armed>,
}

/// A fault that is set.
#[derive(Debug)]
struct Armed {
    name: String,
    fault: Fault,
    occurred: u64,
    struck: u64,
    /// Nanoseconds of the device's time, negative before its origin, as a restored one may be.
    last: Option<i64>,
    random: Random,
    /// Occurrences before this time do not count.
    from: Time,
    /// Next occurrence that time brings about.
    due: Option<Time>,
}

/// A fault that strikes.
#[derive(Debug)]
pub(crate) struct Struck {
    pub(crate) name: String,
    pub(crate) what: String,
    /// Number of its strikes so far.
    pub(crate) count: u64,
    /// Time of the occurrence.
    pub(crate) at: Time,
    pub(crate) consequence: Consequence,
}

/// The saved form of a fault that is set.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedFault {
    pub(crate) fault: Fault,
    occurred: u64,
    struck: u64,
    /// Nanoseconds since the last strike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_ago_nanos: Option<i64>,
    random: Random,
    from_nanos: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due_nanos: Option<u64>,
}

impl Armed {
    fn new(now: Time, name: String, fault: Fault) -> Self {
        let seed = match fault.when.pick {
            Pick::Chance { seed, .. } => seed,
            Pick::Each | Pick::Nth(_) | Pick::First(_) => 0,
        };
        Self {
            name,
            occurred: 0,
            struck: 0,
            last: None,
            random: Random::new(seed),
            from: now.after(fault.when.from),
            due: fault.when.occasion.first_due().map(|span| now.after(span)),
            fault,
        }
    }

    /// Counts an occurrence, and returns the strike if the fault strikes it.
    fn occur(&mut self, at: Time) -> Option<Struck> {
        if at < self.from {
            return None;
        }
        self.occurred = self.occurred.saturating_add(1);
        let strikes = match self.fault.when.pick {
            Pick::Each => true,
            Pick::Nth(nth) => self.occurred == nth,
            Pick::First(first) => self.occurred <= first,
            Pick::Chance { of, all, seed: _ } => self.random.chance(of, all),
        };
        strikes.then(|| {
            self.struck = self.struck.saturating_add(1);
            self.last = Some(signed(at));
            Struck {
                name: self.name.clone(),
                what: self.fault.what.to_string(),
                count: self.struck,
                at,
                consequence: self.fault.what.consequence().clone(),
            }
        })
    }
}

fn signed(at: Time) -> i64 {
    i64::try_from(at.as_nanos()).unwrap_or(i64::MAX)
}

impl FaultList {
    /// Sets a fault and returns its name. `elsewhere` are the names of faults in other lists, which count.
    pub(crate) fn add(
        &mut self,
        now: Time,
        fault: Fault,
        elsewhere: &[String],
    ) -> Result<String, FaultError> {
        if self.armed.len() + elsewhere.len() >= MAX_FAULTS {
            return Err(FaultError::TooMany);
        }
        self.add_apart(now, fault, elsewhere)
    }

    /// As [`Self::add`], without a count of the faults elsewhere.
    pub(crate) fn add_apart(
        &mut self,
        now: Time,
        fault: Fault,
        elsewhere: &[String],
    ) -> Result<String, FaultError> {
        fault.check()?;
        if self.armed.len() >= MAX_FAULTS {
            return Err(FaultError::TooMany);
        }
        let taken = |name: &str| {
            self.armed.iter().any(|armed| armed.name == name)
                || elsewhere.iter().any(|other| other == name)
        };
        let name = match &fault.name {
            Some(name) if taken(name) => return Err(FaultError::Taken { name: name.clone() }),
            Some(name) => name.clone(),
            None => {
                let kind = fault.what.kind();
                let numbered = (2_u32..).map(|number| format!("{kind}-{number}"));
                let mut names = std::iter::once(kind.to_owned()).chain(numbered);
                names.find(|name| !taken(name)).unwrap_or_default()
            }
        };
        let fault = fault.named(&name);
        self.armed.push(Armed::new(now, name.clone(), fault));
        Ok(name)
    }

    /// Removes a fault. Returns whether there was one of that name.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let before = self.armed.len();
        self.armed.retain(|armed| armed.name != name);
        self.armed.len() < before
    }

    /// Returns whether a fault of this name is set.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.armed.iter().any(|armed| armed.name == name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.armed.iter().map(|armed| armed.name.clone()).collect()
    }

    /// Returns the faults with their accounts, in the order in which they were set.
    pub(crate) fn list(&self) -> Vec<FaultStatus> {
        let armed = self.armed.iter();
        let status = armed.map(|armed| FaultStatus {
            name: armed.name.clone(),
            when: armed.fault.when,
            what: armed.fault.what.clone(),
            occurred: armed.occurred,
            struck: armed.struck,
            last_nanos: armed.last.map(|last| u64::try_from(last).unwrap_or(0)),
        });
        status.collect()
    }

    /// Returns the faults that strike at an occurrence.
    pub(crate) fn meet(&mut self, now: Time, occurrence: &Occurrence) -> Vec<Struck> {
        let covering = self.armed.iter_mut();
        let covering = covering.filter(|armed| armed.fault.when.occasion.covers(occurrence));
        covering.filter_map(|armed| armed.occur(now)).collect()
    }

    /// Returns the next time that brings about an occurrence.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        let armed = self.armed.iter();
        armed.fold(None, |first, armed| earliest(first, armed.due))
    }

    /// Handles the first occurrence that time has brought about by `now`. The result is `None` if there is
    /// none, and has no strike if its fault does not strike.
    pub(crate) fn take_due(&mut self, now: Time) -> Option<Option<Struck>> {
        let armed = self.armed.iter_mut();
        let due = armed.filter(|armed| armed.due.is_some_and(|due| due <= now));
        let armed = due.min_by_key(|armed| armed.due)?;
        let at = armed.due.unwrap_or(now);
        armed.due = match armed.fault.when.occasion {
            Occasion::Every(span) => Some(at.after(span)),
            _ => None,
        };
        Some(armed.occur(at))
    }

    pub(crate) fn save(&self, now: Time) -> Vec<SavedFault> {
        let armed = self.armed.iter();
        let saved = armed.map(|armed| SavedFault {
            fault: armed.fault.clone(),
            occurred: armed.occurred,
            struck: armed.struck,
            last_ago_nanos: armed.last.map(|last| signed(now).saturating_sub(last)),
            random: armed.random,
            from_nanos: left(now, armed.from),
            due_nanos: armed.due.map(|due| left(now, due)),
        });
        saved.collect()
    }

    pub(crate) fn restored(
        now: Time,
        at: &str,
        saved: Vec<SavedFault>,
    ) -> Result<Self, RestoreError> {
        let mut list = Self::default();
        for fault in saved {
            list.add(now, fault.fault, &[])
                .map_err(|error| RestoreError::part(at, error.to_string()))?;
            let Some(armed) = list.armed.last_mut() else {
                continue;
            };
            armed.occurred = fault.occurred;
            armed.struck = fault.struck;
            armed.last = fault
                .last_ago_nanos
                .map(|ago| signed(now).saturating_sub(ago));
            armed.random = fault.random;
            armed.from = due(now, fault.from_nanos);
            armed.due = fault.due_nanos.map(|left| due(now, left));
        }
        Ok(list)
    }
}
