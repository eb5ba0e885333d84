//! Device models: what a function does behind its BARs.
//!
//! A model sees DWORDs with byte lanes, virtual time, and a [`Context`] through which it interrupts,
//! wakes and transfers data. Everything else (config space, decoding, power states, masking of
//! interrupts, reset of the standard registers) is done for it: a model is only called while the
//! function is in D0 and decodes the access.

mod none;
mod registry;
pub mod testdev;

use std::fmt;

use serde_json::Value;

pub use none::None;
pub use registry::Registry;

use crate::dma::{DmaError, DmaOp, DmaOutcome};
use crate::function::{Core, Counters, Doorbell};
use crate::power::PowerState;
use crate::register::{DwordWrite, Lanes, ResetKind};
use crate::snapshot::RestoreError;
use crate::time::Time;

/// The device behind a function's BARs.
pub trait Model: fmt::Debug + Send {
    /// Reads the DWORD at byte `offset` of BAR `bar`; only `lanes` matter. What the model does not
    /// implement reads zero.
    fn read(&mut self, cx: &mut Context<'_>, bar: u8, offset: u64, lanes: Lanes) -> u32;

    /// Writes the DWORD at byte `offset` of BAR `bar`.
    fn write(&mut self, cx: &mut Context<'_>, bar: u8, offset: u64, write: DwordWrite);

    /// Internal state is lost. INTx is released and transfers under way are forgotten already.
    fn reset(&mut self, cx: &mut Context<'_>, kind: ResetKind);

    /// The function went from one power state to another. Transfers under way when it leaves D0
    /// end in [`DmaError::Aborted`].
    fn power_changed(&mut self, cx: &mut Context<'_>, from: PowerState, to: PowerState) {
        let _ = (cx, from, to);
    }

    /// When [`Self::timer`] is due. Time goes on in every power state.
    fn deadline(&self) -> Option<Time> {
        Option::None
    }

    /// The deadline has come. It may be called a little late, never early.
    fn timer(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// A transfer started with [`Context::dma`] under `tag` is over.
    fn dma_done(&mut self, cx: &mut Context<'_>, tag: u32, outcome: DmaOutcome<'_>) {
        let _ = (cx, tag, outcome);
    }

    /// Registers that are doorbells: a server may have them written by eventfd. Asked once, when the
    /// function is made.
    fn doorbells(&self) -> Vec<Doorbell> {
        Vec::new()
    }

    /// The state, for people.
    fn inspect(&self) -> Value;

    /// The whole state, of which [`Self::restore`] makes the same device again. Points in time are
    /// saved relative to `now` ([`crate::snapshot::left`]). Transfers under way are not the model's to
    /// save, but what it needs to know when [`Self::dma_done`] brings their outcomes is.
    fn save(&self, now: Time) -> Value;

    /// Takes back what [`Self::save`] gave. The transfers that were under way then are again.
    ///
    /// # Errors
    /// The tree is not that of this model, whose state is of no account then. Usually it is
    /// [`crate::snapshot::read`] that finds out.
    fn restore(&mut self, now: Time, saved: &Value) -> Result<(), RestoreError>;
}

/// What a model may do to its function and to the world.
#[derive(Debug)]
pub struct Context<'a> {
    now: Time,
    core: &'a mut Core,
}

impl<'a> Context<'a> {
    pub(crate) fn new(now: Time, core: &'a mut Core) -> Self {
        Self { now, core }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// The function's power state.
    #[must_use]
    pub fn power_state(&self) -> PowerState {
        self.core.power_state()
    }

    /// What the function has counted since power-on.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.core.counters()
    }

    /// Sends message `vector` if MSI-X or MSI is enabled, else asserts INTx. Outside D0 or while
    /// masked the interrupt is held and goes out once when the way is free.
    pub fn interrupt(&mut self, vector: u16) {
        self.core.interrupt(vector);
    }

    /// Takes back an interrupt that has not gone out: the cause is gone.
    pub fn withdraw(&mut self, vector: u16) {
        self.core.withdraw(vector);
    }

    /// Sets the level of the INTx cause.
    pub fn set_intx(&mut self, asserted: bool) {
        self.core.set_intx_cause(asserted);
    }

    /// A wake event (PCIe Base §5.3.3.4).
    pub fn pme(&mut self) {
        self.core.pme_event(self.now);
    }

    /// Starts a transfer; [`Model::dma_done`] brings the outcome under `tag`.
    ///
    /// # Errors
    /// [`DmaError::BusMasterOff`] or, outside D0, [`DmaError::Aborted`]: nothing was started.
    pub fn dma(&mut self, tag: u32, op: DmaOp) -> Result<(), DmaError> {
        self.core.start_dma(tag, op)
    }
}
