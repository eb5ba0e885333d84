//! Device models: what a function does behind its BARs.
//!
//! A model sees DWORDs with byte lanes, virtual time, and a [`Context`] through which it interrupts,
//! wakes and transfers data. Everything else (config space, decoding, power states, masking of
//! interrupts, reset of the standard registers) is done for it: a model is only called while the
//! function is in D0 and decodes the access.

pub mod backend;
pub mod descriptors;
pub mod designware;
pub mod i2c;
pub mod ioat;
mod none;
mod parameter;
pub mod prelude;
mod registry;
pub mod serial;
pub mod smbus;
mod state;
pub mod testdev;

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use backend::Backend;
pub use none::None;
pub use parameter::InRange;
pub use registry::{ParameterError, RAM, Registry};
pub use state::ModelState;

use crate::dma::{DmaError, DmaOp, DmaOutcome};
use crate::function::core::{Core, Counters};
use crate::function::doorbell::Doorbell;
use crate::power::PowerState;
use crate::register::{DwordWrite, Lanes, RegisterBits, ResetKind};
use crate::snapshot::{self, RestoreError};
use crate::time::Time;

/// The device behind a function's BARs.
///
/// Its fields are its state: a model that derives `Serialize` and `Deserialize` is [`ModelState`].
pub trait Model: ModelState + fmt::Debug + Send {
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

    /// Timer `number` has come due, and does not run any more. This may be called a little late, never
    /// early: `due` is the time for which [`Context::set_timer`] set it.
    fn timer(&mut self, cx: &mut Context<'_>, number: u16, due: Time) {
        let _ = (cx, number, due);
    }

    /// A transfer started with [`Context::dma`] under `tag` is over.
    fn dma_done(&mut self, cx: &mut Context<'_>, tag: u32, outcome: DmaOutcome<'_>) {
        let _ = (cx, tag, outcome);
    }

    /// Called after each of the other calls that may change something: what follows from registers and
    /// state is brought in line, in one place. Above all the level of the interrupt ([`Context::set_intx`]).
    fn settle(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// Registers that are doorbells: a server may have them written by eventfd. Asked once, when the
    /// function is made.
    fn doorbells(&self) -> Vec<Doorbell> {
        Vec::new()
    }

    /// What the world around the device does to it besides bus accesses: the names that
    /// [`Self::input`] knows.
    fn inputs(&self) -> &'static [&'static str] {
        &[]
    }

    /// The input of this name, one of [`Self::inputs`], was driven. It may be in any power state.
    fn input(&mut self, cx: &mut Context<'_>, name: &str) {
        let _ = (cx, name);
    }

    /// Returns the side of a back end that the device implements, if it has one. The kind stays the
    /// same.
    fn backend(&mut self) -> Option<Backend<'_>> {
        Option::None
    }

    /// The state, for people.
    fn inspect(&self) -> Value {
        self.save()
    }

    /// What becomes of this device when it is restored as `saved`, which it is as a rule. What is not
    /// state is taken over from here, and what cannot be a state of this device is refused.
    ///
    /// # Errors
    /// `saved` cannot be a state of this device.
    fn restored(&self, saved: Self) -> Result<Self, RestoreError>
    where
        Self: Sized,
    {
        Ok(saved)
    }
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

    /// A register of the device's own in config space, which the profile places there as a
    /// `[[capabilities.raw]]` without a header.
    #[must_use]
    pub fn config<T: RegisterBits>(&self, offset: u16) -> T {
        self.core.config().register(offset)
    }

    /// Changes such a register as hardware does, beyond what software may write.
    pub fn set_config<T: RegisterBits>(&mut self, offset: u16, register: T) {
        self.core.config_mut().set_register(offset, register);
    }

    /// Sets when timer `number` is due, which calls [`Model::timer`], or stops it.
    ///
    /// Each number is a timer of its own, so a model has up to 65,536. Those due at the same time are
    /// called in the order of their numbers. Timers go on in every power state and outlive resets. They
    /// are saved, as the time that is left, and restored with the function: a point in time is kept in a
    /// timer, never in the model.
    pub fn set_timer(&mut self, number: u16, due: Option<Time>) {
        self.core.set_timer(number, due);
    }

    /// Returns when timer `number` is due, if it runs.
    #[must_use]
    pub fn timer(&self, number: u16) -> Option<Time> {
        self.core.timer(number)
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

    /// Records that software broke a rule of the device, beside the violations of PCI and PCI Express
    /// that the function notices itself.
    ///
    /// `rule` is a name of the model's own, as `fifo-overrun`, of which 64 are told apart; `text` says
    /// what software did. Names are cut after 64 bytes, texts after 256. `dormouse ctl violations`
    /// counts each rule as `model.RULE`.
    pub fn violation(&mut self, rule: &str, text: &str) {
        self.core.model_violation(self.now, rule, text);
    }

    /// Tells subscribers of the control socket about something, as
    /// `{"event":"model","name":…,"data":…}`.
    ///
    /// The name is cut after 64 bytes; data of more than 1024 bytes of JSON is left out. Of the events
    /// and violations that the model tells within one access or timer, 256 are passed on.
    pub fn event(&mut self, name: &str, data: impl Serialize) {
        self.core.model_event(name, snapshot::tree(&data));
    }

    /// Starts a transfer; [`Model::dma_done`] brings the outcome under `tag`.
    ///
    /// # Errors
    /// [`DmaError::BusMasterOff`] or, outside D0, [`DmaError::Aborted`]: nothing was started.
    pub fn dma(&mut self, tag: u32, op: DmaOp) -> Result<(), DmaError> {
        self.core.start_dma(tag, op)
    }
}
