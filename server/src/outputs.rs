//! Performs the outputs of a device: interrupts and wake-up notices at once, DMA in turn, events for
//! subscribers.

use std::collections::BTreeSet;
use std::time::Duration;

use pci_device_models::effect::FunctionEvent;
use pci_device_models::host::{DeviceMut, Event, HostEvent, Output};
use pci_device_models::time::Time;
use vfio_user_protocol::vfio::IrqIndex;

use crate::dma::DmaQueue;
use crate::irq_fds::IrqFds;
use crate::ratelimit::limited;
use crate::stats::ConnectionStats;

/// The outputs of one function.
#[derive(Debug)]
pub(crate) struct Outputs {
    /// Name of the function in logs.
    name: String,
    /// Eventfds for interrupts and for the end of low power.
    pub(crate) irqs: IrqFds,
    /// Interrupts that wait for a stopped device to go on.
    held: BTreeSet<(IrqIndex, u32)>,
    /// Transfers to be done.
    pub(crate) dma: DmaQueue,
    /// Events to be told, if anybody listens.
    pub(crate) events: Vec<(Time, Event)>,
    /// Control clients that listen.
    pub(crate) subscribers: usize,
    /// News for the platform controller.
    pub(crate) news: PlatformNews,
}

/// The news of a function of which the platform controller has not heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PlatformNews {
    /// Main power was switched.
    pub(crate) rail: bool,
    /// The function signalled a wake event.
    pub(crate) woke: bool,
    /// The host woke it and told its client so.
    pub(crate) woken: bool,
}

impl PlatformNews {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Function(FunctionEvent::Rail { .. }) => self.rail = true,
            Event::Function(FunctionEvent::PmPme | FunctionEvent::Wake { asserted: true }) => {
                self.woke = true;
            }
            Event::Host(HostEvent::Wakeup) => self.woken = true,
            Event::Function(_) | Event::Host(_) => {}
        }
    }
}

impl Outputs {
    /// Clients are given `dma_timeout` to answer a DMA command.
    pub(crate) fn new(name: String, dma_timeout: Duration) -> Self {
        Self {
            name,
            irqs: IrqFds::default(),
            held: BTreeSet::new(),
            dma: DmaQueue::new(dma_timeout),
            events: Vec::new(),
            subscribers: 0,
            news: PlatformNews::default(),
        }
    }

    /// Takes all that the device has put out. Interrupts of a device that is stopped for migration
    /// wait until it goes on.
    #[inline]
    pub(crate) fn perform(
        &mut self,
        now: Time,
        device: &mut DeviceMut<'_>,
        stats: &mut ConnectionStats,
    ) {
        if device.has_output() || !self.held.is_empty() {
            self.perform_all(now, device, stats);
        }
    }

    fn perform_all(&mut self, now: Time, device: &mut DeviceMut<'_>, stats: &mut ConnectionStats) {
        while !device.is_frozen()
            && let Some((index, vector)) = self.held.pop_first()
        {
            self.trigger(index, vector, stats);
        }
        while let Some(output) = device.next_output() {
            match output {
                Output::Trigger { index, vector } if device.is_frozen() => {
                    self.held.insert((index, vector));
                }
                Output::Trigger { index, vector } => self.trigger(index, vector, stats),
                Output::Withdraw { index, vector } => {
                    let withdrawn = self.irqs.withdraw(index, vector);
                    if withdrawn {
                        device.intx_withdrawn();
                    }
                    tracing::trace!(
                        function = self.name,
                        ?index,
                        vector,
                        withdrawn,
                        "interrupt gone"
                    );
                }
                Output::Wakeup { signal } => {
                    self.irqs.end_low_power(signal);
                    tracing::trace!(function = self.name, signal, "wake-up eventfd released");
                }
                Output::Dma(request) => self.dma.push(request),
                Output::Event(event) => {
                    tracing::debug!(function = self.name, at = %now, ?event);
                    self.news.note(&event);
                    self.log_request(&event);
                    if self.subscribers > 0 {
                        self.events.push((now, event));
                    }
                }
            }
        }
    }

    /// Logs requests for the device as `vfio_pci_core_request` does.
    fn log_request(&self, event: &Event) {
        match event {
            Event::Host(HostEvent::Request {
                count,
                signalled: true,
            }) if count % 10 == 0 => {
                limited!(
                    info,
                    function = self.name,
                    count,
                    "Relaying device request to user"
                );
            }
            Event::Host(HostEvent::Request {
                count: 0,
                signalled: false,
            }) => limited!(
                warn,
                function = self.name,
                "No device request channel registered, blocked until released by user"
            ),
            _ => {}
        }
    }

    fn trigger(&mut self, index: IrqIndex, vector: u32, stats: &mut ConnectionStats) {
        let told = self.irqs.signal(index, vector);
        stats.interrupts += u64::from(told);
        stats.interrupts_unbound += u64::from(!told);
        tracing::trace!(function = self.name, ?index, vector, told, "interrupt");
    }

    /// Interrupts that wait for a stopped device are not going to leave.
    pub(crate) fn drop_held(&mut self) {
        self.held.clear();
    }

    /// Performs outputs as [`Self::perform`] does, and then lets an unused device go to sleep. The caller
    /// calls it after a request, once the reply is queued.
    pub(crate) fn settle(
        &mut self,
        now: Time,
        device: &mut DeviceMut<'_>,
        stats: &mut ConnectionStats,
    ) {
        self.perform(now, device, stats);
        device.idle(now);
        self.perform(now, device, stats);
    }
}
