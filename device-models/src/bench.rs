//! A bench for device models: a function around a model, with memory behind it and a clock.
//!
//! A [`Bench`] simulates everything around the function. It accesses BARs and config space as a
//! driver does, advances virtual time, collects interrupts, events and violations, performs DMA or
//! leaves that to the test, puts the function to sleep and wakes it, and saves and restores it. It
//! has no server, thread or clock, so a test has the same result on every run.
//!
//! # Examples
//!
//! A device that interrupts ten milliseconds after a write to its only register:
//!
//! ```
//! use pci_device_models::bench::Bench;
//! use pci_device_models::model::prelude::*;
//!
//! #[derive(Debug, Default, Serialize, Deserialize)]
//! struct Alarm {
//!     rung: u32,
//! }
//!
//! impl Model for Alarm {
//!     fn read(&mut self, _: &mut Context<'_>, _: u8, _: u64, _: Lanes) -> u32 {
//!         self.rung
//!     }
//!
//!     fn write(&mut self, cx: &mut Context<'_>, _: u8, _: u64, _: DwordWrite) {
//!         cx.set_timer(0, Some(cx.now().after(Duration::from_millis(10))));
//!     }
//!
//!     fn timer(&mut self, cx: &mut Context<'_>, _: u16, _: Time) {
//!         self.rung += 1;
//!         cx.interrupt(0);
//!     }
//!
//!     fn reset(&mut self, cx: &mut Context<'_>, _: ResetKind) {
//!         self.rung = 0;
//!         cx.set_timer(0, None);
//!     }
//! }
//!
//! let mut bench = Bench::new(Box::<Alarm>::default())?;
//! bench.write(0, 0x0, 1);
//! bench.advance(Duration::from_millis(4));
//! let saved = bench.save();
//! assert!(!bench.intx());
//!
//! // Another function of the same kind continues from the saved state.
//! let mut restored = Bench::new(Box::<Alarm>::default())?;
//! restored.restore(&saved)?;
//! restored.advance(Duration::from_millis(6));
//! assert!(restored.intx());
//! assert_eq!(restored.read(0, 0x0), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backend;

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

use crate::config::{AnyCapability, Placement};
use crate::dma::{DmaError, DmaId, DmaOp, DmaOutcome, DmaRequest};
use crate::effect::{Effect, FunctionEvent, MessageKind};
use crate::function::{Function, Target};
use crate::model::{Model, Registry};
use crate::power::PowerState;
use crate::profile::{Profile, ProfileError};
use crate::snapshot::RestoreError;
use crate::time::Time;
use crate::violation::ViolationReport;

/// Offset of Command in config space.
pub(crate) const COMMAND: u64 = crate::pci::header::COMMAND as u64;
/// Command: I/O Space, Memory Space, Bus Master.
pub(crate) const ENABLE: u16 = 0x0007;

/// Size in bytes of the memory behind a bench, which starts at bus address 0.
const MEMORY: usize = 4 << 20;

/// Maximum number of deadlines at which [`Bench::advance`] stops before it jumps to the end, and of
/// transfers that [`Bench::run_dma`] performs. A model that never finishes thus does not block its
/// test.
const MOST_STEPS: u32 = 1 << 20;

/// A function on the bench. See the [module](self) for an example.
#[derive(Debug)]
pub struct Bench {
    pub(crate) function: Function,
    pub(crate) now: Time,
    pub(crate) memory: Vec<u8>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) waiting: VecDeque<DmaRequest>,
}

impl Bench {
    /// Creates a function around `model`: with 64 KiB of registers in BAR0, INTx, MSI with 8
    /// vectors, MSI-X with 16, and PME from D0, D3hot and D3cold.
    ///
    /// The function is powered on, decodes accesses and may use DMA. Its memory is 4 MiB from bus
    /// address 0, all zero. The time is 0.
    ///
    /// # Errors
    /// None in practice. The function's own profile is checked like any other.
    pub fn new(model: Box<dyn Model>) -> Result<Self, ProfileError> {
        let profile = Profile::parse("bench", include_str!("bench/profile.toml"), &[])?;
        Ok(Self::around(profile.function_around(model)?))
    }

    /// Creates the function of a profile, with the model that `registry` has for it, in the state
    /// that [`Self::new`] describes.
    ///
    /// # Errors
    /// The registry does not know the profile's model, or the model refuses its parameters.
    pub fn of(profile: &Profile, registry: &Registry) -> Result<Self, ProfileError> {
        Ok(Self::around(profile.function(registry)?))
    }

    fn around(function: Function) -> Self {
        let mut bench = Self {
            function,
            now: Time::ZERO,
            memory: vec![0; MEMORY],
            effects: Vec::new(),
            waiting: VecDeque::new(),
        };
        bench.enable();
        bench
    }

    /// Sets I/O Space Enable, Memory Space Enable and Bus Master Enable, as a driver does after a
    /// reset.
    pub fn enable(&mut self) {
        self.config_write_bytes(COMMAND, &ENABLE.to_le_bytes());
    }

    /// Returns the function.
    #[must_use]
    pub const fn function(&self) -> &Function {
        &self.function
    }

    /// Runs a closure on the function, for actions without a method of the bench.
    pub fn with_function<T>(&mut self, act: impl FnOnce(&mut Function, Time) -> T) -> T {
        let result = act(&mut self.function, self.now);
        self.drain();
        result
    }

    /// Returns the state of the model from [`Model::inspect`].
    #[must_use]
    pub fn inspect(&self) -> Value {
        self.function
            .inspect(self.now)
            .get_mut("model")
            .map_or(Value::Null, Value::take)
    }
}

/// Accesses of the driver.
impl Bench {
    /// Reads the DWORD at byte `offset` of a BAR. Returns all ones if the function does not decode
    /// it.
    pub fn read(&mut self, bar: u8, offset: u64) -> u32 {
        u32::from_le_bytes(self.read_bytes(bar, offset))
    }

    /// Reads bytes of a BAR in one access.
    pub fn read_bytes<const N: usize>(&mut self, bar: u8, offset: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.with_function(|function, now| {
            function.read(now, Target::Bar(bar), offset, &mut bytes);
        });
        bytes
    }

    /// Writes the DWORD at byte `offset` of a BAR.
    pub fn write(&mut self, bar: u8, offset: u64, value: u32) {
        self.write_bytes(bar, offset, &value.to_le_bytes());
    }

    /// Writes bytes of a BAR in one access.
    pub fn write_bytes(&mut self, bar: u8, offset: u64, bytes: &[u8]) {
        self.with_function(|function, now| function.write(now, Target::Bar(bar), offset, bytes));
    }

    /// Reads the DWORD at byte `offset` of config space. Returns all ones without power.
    pub fn config_read(&mut self, offset: u64) -> u32 {
        let mut bytes = [0; 4];
        self.with_function(|function, now| function.config_read(now, offset, &mut bytes));
        u32::from_le_bytes(bytes)
    }

    /// Writes bytes of config space in one access.
    pub fn config_write_bytes(&mut self, offset: u64, bytes: &[u8]) {
        self.with_function(|function, now| function.config_write(now, offset, bytes));
    }

    /// Drives one of the inputs that [`Model::inputs`] names. Any other name has no effect.
    pub fn input(&mut self, name: &str) {
        self.with_function(|function, now| function.input(now, name));
    }
}

/// Time.
impl Bench {
    /// Returns the time.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    /// Returns the time of the function's next work.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.function.next_deadline()
    }

    /// Advances the time. Work that becomes due is done in order and on time.
    pub fn advance(&mut self, span: Duration) {
        let end = self.now.after(span);
        for _ in 0..MOST_STEPS {
            let Some(due) = self.next_deadline().filter(|due| *due <= end) else {
                break;
            };
            self.now = self.now.max(due);
            self.with_function(Function::advance);
        }
        self.now = end;
        self.with_function(Function::advance);
    }

    /// Advances the time as on a busy server: work that becomes due is done late, at the end.
    pub fn advance_late(&mut self, span: Duration) {
        self.now = self.now.after(span);
        self.with_function(Function::advance);
    }
}

/// Interrupts, events and violations, in the order in which they left the function.
impl Bench {
    /// Returns the level of INTx.
    #[must_use]
    pub fn intx(&self) -> bool {
        self.intx_levels().last().copied().unwrap_or(false)
    }

    /// Returns the levels of INTx in order.
    #[must_use]
    pub fn intx_levels(&self) -> Vec<bool> {
        let level = |effect: &Effect| match effect {
            Effect::Intx(level) => Some(*level),
            _ => None,
        };
        self.effects.iter().filter_map(level).collect()
    }

    /// Returns the interrupt messages that were sent, with their vectors.
    #[must_use]
    pub fn messages(&self) -> Vec<(MessageKind, u16)> {
        let message = |effect: &Effect| match effect {
            Effect::Message { kind, vector } => Some((*kind, *vector)),
            _ => None,
        };
        self.effects.iter().filter_map(message).collect()
    }

    /// Returns the events that a subscriber of the control socket would see. Violations are among
    /// them.
    pub fn events(&self) -> impl Iterator<Item = &FunctionEvent> {
        self.effects.iter().filter_map(|effect| match effect {
            Effect::Event(event) => Some(event),
            _ => None,
        })
    }

    /// Returns the violations as the control socket shows them: counted by kind, and the last ones
    /// with their times.
    #[must_use]
    pub fn violations(&self) -> ViolationReport {
        self.function.violations()
    }

    /// Returns all effects of the function except transfers.
    #[must_use]
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    /// Clears the effects of the function so far, but keeps the level of INTx.
    pub fn clear_effects(&mut self) {
        let intx = self.intx();
        self.effects.clear();
        self.effects.extend(intx.then_some(Effect::Intx(true)));
    }
}

/// DMA.
impl Bench {
    /// Returns the memory, whose first byte has bus address 0.
    #[must_use]
    pub fn memory(&self) -> &[u8] {
        &self.memory
    }

    /// Returns the memory for modification.
    pub const fn memory_mut(&mut self) -> &mut Vec<u8> {
        &mut self.memory
    }

    /// Returns the transfers that wait for an outcome, oldest first.
    pub fn dma_requests(&self) -> impl ExactSizeIterator<Item = &DmaRequest> {
        self.waiting.iter()
    }

    /// Removes and returns the oldest transfer, whose outcome [`Self::complete_dma`] delivers.
    pub fn take_dma(&mut self) -> Option<DmaRequest> {
        self.waiting.pop_front()
    }

    /// Delivers the outcome of a transfer that was taken. As on a server, a transfer that a reset
    /// or a power state aborted ends as aborted, whatever its outcome.
    pub fn complete_dma(&mut self, id: DmaId, outcome: DmaOutcome<'_>) {
        self.with_function(|function, now| {
            let live = function.dma_is_live(id);
            let outcome = if live {
                outcome
            } else {
                Err(DmaError::Aborted)
            };
            function.dma_done(now, id, outcome);
        });
    }

    /// Performs the oldest transfer on the memory. Returns whether there was one.
    pub fn serve_dma(&mut self) -> bool {
        let Some(DmaRequest { id, op }) = self.take_dma() else {
            return false;
        };
        let outcome = if self.function.dma_is_live(id) {
            self.perform(&op)
        } else {
            Err(DmaError::Aborted)
        };
        self.complete_dma(id, outcome.as_deref().map_err(|error| *error));
        true
    }

    /// Performs transfers on the memory until none is left.
    pub fn run_dma(&mut self) {
        for _ in 0..MOST_STEPS {
            if !self.serve_dma() {
                return;
            }
        }
    }

    fn perform(&mut self, op: &DmaOp) -> Result<Vec<u8>, DmaError> {
        let len = self.memory.len();
        let range = |address: u64, count: usize| {
            let first = usize::try_from(address).ok();
            let end = first.and_then(|first| first.checked_add(count));
            match (first, end) {
                (Some(first), Some(end)) if end <= len => Ok(first..end),
                _ => Err(DmaError::Unmapped { address }),
            }
        };
        let memory = &mut self.memory;
        match op {
            DmaOp::Read { address, len } => {
                let read = memory.get(range(*address, *len as usize)?);
                return Ok(read.unwrap_or_default().to_vec());
            }
            DmaOp::Write { address, data } => {
                if let Some(written) = memory.get_mut(range(*address, data.len())?) {
                    written.copy_from_slice(data);
                }
            }
            DmaOp::Copy { from, to, len } => {
                let from = range(*from, *len as usize)?;
                let to = range(*to, *len as usize)?;
                memory.copy_within(from, to.start);
            }
        }
        Ok(Vec::new())
    }
}

/// Power states, and saving.
impl Bench {
    /// Returns the power state.
    #[must_use]
    pub fn power_state(&self) -> PowerState {
        self.function.power_state()
    }

    /// Returns whether PMCSR `PME_Status` is set, which shows that the device signalled a wake
    /// event.
    #[must_use]
    pub fn pme_status(&self) -> bool {
        let pm = self.function.config().pm();
        pm.is_some_and(|pm| pm.pmcsr().pme_status())
    }

    /// Puts the function into a power state. D0, D1, D2 and D3hot are written to PMCSR, after main
    /// power is restored if the function is in D3cold. For D3cold, main power is removed. Then the
    /// function is told that software has waited as long as required, although no time passes.
    ///
    /// A function that was reset in the transition does not decode accesses until [`Self::enable`].
    pub fn set_power_state(&mut self, state: PowerState) {
        if state == PowerState::D3cold {
            self.with_function(Function::power_off);
            return;
        }
        self.with_function(Function::power_on);
        self.function.waited();
        let pmcsr = self.pmcsr();
        if let Some((offset, value)) = pmcsr {
            self.config_write_bytes(offset, &[value & !3 | state.bits()]);
        }
        self.function.waited();
    }

    /// Returns the offset of PMCSR and its low byte.
    fn pmcsr(&self) -> Option<(u64, u8)> {
        let config = self.function.config();
        let is_pm =
            |placed: &&Placement| matches!(placed.capability, AnyCapability::PowerManagement(_));
        let offset = u64::from(config.capabilities().find(is_pm)?.offset) + 4;
        let mut value = [0];
        config.read(offset, &mut value);
        let [value] = value;
        Some((offset, value))
    }

    /// Saves the function with its model.
    #[must_use]
    pub fn save(&self) -> Value {
        self.function.save(self.now)
    }

    /// Restores a function that was saved from a bench of the same kind. Present transfers are
    /// forgotten. Those of the saved function wait again.
    ///
    /// # Errors
    /// The tree does not fit this function, which may then be restored in part.
    pub fn restore(&mut self, saved: &Value) -> Result<(), RestoreError> {
        self.waiting.clear();
        self.with_function(|function, now| function.restore(now, saved))
    }

    /// Collects the effects of the function.
    pub(crate) fn drain(&mut self) {
        while let Some(effect) = self.function.next_effect() {
            match effect {
                Effect::Dma(request) => self.waiting.push_back(request),
                effect => self.effects.push(effect),
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
