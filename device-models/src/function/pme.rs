//! The signalling side of power management events.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::snapshot::{due, left};
use crate::time::Time;

/// The signalling side of PME; its context (`PME_En`, `PME_Status`) is in PMCSR.
#[derive(Debug, Default)]
pub(super) struct Pme {
    /// Time at which to send `PM_PME` again, after one was sent.
    pub(super) again_at: Option<Time>,
    pub(super) wake: bool,
}

/// The saved state of [`Pme`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedPme {
    again_nanos: Option<u64>,
    wake: bool,
}

impl Pme {
    pub(super) fn save(&self, now: Time) -> SavedPme {
        let Self { again_at, wake } = *self;
        SavedPme {
            again_nanos: again_at.map(|at| left(now, at)),
            wake,
        }
    }

    pub(super) fn restore(&mut self, now: Time, saved: &SavedPme) {
        *self = Self {
            again_at: saved.again_nanos.map(|left| due(now, left)),
            wake: saved.wake,
        };
    }

    pub(super) const fn deadline(&self) -> Option<Time> {
        self.again_at
    }

    pub(super) fn inspect(&self) -> Value {
        json!({ "message_outstanding": self.again_at.is_some(), "wake": self.wake })
    }
}
