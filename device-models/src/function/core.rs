//! Everything of a function but its device model.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::content::BarContent;
use super::delays::Delays;
use super::faults::Faults;
use super::interrupt::Interrupts;
use super::mappable::{Area, MappableBar};
use super::memory::{BarMemory, PrivateMemory};
use super::pme::Pme;
use super::presence::Presence;
use super::release::Release;
use super::timers::Timers;
use crate::capability::ErrorMessages;
use crate::config::{ConfigEffect, ConfigSpace, MAX_BARS};
use crate::dma::{DmaError, DmaId, DmaLedger, DmaOp};
use crate::effect::{Effect, FunctionEvent};
use crate::fault::Occurrence;
use crate::power::PowerState;
use crate::time::{Time, earliest};
use crate::violation::{Violation, ViolationReport, Violations};

/// Maximum number of a device model's events and violations among the effects that wait.
const TOLD: u32 = 256;

/// The counts of a function since power-on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// BAR and ROM accesses that arrived while the function was not in D0.
    pub outside_d0: u32,
    /// Resets of any kind.
    pub resets: u32,
    /// `PM_PME` messages sent.
    pub pm_pme: u32,
}

/// A function without its device model: config space and all logic that depends on it.
#[derive(Debug)]
pub struct Core {
    pub(super) config: ConfigSpace,
    pub(super) contents: [BarContent; MAX_BARS],
    pub(super) mappable: Vec<MappableBar>,
    /// The memory behind those BARs that have some.
    pub(super) ram: [Option<Box<dyn BarMemory>>; MAX_BARS],
    /// The way in which large memory goes.
    pub(super) release: Release,
    pub(super) rom: Vec<u8>,
    pub(super) delays: Delays,
    /// Auxiliary power stays on when main power goes off.
    pub(super) aux_power: bool,
    /// Main power is on.
    pub(super) powered: bool,
    /// The state that its physical function decides, if the function is a virtual one.
    pub(super) presence: Option<Presence>,
    /// The power state, cached from PMCSR and [`Self::powered`] since every access needs it.
    pub(super) state: PowerState,
    pub(super) interrupts: Interrupts,
    pub(super) pme: Pme,
    pub(super) dma: DmaLedger,
    /// Time at which the recovery time of the last transition or reset is over.
    pub(super) ready_at: Time,
    /// Time at which the last requested Dynamic Power Allocation substate is reached.
    pub(super) allocation_at: Option<Time>,
    /// Timers of the device model.
    pub(super) timers: Timers,
    pub(super) counters: Counters,
    /// Config effects of the current write; kept for its capacity.
    pub(super) config_effects: Vec<ConfigEffect>,
    pub(super) effects: VecDeque<Effect>,
    pub(super) violations: Violations,
    /// Number of events and violations of the device model since the effects were taken.
    pub(super) told: u32,
    pub(super) residency: [Duration; PowerState::ALL.len()],
    pub(super) state_since: Time,
    /// Messages about errors that wait for D0.
    pub(super) waiting_messages: ErrorMessages,
    /// The faults that are set, and their conditions.
    pub(super) faults: Option<Box<Faults>>,
    /// A fault may send transfers to wrong addresses.
    pub(super) misdirected_dma: bool,
}

impl Core {
    pub(super) fn new(
        config: ConfigSpace,
        contents: [BarContent; MAX_BARS],
        mappable: Vec<MappableBar>,
        rom: Vec<u8>,
        delays: Delays,
    ) -> Self {
        let vectors = config
            .msix()
            .map_or(0, |msix| msix.vectors())
            .max(config.msi().map_or(0, |msi| msi.vectors()));
        let presence = config.header().is_virtual().then(Presence::default);
        let mut core = Self {
            config,
            contents,
            mappable,
            ram: Default::default(),
            release: Release::default(),
            rom,
            delays,
            aux_power: true,
            powered: true,
            presence,
            state: PowerState::D0,
            interrupts: Interrupts::new(vectors),
            pme: Pme::default(),
            dma: DmaLedger::default(),
            ready_at: Time::ZERO,
            allocation_at: None,
            timers: Timers::default(),
            counters: Counters::default(),
            config_effects: Vec::new(),
            effects: VecDeque::new(),
            violations: Violations::default(),
            told: 0,
            residency: Default::default(),
            state_since: Time::ZERO,
            waiting_messages: ErrorMessages::default(),
            faults: None,
            misdirected_dma: false,
        };
        core.ram = std::array::from_fn(|bar| {
            let memory = PrivateMemory::new(core.memory_size(bar)?);
            Some(Box::new(memory) as Box<dyn BarMemory>)
        });
        core
    }

    /// Returns the areas of a BAR that are memory, whatever its other content.
    pub(super) fn areas(&self, bar: usize) -> &[Area] {
        let mut mappable = self.mappable.iter();
        let found = mappable.find(|mappable| usize::from(mappable.bar) == bar);
        found.map_or(&[], MappableBar::areas)
    }

    /// Returns the size of the memory behind a BAR, if it has any: all of the BAR, or up to the end
    /// of the last area.
    pub(super) fn memory_size(&self, bar: usize) -> Option<u64> {
        match self.contents.get(bar)? {
            BarContent::Ram => Some(self.config.header().bar(bar)?.size),
            BarContent::Model => self.areas(bar).last().map(Area::end),
        }
    }

    pub(crate) const fn config(&self) -> &ConfigSpace {
        &self.config
    }

    pub(crate) const fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.config
    }

    /// Returns the power state, D3cold included.
    #[must_use]
    pub const fn power_state(&self) -> PowerState {
        self.state
    }

    /// Returns the counts since power-on.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    pub(super) fn bus_master(&self) -> bool {
        self.config.header().command().bus_master_enable()
    }

    pub(super) fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(super) fn emit(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(super) fn violate(&mut self, now: Time, violation: Violation) {
        self.violations.record(now, violation.clone());
        self.emit(Effect::Event(FunctionEvent::Violation { violation }));
    }

    /// Records a violation that the device model noticed. It is always counted.
    pub(crate) fn model_violation(&mut self, now: Time, rule: &str, text: &str) {
        let violation = Violation::of_model(rule, text);
        if self.may_tell() {
            self.violate(now, violation);
        } else {
            self.violations.record(now, violation);
        }
    }

    pub(crate) fn model_event(&mut self, name: &str, data: Value) {
        if self.may_tell() {
            let event = FunctionEvent::model(name, data);
            self.emit(Effect::Event(event));
        }
    }

    /// Counts an event or a violation of the device model. Returns whether it may still be emitted
    /// before the effects are taken.
    pub(super) fn may_tell(&mut self) -> bool {
        self.told = if self.effects.is_empty() {
            1
        } else {
            self.told.saturating_add(1)
        };
        self.told <= TOLD
    }

    pub(super) fn violations(&self) -> ViolationReport {
        self.violations.report()
    }

    /// Moves to another power state and accounts for the time spent in the previous one.
    pub(super) fn enter(&mut self, now: Time, to: PowerState) {
        let from = self.state;
        if from == to {
            return;
        }
        if let Some(total) = self.residency.get_mut(from as usize) {
            *total += now.since(self.state_since);
        }
        self.state_since = now;
        self.state = to;
        self.emit(Effect::Event(FunctionEvent::DState { from, to }));
        if to == PowerState::D0 && !self.waiting_messages.are_none() {
            self.send_waiting_errors();
        }
    }

    /// Starts a recovery time unless one that ends later is running.
    pub(super) fn recover(&mut self, now: Time, span: Duration) {
        self.ready_at = self.ready_at.max(now.after(span));
    }

    pub(super) fn residency(&self, now: Time, state: PowerState) -> Duration {
        let past = self.residency.get(state as usize).copied();
        let current = if state == self.state {
            now.since(self.state_since)
        } else {
            Duration::ZERO
        };
        past.unwrap_or_default() + current
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        let own = earliest(self.pme.deadline(), self.allocation_at);
        let own = earliest(own, self.timers.next_deadline());
        earliest(own, self.fault_deadline())
    }

    pub(crate) fn timer(&self, number: u16) -> Option<Time> {
        self.timers.get(number)
    }

    pub(crate) fn set_timer(&mut self, number: u16, due: Option<Time>) {
        self.timers.set(number, due);
    }

    pub(super) fn advance(&mut self, now: Time) {
        if self.pme.deadline().is_some_and(|due| due <= now) {
            self.send_pm_pme(now);
        }
        if self.allocation_at.is_some_and(|due| due <= now) {
            self.allocation_at = None;
            if let Some(dpa) = self.config.dpa_mut() {
                dpa.settle();
            }
        }
    }

    pub(crate) fn start_dma(&mut self, tag: u32, mut op: DmaOp) -> Result<(), DmaError> {
        if self.state != PowerState::D0 || self.dma.is_aborting() {
            return Err(DmaError::Aborted);
        }
        if !self.bus_master() {
            return Err(DmaError::BusMasterOff);
        }
        let verdict = self.meet(&Occurrence::Dma);
        if let Some(offset) = verdict.misdirected {
            op.misdirect(offset);
        }
        let request = self.dma.start(tag, op);
        self.show_transactions_pending();
        if verdict.refused {
            self.refuse_transfer(request.id, &request.op);
        } else {
            self.emit_transfer(verdict.delayed, request);
        }
        Ok(())
    }

    pub(super) fn finish_dma(&mut self, id: DmaId) -> Option<bool> {
        let counts = self.dma.finish(id);
        self.show_transactions_pending();
        counts
    }

    pub(super) fn show_transactions_pending(&mut self) {
        let pending = self.dma.pending();
        if let Some(pcie) = self.config.pcie_mut() {
            pcie.set_transactions_pending(pending);
        }
    }

    /// Records that a request of the function ended as Unsupported Request (PCIe Base §7.5.1.1.4).
    pub(super) fn received_master_abort(&mut self) {
        let status = self.config.header().status();
        self.config
            .header_mut()
            .set_status(status.with_received_master_abort(true));
    }

    pub(super) fn inspect(&self, now: Time) -> Value {
        let residency: serde_json::Map<String, Value> = PowerState::ALL
            .into_iter()
            .map(|state| {
                let nanos = self.residency(now, state).as_nanos();
                let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
                (state.to_string(), nanos.into())
            })
            .collect();
        let timers: serde_json::Map<String, Value> = self
            .timers
            .iter()
            .map(|(number, due)| (number.to_string(), due.as_nanos().into()))
            .collect();
        json!({
            "power_state": self.state,
            "powered": self.powered,
            "exists": self.exists(),
            "aux_power": self.aux_power,
            "ready": now >= self.ready_at,
            "transactions_pending": self.dma.pending(),
            "intx": self.interrupts.inspect(),
            "pme": self.pme.inspect(),
            "timers_nanos": timers,
            "counters": self.counters,
            "residency_nanos": residency,
            "violations": self.violations.total(),
        })
    }
}
