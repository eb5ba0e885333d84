//! Device models: the behaviour of a function behind its BARs.
//!
//! A model handles DWORDs with byte lanes and virtual time, and has a [`Context`] with which it
//! interrupts, wakes and transfers data. The function does everything else: config space, decoding,
//! power states, masking of interrupts, reset of the standard registers. It calls [`Model::read`]
//! and [`Model::write`] only while it is in D0 and decodes the access.
//!
//! ```
//! use pci_device_models::bench::Bench;
//! use pci_device_models::model::prelude::*;
//!
//! /// Counts the writes to its BAR.
//! #[derive(Debug, Default, Serialize, Deserialize)]
//! struct Counter {
//!     writes: u32,
//! }
//!
//! impl Model for Counter {
//!     fn read(&mut self, _: &mut Context<'_>, _: u8, _: u64, _: Lanes) -> u32 {
//!         self.writes
//!     }
//!
//!     fn write(&mut self, _: &mut Context<'_>, _: u8, _: u64, _: DwordWrite) {
//!         self.writes += 1;
//!     }
//!
//!     fn reset(&mut self, _: &mut Context<'_>, _: ResetKind) {
//!         self.writes = 0;
//!     }
//! }
//!
//! let mut bench = Bench::new(Box::<Counter>::default())?;
//! bench.write(0, 0, 5);
//! assert_eq!(bench.read(0, 0), 1);
//! # Ok::<(), pci_device_models::profile::ProfileError>(())
//! ```

pub mod backend;
pub mod controller;
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
/// Its fields are its state. A model that derives `Serialize` and `Deserialize` implements
/// [`ModelState`].
pub trait Model: ModelState + fmt::Debug + Send {
    /// Reads the DWORD at byte `offset` of BAR `bar`. Only the bytes in `lanes` matter. Registers
    /// that the model does not implement read zero.
    fn read(&mut self, cx: &mut Context<'_>, bar: u8, offset: u64, lanes: Lanes) -> u32;

    /// Writes the DWORD at byte `offset` of BAR `bar`.
    fn write(&mut self, cx: &mut Context<'_>, bar: u8, offset: u64, write: DwordWrite);

    /// Clears the internal state. The function has released INTx and forgotten transfers in
    /// progress already.
    fn reset(&mut self, cx: &mut Context<'_>, kind: ResetKind);

    /// Handles a change of the power state. Transfers in progress when the function leaves D0 end
    /// in [`DmaError::Aborted`].
    fn power_changed(&mut self, cx: &mut Context<'_>, from: PowerState, to: PowerState) {
        let _ = (cx, from, to);
    }

    /// Handles the expiry of timer `number`, which runs no more. The call may come a little late,
    /// never early: `due` is the time for which [`Context::set_timer`] set the timer.
    fn timer(&mut self, cx: &mut Context<'_>, number: u16, due: Time) {
        let _ = (cx, number, due);
    }

    /// Handles the end of a transfer that [`Context::dma`] started under `tag`.
    fn dma_done(&mut self, cx: &mut Context<'_>, tag: u32, outcome: DmaOutcome<'_>) {
        let _ = (cx, tag, outcome);
    }

    /// Updates everything that follows from registers and state, above all the level of the
    /// interrupt ([`Context::set_intx`]). The function calls it after each of the other calls that
    /// may change something.
    fn settle(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// Returns the registers that are doorbells, which a server may let clients write by eventfd.
    /// Called once, when the function is created.
    fn doorbells(&self) -> Vec<Doorbell> {
        Vec::new()
    }

    /// Returns the names of the device's inputs besides bus accesses, which [`Self::input`] knows.
    fn inputs(&self) -> &'static [&'static str] {
        &[]
    }

    /// Handles a drive of the input `name`, one of [`Self::inputs`]. It may come in any power
    /// state.
    fn input(&mut self, cx: &mut Context<'_>, name: &str) {
        let _ = (cx, name);
    }

    /// Returns the side of a back end that the device implements, if it has one. The kind never
    /// changes.
    fn backend(&mut self) -> Option<Backend<'_>> {
        Option::None
    }

    /// Returns the state, for people.
    fn inspect(&self) -> Value {
        self.save()
    }

    /// Returns the device that results from restoring `saved`: normally `saved` itself. An
    /// implementation copies the parts that are not state from `self`, and refuses states that this
    /// device cannot have.
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

/// A model's access to its function and to the outside.
#[derive(Debug)]
pub struct Context<'a> {
    now: Time,
    core: &'a mut Core,
}

impl<'a> Context<'a> {
    pub(crate) fn new(now: Time, core: &'a mut Core) -> Self {
        Self { now, core }
    }

    /// Returns the time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Returns the function's power state.
    #[must_use]
    pub fn power_state(&self) -> PowerState {
        self.core.power_state()
    }

    /// Returns the function's counts since power-on.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.core.counters()
    }

    /// Returns a register of the device's own in config space, which the profile places there as a
    /// `[[capabilities.raw]]` without a header.
    #[must_use]
    pub fn config<T: RegisterBits>(&self, offset: u16) -> T {
        self.core.config().register(offset)
    }

    /// Changes such a register as hardware does, without the limits of software.
    pub fn set_config<T: RegisterBits>(&mut self, offset: u16, register: T) {
        self.core.config_mut().set_register(offset, register);
    }

    /// Sets the time at which timer `number` calls [`Model::timer`], or stops it.
    ///
    /// Each number is a timer of its own, so a model has up to 65,536. Timers that are due at the
    /// same time are called in the order of their numbers. Timers continue in every power state and
    /// after resets. They are saved as the time that is left, and restored with the function. Keep
    /// a point in time in a timer, never in the model.
    pub fn set_timer(&mut self, number: u16, due: Option<Time>) {
        self.core.set_timer(number, due);
    }

    /// Returns the time at which timer `number` is due, if it runs.
    #[must_use]
    pub fn timer(&self, number: u16) -> Option<Time> {
        self.core.timer(number)
    }

    /// Sends message `vector` if MSI-X or MSI is enabled, else asserts INTx. A message that is
    /// masked or raised outside D0 is held, and sent once when this is over.
    pub fn interrupt(&mut self, vector: u16) {
        self.core.interrupt(vector);
    }

    /// Withdraws an interrupt that has not gone out, since its cause has gone.
    pub fn withdraw(&mut self, vector: u16) {
        self.core.withdraw(vector);
    }

    /// Sets the level of the INTx cause.
    pub fn set_intx(&mut self, asserted: bool) {
        self.core.set_intx_cause(asserted);
    }

    /// Raises a wake event (PCIe Base §5.3.3.4).
    pub fn pme(&mut self) {
        self.core.pme_event(self.now);
    }

    /// Records that software broke a rule of the device, beside the violations of PCI and PCI Express
    /// that the function notices itself.
    ///
    /// `rule` is a name of the model's own, such as `fifo-overrun`; up to 64 rules are counted
    /// separately. `text` describes the action of software. Names are cut after 64 bytes, texts
    /// after 256. `dormouse ctl violations` counts each rule as `model.RULE`.
    pub fn violation(&mut self, rule: &str, text: &str) {
        self.core.model_violation(self.now, rule, text);
    }

    /// Reports an event to subscribers of the control socket, as
    /// `{"event":"model","name":…,"data":…}`.
    ///
    /// The name is cut after 64 bytes. Data of more than 1024 bytes of JSON is left out. Of the
    /// events and violations that the model reports within one access or timer, 256 are passed on.
    pub fn event(&mut self, name: &str, data: impl Serialize) {
        self.core.model_event(name, snapshot::tree(&data));
    }

    /// Starts a transfer. [`Model::dma_done`] receives the outcome under `tag`.
    ///
    /// # Errors
    /// [`DmaError::BusMasterOff`] or, outside D0, [`DmaError::Aborted`]. No transfer was started.
    pub fn dma(&mut self, tag: u32, op: DmaOp) -> Result<(), DmaError> {
        self.core.start_dma(tag, op)
    }
}
