//! The platform controller: it switches the power rails of all slots and hears of wake events.

use std::collections::BTreeSet;
use std::io;

use pci_device_models::host::DeviceSet;
use pci_device_models::model::Context;
use pci_device_models::model::backend::{PlatformPort, WakeSource};
use pci_device_models::slot::FunctionNumber;
use pci_device_models::time::Time;

use super::{Reactor, served};
use crate::outputs::PlatformNews;
use crate::served::{ServedFunction, ServedSlot};

/// The controller among the functions that are served.
#[derive(Debug)]
pub(super) struct Platform {
    /// Place of its function in the reactor's list.
    function: usize,
    /// Number of slots that it has. They are the first ones in the reactor's list.
    slots: usize,
    /// News that wait until it is not stopped for migration any more.
    held: BTreeSet<(usize, News)>,
}

/// News of a slot for its controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum News {
    /// Main power was switched by somebody else.
    Rail,
    /// A function signalled a wake event.
    Woke(FunctionNumber),
    /// The host woke a function and told its client so.
    Woken(FunctionNumber),
}

impl Reactor {
    /// Returns the names of the slots in the order in which they were added.
    pub(crate) fn slot_names(&self) -> Vec<String> {
        self.slots.iter().map(|slot| slot.name.clone()).collect()
    }

    /// Returns the server's time.
    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Shows the power of all slots that were added so far to the controller in `devices`.
    pub(crate) fn show_rails(&self, devices: &mut DeviceSet) {
        devices.first_mut().with_backend(self.now(), |backend, cx| {
            let Some(port) = backend.platform() else {
                return;
            };
            // It was switched on just now, which says nothing of the slots.
            while port.take_switch(cx).is_some() {}
            for (place, slot) in self.slots.iter().enumerate() {
                port.set_rail(cx, place, slot.devices.firmware_rail());
            }
        });
    }

    /// Serves `devices`, whose function 0 is the controller of all slots that were added so far.
    pub(crate) fn add_controller(
        &mut self,
        devices: DeviceSet,
        function: ServedFunction,
    ) -> io::Result<()> {
        let place = self.functions.len();
        let platform = Platform {
            function: place,
            slots: self.slots.len(),
            held: BTreeSet::new(),
        };
        self.add(ServedSlot::new(devices).with_function(function))?;
        self.platform = Some(platform);
        // A restored one has switches to throw.
        self.after(place);
        Ok(())
    }

    /// Lets slots follow the controller if the function is the controller, and tells the
    /// controller the news of every other one.
    pub(super) fn platform_after(&mut self, number: usize, news: PlatformNews) {
        let Some(platform) = &mut self.platform else {
            return;
        };
        let controller = platform.function;
        if number == controller {
            if !platform.held.is_empty() {
                self.tell_held(controller);
            }
            self.throw_switches(controller);
        } else if news != PlatformNews::default() {
            let slots = platform.slots;
            let function = self.functions.get(number);
            let Some((slot, number)) = function
                .map(|function| (function.slot, function.number))
                .filter(|(slot, _)| *slot < slots)
            else {
                return;
            };
            let all = [
                (news.rail, News::Rail),
                (news.woke, News::Woke(number)),
                (news.woken, News::Woken(number)),
            ];
            for (_, news) in all.into_iter().filter(|(happened, _)| *happened) {
                self.tell_news(controller, slot, news);
            }
            self.after_one(controller);
        }
    }

    /// Shows the controller the power of a slot that was restored.
    pub(super) fn slot_restored(&mut self, function: usize) {
        let slot = self.functions.get(function).map(|function| function.slot);
        let (Some(platform), Some(slot)) = (&self.platform, slot) else {
            return;
        };
        if slot < platform.slots {
            let controller = platform.function;
            let on = self
                .slots
                .get(slot)
                .is_none_or(|slot| slot.devices.firmware_rail());
            self.tell_controller(controller, |port, cx| port.set_rail(cx, slot, on));
            self.after_one(controller);
        }
    }

    /// Tells the controller the news of a slot, or keeps them while it is stopped.
    fn tell_news(&mut self, controller: usize, slot: usize, news: News) {
        let stopped = served(&mut self.functions, &mut self.slots, controller)
            .is_some_and(|(_, seat)| seat.device.is_frozen());
        if stopped {
            if let Some(platform) = &mut self.platform {
                platform.held.insert((slot, news));
            }
            return;
        }
        let Some(devices) = self.slots.get(slot).map(|slot| &slot.devices) else {
            return;
        };
        let low_power = devices.first().options().rail_as.is_low_power();
        let on = devices.slot().rail_on();
        self.tell_controller(controller, |port, cx| match news {
            News::Rail if low_power => {}
            News::Rail => port.set_rail(cx, slot, on),
            // In low power the host hears the function, and tells the client.
            News::Woke(number) if !low_power || port.wants_power(slot) => {
                port.wake(cx, slot, number, WakeSource::Function);
            }
            News::Woken(number) if low_power => port.wake(cx, slot, number, WakeSource::Host),
            News::Woke(_) | News::Woken(_) => {}
        });
    }

    /// Tells the controller what it could not hear while it was stopped.
    fn tell_held(&mut self, controller: usize) {
        let Some(platform) = &mut self.platform else {
            return;
        };
        for (slot, news) in std::mem::take(&mut platform.held) {
            self.tell_news(controller, slot, news);
        }
    }

    fn throw_switches(&mut self, controller: usize) {
        loop {
            let mut thrown = None;
            self.tell_controller(controller, |port, cx| thrown = port.take_switch(cx));
            let Some(switch) = thrown else { return };
            let now = self.clock.now();
            if let Some(slot) = self.slots.get_mut(switch.slot) {
                slot.switch_rail(switch.on);
                slot.take_rail(now);
            }
            self.after_slot(switch.slot);
        }
    }

    /// Lets the platform act on the controller.
    fn tell_controller(
        &mut self,
        controller: usize,
        act: impl FnOnce(&mut dyn PlatformPort, &mut Context<'_>),
    ) {
        let Some((function, mut seat)) = served(&mut self.functions, &mut self.slots, controller)
        else {
            return;
        };
        let now = seat.time.at(self.clock.now());
        seat.device.with_backend(now, |backend, cx| {
            if let Some(port) = backend.platform() {
                act(port, cx);
            }
        });
        function.settle(&mut seat, now);
    }
}
