//! The host driver: what stands between a client and the function, as Linux vfio-pci does.
//!
//! A [`Device`] is what a server serves: regions, interrupts and reset in VFIO's terms on top of a
//! [`Slot`]. Region accesses reach the function as on a bus; an access inside a region always gets
//! data, errors are for requests that make no sense.

mod error;
mod irqs;
mod region;

use std::collections::VecDeque;

use serde_json::{Value, json};

pub use error::HostError;
pub use irqs::{IrqAction, IrqData, IrqFlags, IrqIndex, IrqInfo, SetIrqs};
pub use region::{RegionInfo, region_index};

use crate::dma::{DmaId, DmaOutcome, DmaRequest};
use crate::effect::{Effect, Event};
use crate::power::PowerState;
use crate::register::ResetKind;
use crate::slot::Slot;
use crate::time::Time;
use irqs::Irqs;

/// What becomes of the function when its client goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDisconnect {
    /// As vfio-pci does on the last close: bus mastering off, D0, function reset.
    #[default]
    Reset,
    /// The function stays as it is; interrupts and DMA maps are dropped all the same.
    Retain,
}

/// What a device does to its client and to those who watch, in order.
#[derive(Debug)]
pub enum Output {
    /// Signal the trigger bound to a vector, if one is bound.
    Trigger {
        /// VFIO irq index.
        index: IrqIndex,
        /// Vector.
        vector: u32,
    },
    /// Do a DMA transfer and give the outcome to [`Device::dma_done`].
    Dma(DmaRequest),
    /// Something happened.
    Event(Event),
}

/// A function behind its host driver.
#[derive(Debug)]
pub struct Device {
    slot: Slot,
    irqs: Irqs,
    on_disconnect: OnDisconnect,
    outputs: VecDeque<Output>,
}

impl Device {
    /// Binds the host driver to the function in `slot`.
    #[must_use]
    pub fn new(slot: Slot, on_disconnect: OnDisconnect) -> Self {
        let irqs = Irqs::new(slot.function());
        Self {
            slot,
            irqs,
            on_disconnect,
            outputs: VecDeque::new(),
        }
    }

    /// The slot, to look at.
    #[must_use]
    pub const fn slot(&self) -> &Slot {
        &self.slot
    }

    /// The next thing to do, oldest first.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::advance`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.slot.function().next_deadline()
    }

    /// Does everything that is due by `now`.
    pub fn advance(&mut self, now: Time) {
        self.slot.function_mut().advance(now);
        self.settle();
    }

    /// Size and access rights of a region: BARs 0 to 5, ROM 6, config space 7, VGA 8.
    ///
    /// # Errors
    /// [`HostError::NoSuchRegion`].
    pub fn region_info(&self, index: u32) -> Result<RegionInfo, HostError> {
        region::info(self.slot.function(), index)
    }

    /// Reads `data.len()` bytes of a region.
    ///
    /// # Errors
    /// [`HostError::NoSuchRegion`], [`HostError::OutsideRegion`].
    pub fn region_read(
        &mut self,
        now: Time,
        index: u32,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), HostError> {
        region::check(self.slot.function(), index, offset, data.len())?;
        region::read(self.slot.function_mut(), now, index, offset, data);
        self.settle();
        Ok(())
    }

    /// Writes bytes to a region. What is read-only stays as it is, without an error.
    ///
    /// # Errors
    /// [`HostError::NoSuchRegion`], [`HostError::OutsideRegion`].
    pub fn region_write(
        &mut self,
        now: Time,
        index: u32,
        offset: u64,
        data: &[u8],
    ) -> Result<(), HostError> {
        region::check(self.slot.function(), index, offset, data.len())?;
        region::write(self.slot.function_mut(), now, index, offset, data);
        self.settle();
        Ok(())
    }

    /// What an irq index can do.
    ///
    /// # Errors
    /// [`HostError::NoSuchIrq`].
    pub fn irq_info(&self, index: u32) -> Result<IrqInfo, HostError> {
        self.irqs.info(index)
    }

    /// Binds, unbinds, masks, unmasks or fires interrupts. File descriptors stay with the caller,
    /// who stores them when this has succeeded.
    ///
    /// # Errors
    /// [`HostError::NoSuchIrq`], [`HostError::IrqRange`], [`HostError::IrqForm`].
    pub fn set_irqs(&mut self, request: SetIrqs<'_>) -> Result<(), HostError> {
        let Self {
            irqs,
            slot,
            outputs,
            ..
        } = self;
        irqs.set(request, slot.function_mut(), outputs)?;
        self.settle();
        Ok(())
    }

    /// The resample eventfd of INTx was signalled: the client has handled the interrupt.
    pub fn intx_resample(&mut self) {
        self.irqs.unmask_intx(&mut self.outputs);
    }

    /// `VFIO_DEVICE_RESET`: a function level reset after which the function is ready.
    pub fn reset(&mut self, now: Time) {
        if self.slot.rail_on() {
            self.slot.function_mut().reset(now, ResetKind::Flr);
        }
        self.settle();
    }

    /// The client is gone.
    pub fn client_gone(&mut self, now: Time) {
        self.irqs.drop_all(self.slot.function_mut());
        if self.on_disconnect == OnDisconnect::Reset {
            self.reset(now);
        }
        self.settle();
    }

    /// Whether a transfer may still touch memory; see [`crate::function::Function::dma_is_live`].
    #[must_use]
    pub fn dma_is_live(&self, id: DmaId) -> bool {
        self.slot.function().dma_is_live(id)
    }

    /// The outcome of a transfer.
    pub fn dma_done(&mut self, now: Time, id: DmaId, outcome: DmaOutcome<'_>) {
        self.slot.function_mut().dma_done(now, id, outcome);
        self.settle();
    }

    /// A wake event of the device, raised from outside.
    pub fn pme(&mut self, now: Time) {
        self.slot.function_mut().pme_event(now);
        self.settle();
    }

    /// The INTx cause, set from outside.
    pub fn set_intx(&mut self, asserted: bool) {
        self.slot.function_mut().set_intx(asserted);
        self.settle();
    }

    /// Raises interrupt `vector` as the device would.
    pub fn interrupt(&mut self, vector: u16) {
        self.slot.function_mut().interrupt(vector);
        self.settle();
    }

    /// Takes back interrupt `vector` if it has not gone out.
    pub fn withdraw(&mut self, vector: u16) {
        self.slot.function_mut().withdraw(vector);
        self.settle();
    }

    /// Switches the slot's power rail.
    pub fn set_rail(&mut self, now: Time, on: bool) {
        self.slot.set_rail(now, on);
        self.settle();
    }

    /// A reset from above the function, or its own.
    pub fn platform_reset(&mut self, now: Time, kind: ResetKind) {
        match kind {
            ResetKind::Flr => self.reset(now),
            ResetKind::PowerOn => self.slot.power_cycle(now),
            ResetKind::Fundamental | ResetKind::Hot => self.slot.reset(now, kind),
            // A reset that only a PMCSR write brings about.
            ResetKind::SoftD3hot => {}
        }
        self.settle();
    }

    /// The slot's power limit message.
    pub fn set_slot_power_limit(&mut self, value: u8, scale: u8) {
        self.slot.function_mut().set_slot_power_limit(value, scale);
        self.settle();
    }

    /// Figures a person or a CI job asks for. Asking changes nothing.
    #[must_use]
    pub fn status(&self, now: Time) -> Value {
        let function = self.slot.function();
        let residency: serde_json::Map<String, Value> = PowerState::ALL
            .into_iter()
            .map(|state| {
                let millis = function.residency(now, state).as_millis();
                let millis = u64::try_from(millis).unwrap_or(u64::MAX);
                (state.to_string(), millis.into())
            })
            .collect();
        json!({
            "power_state": function.power_state().to_string(),
            "rail": self.slot.rail_on(),
            "irqs": self.irqs.inspect(),
            "counters": function.counters(),
            "residency_ms": residency,
        })
    }

    /// The whole state field by field. Asking changes nothing.
    #[must_use]
    pub fn inspect(&self, now: Time) -> Value {
        json!({ "host": { "irqs": self.irqs.inspect() }, "slot": self.slot.inspect(now) })
    }

    /// What software did wrong.
    #[must_use]
    pub fn violations(&self) -> Value {
        self.slot.function().violations()
    }

    /// Turns effects of the function into outputs.
    fn settle(&mut self) {
        while let Some(effect) = self.slot.function_mut().next_effect() {
            match effect {
                Effect::Intx(level) => self.irqs.set_level(level, &mut self.outputs),
                Effect::Message { kind, vector } => self.outputs.push_back(Output::Trigger {
                    index: kind.into(),
                    vector: u32::from(vector),
                }),
                Effect::Dma(request) => self.outputs.push_back(Output::Dma(request)),
                Effect::Reset(_) => self.irqs.reprogram(self.slot.function_mut()),
                Effect::Event(event) => self.outputs.push_back(Output::Event(event)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
