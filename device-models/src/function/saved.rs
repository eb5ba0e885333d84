//! Saving and restoring a function.
//!
//! Config space, interrupts, memory and the device model save themselves; this module combines
//! them. Transfers in progress are saved as requested and emitted again from their beginning. Of
//! violations, the counts are saved and the records are not. Effects have been collected before.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Function;
use super::core::{Core, Counters};
use super::faults::SavedFaults;
use super::interrupt::Interrupts;
use super::memory::{Run, restore_memory, save_memory};
use super::pme::SavedPme;
use super::presence::Presence;
use super::timers::{SavedTimers, Timers};
use crate::capability::ErrorMessages;
use crate::config::MAX_BARS;
use crate::dma::SavedLedger;
use crate::effect::Effect;
use crate::power::PowerState;
use crate::snapshot::{self, RestoreError, due, left, nanos};
use crate::time::Time;
use crate::violation::{SavedViolations, Violations};

/// The place of the memory behind BARs when a function is saved or restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ram {
    /// In the tree.
    Inside,
    /// Elsewhere: the tree has an empty list for each BAR with memory, and restoring does not touch it.
    Apart,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedFunction {
    core: Value,
    model: Value,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedCore {
    config: Value,
    powered: bool,
    interrupts: Interrupts,
    pme: SavedPme,
    dma: SavedLedger,
    /// Time until the recovery time is over.
    ready_nanos: u64,
    allocation_nanos: Option<u64>,
    /// Times until the device model's timers are due, by number.
    timers_nanos: SavedTimers,
    counters: Counters,
    violations: SavedViolations,
    /// Time spent in each state.
    residency_nanos: [u64; PowerState::ALL.len()],
    /// The content of each BAR's memory, where it has some.
    ram: [Option<Vec<Run>>; MAX_BARS],
    /// Only of a virtual function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    presence: Option<Presence>,
    /// Messages about errors that wait for D0. Absent if there are none.
    #[serde(default, skip_serializing_if = "ErrorMessages::are_none")]
    waiting_messages: ErrorMessages,
    /// The faults that are set. Absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    faults: Option<SavedFaults>,
}

impl Function {
    /// Returns the whole state.
    #[must_use]
    pub fn save(&self, now: Time) -> Value {
        self.save_part(now, Ram::Inside)
    }

    /// Returns the state, of the memory behind BARs as much as `ram` says.
    pub(crate) fn save_part(&self, now: Time, ram: Ram) -> Value {
        let Self {
            core,
            model,
            doorbells: _,
        } = self;
        json!({ "core": core.save(now, ram), "model": model.save() })
    }

    /// Restores the state that [`Self::save`] returned, and emits its transfers. Transfers in
    /// progress before are forgotten.
    ///
    /// # Errors
    /// The tree does not fit this function, which may then be restored in part.
    pub fn restore(&mut self, now: Time, saved: &Value) -> Result<(), RestoreError> {
        self.restore_part(now, saved, Ram::Inside)
    }

    /// Restores what [`Self::save_part`] returned.
    pub(crate) fn restore_part(
        &mut self,
        now: Time,
        saved: &Value,
        ram: Ram,
    ) -> Result<(), RestoreError> {
        let SavedFunction { core, model } = snapshot::read("function", saved)?;
        self.core.restore(now, &core, ram)?;
        self.model.restore(&model)
    }
}

impl Core {
    fn save(&self, now: Time, part: Ram) -> Value {
        let Self {
            config,
            contents: _,
            mappable: _,
            ram,
            release: _,
            rom: _,
            delays: _,
            aux_power: _,
            powered,
            presence,
            state: _,
            interrupts,
            pme,
            dma,
            ready_at,
            allocation_at,
            timers,
            counters,
            config_effects: _,
            effects: _,
            violations,
            told: _,
            residency: _,
            state_since: _,
            waiting_messages,
            faults: _,
            // The profile says it.
            misdirected_dma: _,
        } = self;
        snapshot::tree(&SavedCore {
            config: config.save(),
            powered: *powered,
            interrupts: interrupts.clone(),
            pme: pme.save(now),
            dma: dma.save(),
            ready_nanos: left(now, *ready_at),
            allocation_nanos: allocation_at.map(|due| left(now, due)),
            timers_nanos: timers.save(now),
            counters: *counters,
            violations: violations.save(),
            residency_nanos: PowerState::ALL.map(|state| nanos(self.residency(now, state))),
            waiting_messages: *waiting_messages,
            faults: self.save_faults(now),
            ram: std::array::from_fn(|bar| {
                let memory = ram.get(bar)?.as_ref()?;
                Some(match part {
                    Ram::Inside => save_memory(memory.as_ref(), self.memory_size(bar)?),
                    Ram::Apart => Vec::new(),
                })
            }),
            presence: *presence,
        })
    }

    fn restore(&mut self, now: Time, saved: &Value, part: Ram) -> Result<(), RestoreError> {
        let saved: SavedCore = snapshot::read("function.core", saved)?;
        if !saved.interrupts.has_vectors_of(&self.interrupts) {
            let reason = "these are not as many vectors as the function has";
            return Err(RestoreError::part("function.core.interrupts", reason));
        }
        if saved.presence.is_some() != self.presence.is_some() {
            let reason = "a virtual function has it, and no other";
            return Err(RestoreError::part("function.core.presence", reason));
        }
        self.config.restore(&saved.config)?;
        self.restore_ram(&saved.ram, part)?;
        self.powered = saved.powered;
        self.state = match self.config.pm() {
            _ if !saved.powered => PowerState::D3cold,
            Some(pm) => pm.power_state(),
            None => saved
                .presence
                .map_or(PowerState::D0, |presence| presence.power_state),
        };
        self.presence = saved.presence;
        self.interrupts = saved.interrupts;
        self.pme.restore(now, &saved.pme);
        self.ready_at = due(now, saved.ready_nanos);
        self.allocation_at = saved.allocation_nanos.map(|left| due(now, left));
        self.timers = Timers::restored(now, &saved.timers_nanos);
        self.counters = saved.counters;
        self.violations = Violations::restored("function.core.violations", saved.violations)?;
        self.residency = saved.residency_nanos.map(Duration::from_nanos);
        self.state_since = now;
        let transfers = self.dma.restore("function.core.dma", saved.dma)?;
        self.effects = transfers.into_iter().map(Effect::Dma).collect();
        self.waiting_messages = saved.waiting_messages;
        self.restore_faults(now, saved.faults)?;
        self.withhold_transfers();
        self.show_transactions_pending();
        Ok(())
    }

    /// Fills the memory behind BARs, whose sizes stay the same.
    fn restore_ram(
        &mut self,
        saved: &[Option<Vec<Run>>; MAX_BARS],
        part: Ram,
    ) -> Result<(), RestoreError> {
        let sizes: [_; MAX_BARS] = std::array::from_fn(|bar| self.memory_size(bar));
        for (bar, (ram, saved)) in self.ram.iter_mut().zip(saved).enumerate() {
            let at = format!("function.core.ram.{bar}");
            let size = sizes.get(bar).copied().flatten().unwrap_or_default();
            match (ram, saved) {
                (Some(ram), Some(runs)) if part == Ram::Inside => {
                    restore_memory(&at, ram.as_mut(), size, runs)?;
                }
                (Some(_), Some(runs)) if runs.is_empty() => {}
                (Some(_), Some(_)) => {
                    return Err(RestoreError::part(at, "the memory does not belong in here"));
                }
                (None, None) => {}
                (Some(_), None) => return Err(RestoreError::part(at, "this BAR has memory")),
                (None, Some(_)) => return Err(RestoreError::part(at, "this BAR has no memory")),
            }
        }
        Ok(())
    }
}
