//! The function: silicon.
//!
//! A [`Function`] is its config space, what its BARs decode, its power state, its interrupt and PME
//! logic and a device model. It is told the time and what comes over the bus; what it does to the
//! world comes out of [`Function::next_effect`].
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
//! Order of work when the function leaves D0 (PCIe Base §5.3.1, §5.3.2.1): the write completes, no
//! new DMA starts and what is under way drains (Transactions Pending), decoding stops, INTx is
//! released. Back in D0 decoding comes first, then interrupts that still have a cause.

mod access;
mod backend;
mod content;
pub(crate) mod core;
mod delays;
pub(crate) mod doorbell;
mod interrupt;
mod interrupt_delivery;
mod mappable;
mod memory;
mod pme;
mod pme_signal;
mod reset;
mod saved;
mod timers;

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

pub use self::content::BarContent;
pub use self::core::{Core, Counters};
pub use self::delays::Delays;
pub use self::doorbell::Doorbell;
pub use self::mappable::{Area, Mappable, MappableBar};
pub use self::memory::{BarMemory, PrivateMemory};

use crate::config::{BarConfig, ConfigSpace, MAX_BARS};
use crate::dma::{DmaError, DmaId, DmaOutcome};
use crate::effect::Effect;
use crate::model::{Context, Model};
use crate::power::PowerState;
use crate::time::Time;
use crate::violation::ViolationReport;

/// Timers of a device model that come due in one [`Function::advance`] at most; the rest follows in
/// the next.
const TIMERS_PER_ADVANCE: u32 = 1024;

/// A place that an access goes to, other than config space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// BAR 0 to 5.
    Bar(u8),
    /// The expansion ROM.
    Rom,
}

/// What a function is made of.
#[derive(Debug)]
pub struct FunctionParts {
    /// Config space in power-on state.
    pub config: ConfigSpace,
    /// What answers behind each BAR.
    pub contents: [BarContent; MAX_BARS],
    /// The memory behind BARs that others may map.
    pub mappable: Vec<MappableBar>,
    /// The image behind the expansion ROM BAR.
    pub rom: Vec<u8>,
    /// What happens to accesses that come too early.
    pub delays: Delays,
    /// Registers that are doorbells, besides those of the model.
    pub doorbells: Vec<Doorbell>,
    /// The device.
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
    /// A function that has just been powered on and is ready.
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

    /// Config space, to look at.
    #[must_use]
    pub fn config(&self) -> &ConfigSpace {
        self.core.config()
    }

    /// The power state, D3cold included.
    #[must_use]
    pub fn power_state(&self) -> PowerState {
        self.core.power_state()
    }

    /// Whether the function has main power and lives.
    #[must_use]
    pub const fn is_powered(&self) -> bool {
        self.core.powered
    }

    /// Tells the function whether auxiliary power stays when main power goes off.
    pub(crate) const fn set_aux_power(&mut self, auxiliary: bool) {
        self.core.aux_power = auxiliary;
    }

    /// Makes the function stay silent when power comes back, or no longer.
    pub(crate) const fn set_dead_after_cold(&mut self, dead: bool) {
        self.core.dead_after_cold = dead;
    }

    /// Returns whether the function is going to stay silent after power was off.
    #[must_use]
    pub const fn dead_after_cold(&self) -> bool {
        self.core.dead_after_cold
    }

    /// What the function has counted since power-on.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.core.counters()
    }

    /// What BAR `index` decodes now.
    #[must_use]
    pub fn bar(&self, index: usize) -> Option<&BarConfig> {
        self.core.config().header().bar(index)
    }

    /// The registers for which an eventfd can stand.
    #[must_use]
    pub fn doorbells(&self) -> &[Doorbell] {
        &self.doorbells
    }

    /// The memory behind BARs that others may map once it is shared ([`Self::set_bar_memory`]).
    #[must_use]
    pub fn mappable_bars(&self) -> &[MappableBar] {
        &self.core.mappable
    }

    /// Puts other memory behind a BAR that has some, to be shared for example. It takes over what
    /// the BAR holds.
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

    /// Shows shared BAR memory to those who have it mapped, or takes it away from them.
    pub fn set_bars_visible(&mut self, visible: bool) {
        for ram in self.core.ram.iter_mut().flatten() {
            ram.set_visible(visible);
        }
    }

    /// Whether memory BARs decode: D0, and Memory Space Enable.
    #[must_use]
    pub fn decodes_memory(&self) -> bool {
        self.core.state == PowerState::D0
            && self.core.config.header().command().memory_space_enable()
    }

    /// The next effect, oldest first.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.core.next_effect()
    }

    /// When [`Self::advance`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.core.next_deadline()
    }

    /// Does everything that is due by `now`.
    pub fn advance(&mut self, now: Time) {
        self.core.advance(now);
        // A timer may set itself again; what it sets for now or earlier is done at once. The bound
        // keeps a model that always does so from delaying everything else.
        for _ in 0..TIMERS_PER_ADVANCE {
            let Some((number, due)) = self.core.timers.take_due(now) else {
                break;
            };
            self.with_model(now, |model, cx| model.timer(cx, number, due));
        }
    }

    /// A wake event of the device (PCIe Base §5.3.3.4).
    pub fn pme_event(&mut self, now: Time) {
        self.core.pme_event(now);
    }

    /// What [`Self::input`] knows.
    #[must_use]
    pub fn inputs(&self) -> &'static [&'static str] {
        self.model.inputs()
    }

    /// The world around the device drives one of its inputs. Any other name does nothing.
    pub fn input(&mut self, now: Time, name: &str) {
        if self.model.inputs().contains(&name) {
            self.with_model(now, |model, cx| model.input(cx, name));
        }
    }

    /// Sets the level of the INTx cause, as the device would.
    pub fn set_intx(&mut self, asserted: bool) {
        self.core.set_intx_cause(asserted);
    }

    /// Raises interrupt `vector` as the device would: a message, or INTx where none is enabled.
    pub fn interrupt(&mut self, vector: u16) {
        self.core.interrupt(vector);
    }

    /// Takes back an interrupt whose cause is gone before it was delivered.
    pub fn withdraw(&mut self, vector: u16) {
        self.core.withdraw(vector);
    }

    /// Whoever drives the function has waited as long as the last transition or reset demands.
    pub fn waited(&mut self) {
        self.core.ready_at = Time::ZERO;
    }

    /// A host driver masks or unmasks an MSI-X vector in the table.
    pub fn set_msix_masked(&mut self, vector: u16, masked: bool) {
        if let Some(msix) = self.core.config_mut().msix_mut() {
            msix.set_vector_masked(vector, masked);
        }
        self.core.deliver_messages();
    }

    /// The slot's power limit message (PCIe Base §7.5.3.3): value and scale as in Device
    /// Capabilities.
    pub fn set_slot_power_limit(&mut self, value: u8, scale: u8) {
        if let Some(pcie) = self.core.config_mut().pcie_mut() {
            pcie.set_slot_power_limit(value, scale);
        }
    }

    /// Whether a transfer may still touch memory. One that may not ends as
    /// [`DmaError::Aborted`], whatever outcome is given.
    #[must_use]
    pub fn dma_is_live(&self, id: DmaId) -> bool {
        self.core.dma.is_live(id)
    }

    /// The outcome of a transfer. One that began in an earlier life of the function is dropped.
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
    }

    /// Something is done with the model, which settles then.
    fn with_model<T>(
        &mut self,
        now: Time,
        what: impl FnOnce(&mut dyn Model, &mut Context<'_>) -> T,
    ) -> T {
        let cx = &mut Context::new(now, &mut self.core);
        let result = what(self.model.as_mut(), cx);
        self.model.settle(cx);
        result
    }

    /// The whole state field by field.
    #[must_use]
    pub fn inspect(&self, now: Time) -> Value {
        json!({
            "config": self.core.config().inspect(),
            "state": self.core.inspect(now),
            "model": self.model.inspect(),
        })
    }

    /// Returns the violations: what software did wrong.
    #[must_use]
    pub fn violations(&self) -> ViolationReport {
        self.core.violations()
    }

    /// Time spent in `state` until `now`.
    #[must_use]
    pub fn residency(&self, now: Time, state: PowerState) -> Duration {
        self.core.residency(now, state)
    }
}

#[cfg(test)]
mod tests;
