//! The function: silicon.
//!
//! A [`Function`] is its config space, the contents behind its BARs, its power state, its interrupt
//! and PME logic and a device model. Callers pass it the time and the accesses from the bus, and
//! collect its actions from [`Function::next_effect`].
//!
//! # Lifecycle
//!
//! ```text
//!            power_on                   PMCSR write
//!  D3cold ───────────────▶ D0 ◀──────────────────────▶ D1, D2, D3hot
//!    ▲    reset to D0          D3hot→D0 without No_Soft_Reset
//!    └──── power_off ◀───────── any      resets inside
//! ```
//!
//! When the function leaves D0, the steps are (PCIe Base §5.3.1, §5.3.2.1): the write completes, no
//! new DMA starts and outstanding transfers drain (Transactions Pending), decoding stops, INTx is
//! released. Back in D0 decoding comes first, then interrupts that still have a cause.

mod access;
mod backend;
mod conditions;
mod config_faults;
mod containment;
mod content;
pub(crate) mod core;
mod delay;
mod delays;
pub(crate) mod doorbell;
mod errors;
mod faults;
mod interrupt;
mod interrupt_delivery;
mod late;
mod link;
mod mappable;
mod memory;
mod pages;
mod pme;
mod pme_signal;
mod presence;
mod release;
mod reset;
mod saved;
mod stranded;
mod timers;
mod virtual_function;

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

pub use self::content::BarContent;
pub use self::core::{Core, Counters};
pub use self::delays::Delays;
pub use self::doorbell::Doorbell;
pub use self::mappable::{Area, Mappable, MappableBar};
pub use self::memory::{BarMemory, PrivateMemory};
pub(crate) use self::pages::MemoryFill;
pub use self::pages::{ImageError, MemoryImage};
pub(crate) use self::presence::Presence;
pub use self::release::Release;
pub(crate) use self::saved::Ram;

use crate::config::{BarConfig, ConfigSpace, MAX_BARS};
use crate::dma::{DmaError, DmaId, DmaOutcome};
use crate::effect::Effect;
use crate::model::{Context, Model};
use crate::power::PowerState;
use crate::time::Time;
use crate::violation::{Violation, ViolationReport};

/// Timers of a device model that expire in one [`Function::advance`] at most. The rest follows in
/// the next.
const TIMERS_PER_ADVANCE: u32 = 1024;
/// A bit for each BAR.
const ALL_BARS: u8 = (1 << MAX_BARS) - 1;

/// The destination of an access other than config space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// BAR 0 to 5.
    Bar(u8),
    /// The expansion ROM.
    Rom,
}

/// The parts of a function.
#[derive(Debug)]
pub struct FunctionParts {
    /// Config space in power-on state.
    pub config: ConfigSpace,
    /// The contents behind each BAR.
    pub contents: [BarContent; MAX_BARS],
    /// The memory behind BARs that clients may map.
    pub mappable: Vec<MappableBar>,
    /// The image behind the expansion ROM BAR.
    pub rom: Vec<u8>,
    /// Handling of accesses that come too early.
    pub delays: Delays,
    /// Doorbells besides those of the model.
    pub doorbells: Vec<Doorbell>,
    /// The device model.
    pub model: Box<dyn Model>,
}

/// A PCI Express function.
pub struct Function {
    core: Core,
    doorbells: Vec<Doorbell>,
    model: Box<dyn Model>,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("state", &self.core.power_state())
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

impl Function {
    /// Creates a function that has just been powered on and is ready.
    #[must_use]
    pub fn new(parts: FunctionParts) -> Self {
        let FunctionParts {
            config,
            contents,
            mappable,
            rom,
            delays,
            mut doorbells,
            model,
        } = parts;
        doorbells.extend(model.doorbells());
        Self {
            core: Core::new(config, contents, mappable, rom, delays),
            doorbells,
            model,
        }
    }

    /// Returns config space, for reading.
    #[must_use]
    pub fn config(&self) -> &ConfigSpace {
        self.core.config()
    }

    /// Returns the power state, D3cold included.
    #[must_use]
    pub fn power_state(&self) -> PowerState {
        self.core.power_state()
    }

    /// Returns whether the function has main power and is not dead.
    #[must_use]
    pub const fn is_powered(&self) -> bool {
        self.core.powered
    }

    /// Sets whether auxiliary power stays on when main power goes off.
    pub(crate) const fn set_aux_power(&mut self, auxiliary: bool) {
        self.core.aux_power = auxiliary;
    }

    /// Sets whether a fault may send transfers to wrong addresses.
    pub(crate) const fn permit_misdirected_dma(&mut self, permitted: bool) {
        self.core.misdirected_dma = permitted;
    }

    /// Returns the counts since power-on.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.core.counters()
    }

    /// Returns the range that BAR `index` decodes now.
    #[must_use]
    pub fn bar(&self, index: usize) -> Option<&BarConfig> {
        self.core.config().header().bar(index)
    }

    /// Returns the registers that a client may write by signalling an eventfd.
    #[must_use]
    pub fn doorbells(&self) -> &[Doorbell] {
        &self.doorbells
    }

    /// Returns the memory behind BARs that clients may map once it is shared
    /// ([`Self::set_bar_memory`]).
    #[must_use]
    pub fn mappable_bars(&self) -> &[MappableBar] {
        &self.core.mappable
    }

    /// Replaces the memory behind a BAR that has some, for example to share it. The new memory
    /// takes over the contents of the BAR.
    pub fn set_bar_memory(&mut self, bar: u8, mut memory: Box<dyn BarMemory>) {
        let index = usize::from(bar);
        if let (Some(size), Some(Some(ram))) =
            (self.core.memory_size(index), self.core.ram.get_mut(index))
        {
            memory.reset(size);
            memory::copy(ram.as_ref(), memory.as_mut(), size);
            *ram = memory;
        }
    }

    /// Sets the way in which large memory behind BARs goes, also that of images of it.
    pub fn set_release(&mut self, release: Release) {
        for ram in self.core.ram.iter_mut().flatten() {
            ram.set_release(&release);
        }
        self.core.release = release;
    }

    /// Returns the memory behind a BAR that has some.
    pub fn bar_memory_mut(&mut self, bar: u8) -> Option<&mut dyn BarMemory> {
        let memory = self.core.ram.get_mut(usize::from(bar))?;
        memory.as_deref_mut()
    }

    /// Shows shared memory of the BARs whose bits are set to clients that have it mapped, and hides that of
    /// the others from them. Bit n stands for BAR n. This takes effect with [`Self::advance_bars`].
    pub fn set_bars_visible(&mut self, visible: u8) {
        for (bar, ram) in self.core.ram.iter_mut().enumerate() {
            if let Some(ram) = ram {
                ram.set_visible(visible & 1 << bar != 0);
            }
        }
    }

    /// Parts shared BAR memory from all clients that have it mapped; see [`BarMemory::unshare`].
    pub fn unshare_bars(&mut self) {
        for ram in self.core.ram.iter_mut().flatten() {
            ram.unshare();
        }
    }

    /// Returns whether clients that have BAR memory mapped find what they should.
    #[must_use]
    pub fn bars_are_settled(&self) -> bool {
        let mut shared = self.core.mappable.iter();
        shared.all(|shared| {
            let memory = self.core.ram.get(usize::from(shared.bar));
            !matches!(memory, Some(Some(memory)) if !memory.is_settled())
        })
    }

    /// Works on what [`Self::bars_are_settled`] reports, as far as `budget` in bytes lasts; see
    /// [`BarMemory::advance`].
    pub fn advance_bars(&mut self, budget: &mut u64) {
        for ram in self.core.ram.iter_mut().flatten() {
            if *budget > 0 && !ram.is_settled() {
                ram.advance(budget);
            }
        }
    }

    /// Returns whether memory BARs decode: in D0 and with Memory Space Enable set.
    #[must_use]
    pub fn decodes_memory(&self) -> bool {
        self.core.state == PowerState::D0
            && self.core.memory_space_enable()
            && !self.core.hides_memory()
    }

    /// Returns the memory BARs that decode. Bit n stands for BAR n.
    #[must_use]
    pub fn decoding_bars(&self) -> u8 {
        if self.decodes_memory() {
            ALL_BARS & !self.core.hidden_bars()
        } else {
            0
        }
    }

    /// Removes and returns the oldest effect.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.core.next_effect()
    }

    /// Returns the time at which [`Self::advance`] has work to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.core.next_deadline()
    }

    /// Performs all work that is due by `now`.
    pub fn advance(&mut self, now: Time) {
        self.core.note_time(now);
        self.core.advance(now);
        // A timer may set itself again; what it sets for now or earlier is done at once. The bound
        // keeps a model that always does so from delaying everything else.
        for _ in 0..TIMERS_PER_ADVANCE {
            let Some((number, due)) = self.core.timers.take_due(now) else {
                break;
            };
            self.with_model(now, |model, cx| model.timer(cx, number, due));
        }
        self.advance_faults(now);
    }

    /// Raises a wake event of the device (PCIe Base §5.3.3.4).
    pub fn pme_event(&mut self, now: Time) {
        self.core.note_time(now);
        self.core.pme_event(now);
        self.settle_faults(now);
    }

    /// Returns the names that [`Self::input`] knows.
    #[must_use]
    pub fn inputs(&self) -> &'static [&'static str] {
        self.model.inputs()
    }

    /// Drives one of the device's inputs from outside. An unknown name has no effect.
    pub fn input(&mut self, now: Time, name: &str) {
        if self.model.inputs().contains(&name) {
            self.with_model(now, |model, cx| model.input(cx, name));
            self.settle_faults(now);
        }
    }

    /// Sets the level of the INTx cause, as the device would.
    pub fn set_intx(&mut self, asserted: bool) {
        self.core.set_intx_cause(asserted);
    }

    /// Raises interrupt `vector` as the device would: a message, or INTx where no message interrupt
    /// is enabled.
    pub fn interrupt(&mut self, vector: u16) {
        self.core.interrupt(vector);
    }

    /// Withdraws an interrupt whose cause has gone before its delivery.
    pub fn withdraw(&mut self, vector: u16) {
        self.core.withdraw(vector);
    }

    /// Tells the function that the caller has waited as long as the last transition or reset
    /// demands.
    pub fn waited(&mut self) {
        self.core.ready_at = Time::ZERO;
    }

    /// Tells the function that the caller has waited for `span`, which may be less than the last
    /// transition or reset demands.
    pub fn waited_for(&mut self, span: Duration) {
        let left = self.core.ready_at.since(Time::ZERO).saturating_sub(span);
        self.core.ready_at = Time::ZERO.after(left);
        self.core.shorten_silence(span);
    }

    /// Tells the function that its link becomes active only `training` after `now`. The function
    /// recovers meanwhile, or, if `recovers_then`, after that.
    pub fn train_link(&mut self, now: Time, training: Duration, recovers_then: bool) {
        let ready_at = self.core.ready_at.max(now);
        let active_at = now.after(training);
        self.core.ready_at = if recovers_then {
            ready_at.after(training)
        } else {
            ready_at.max(active_at)
        };
    }

    /// Returns the time for which the function does not answer. `None` means that it has no power, or
    /// that a fault keeps it silent for an unknown time.
    #[must_use]
    pub fn silent_for(&self, now: Time) -> Option<Duration> {
        let waits = self.core.delays == Delays::Enforce;
        let silent = if waits {
            self.core.ready_at.since(now)
        } else {
            Duration::ZERO
        };
        if !self.core.powered {
            return None;
        }
        match self.core.silenced(now) {
            Some(_) => self.core.silence_left(now).map(|left| left.max(silent)),
            None => Some(silent),
        }
    }

    /// Records a mistake of the software above the function.
    pub(crate) fn record_violation(&mut self, now: Time, violation: Violation) {
        self.core.violate(now, violation);
    }

    /// Masks or unmasks an MSI-X vector in the table, as a host driver does.
    pub fn set_msix_masked(&mut self, vector: u16, masked: bool) {
        if let Some(msix) = self.core.config_mut().msix_mut() {
            msix.set_vector_masked(vector, masked);
        }
        self.core.deliver_messages();
    }

    /// Opens or closes an MSI-X vector beside the table, for a client that keeps the table to itself.
    pub fn set_msix_open(&mut self, vector: u16, open: bool) {
        if let Some(msix) = self.core.config_mut().msix_mut() {
            msix.set_open(vector, open);
        }
        self.core.deliver_messages();
    }

    /// Closes all MSI-X vectors and lets the next client choose whether it uses the table.
    pub fn release_msix(&mut self) {
        if let Some(msix) = self.core.config_mut().msix_mut() {
            msix.release();
        }
    }

    /// Delivers the slot's power limit message (PCIe Base §7.5.3.3): value and scale as in Device
    /// Capabilities.
    pub fn set_slot_power_limit(&mut self, value: u8, scale: u8) {
        if let Some(pcie) = self.core.config_mut().pcie_mut() {
            pcie.set_slot_power_limit(value, scale);
        }
    }

    /// Returns whether a transfer may still touch memory. If not, it ends as [`DmaError::Aborted`],
    /// whatever outcome the caller passes.
    #[must_use]
    pub fn dma_is_live(&self, id: DmaId) -> bool {
        self.core.dma.is_live(id)
    }

    /// Delivers the outcome of a transfer. One that began before the function's last reset or power
    /// loss is dropped.
    pub fn dma_done(&mut self, now: Time, id: DmaId, outcome: DmaOutcome<'_>) {
        let Some(counts) = self.core.finish_dma(id) else {
            return;
        };
        let outcome = if counts {
            if let Err(DmaError::Unmapped { .. }) = outcome {
                self.core.received_master_abort();
            }
            outcome
        } else {
            Err(DmaError::Aborted)
        };
        self.with_model(now, |model, cx| model.dma_done(cx, id.tag, outcome));
        self.settle_faults(now);
    }

    /// Runs a closure on the model and settles its effects.
    fn with_model<T>(
        &mut self,
        now: Time,
        what: impl FnOnce(&mut dyn Model, &mut Context<'_>) -> T,
    ) -> T {
        self.core.note_time(now);
        let cx = &mut Context::new(now, &mut self.core);
        let result = what(self.model.as_mut(), cx);
        self.model.settle(cx);
        result
    }

    /// Returns the whole state field by field.
    #[must_use]
    pub fn inspect(&self, now: Time) -> Value {
        json!({
            "config": self.core.config().inspect(),
            "state": self.core.inspect(now),
            "model": self.model.inspect(),
        })
    }

    /// Returns the recorded violations of software.
    #[must_use]
    pub fn violations(&self) -> ViolationReport {
        self.core.violations()
    }

    /// Returns the time spent in `state` until `now`.
    #[must_use]
    pub fn residency(&self, now: Time, state: PowerState) -> Duration {
        self.core.residency(now, state)
    }
}

#[cfg(test)]
mod tests;
