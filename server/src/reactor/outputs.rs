//! What a device does to the world: interrupts at once, DMA in its turn, events to those who watch.

use pci_device_models::effect::Event;
use pci_device_models::host::{Device, Output};
use pci_device_models::time::Time;

use crate::dma::DmaQueue;
use crate::irq_fds::IrqFds;
use crate::stats::ConnectionStats;

/// The outputs of one function.
#[derive(Debug)]
pub(super) struct Outputs {
    /// Name of the function in logs.
    name: String,
    /// Transfers to be done.
    pub(super) dma: DmaQueue,
    /// Events to be told, if anybody listens.
    pub(super) events: Vec<(Time, Event)>,
    /// Control clients that listen.
    pub(super) subscribers: usize,
}

impl Outputs {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            dma: DmaQueue::default(),
            events: Vec::new(),
            subscribers: 0,
        }
    }

    /// Takes all that the device has put out. `irqs` are those of its client, if it has one.
    pub(super) fn perform(
        &mut self,
        now: Time,
        device: &mut Device,
        mut irqs: Option<&mut IrqFds>,
        stats: &mut ConnectionStats,
    ) {
        while let Some(output) = device.next_output() {
            match output {
                Output::Trigger { index, vector } => {
                    let told = irqs.as_mut().is_some_and(|irqs| irqs.signal(index, vector));
                    stats.interrupts += u64::from(told);
                    stats.interrupts_unbound += u64::from(!told);
                    tracing::trace!(function = self.name, ?index, vector, told, "interrupt");
                }
                Output::Dma(request) => self.dma.push(request),
                Output::Event(event) => {
                    tracing::debug!(function = self.name, at = %now, ?event);
                    if self.subscribers > 0 {
                        self.events.push((now, event));
                    }
                }
            }
        }
    }
}
