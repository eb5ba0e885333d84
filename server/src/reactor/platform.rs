//! The platform controller: it switches the power rails of all slots and hears of wake events.

use std::io;

use pci_device_models::host::DeviceSet;
use pci_device_models::model::Context;
use pci_device_models::model::backend::{PlatformPort, WakeSource};

use super::{Reactor, served};
use crate::endpoint::Endpoint;
use crate::outputs::PlatformNews;
use crate::served::{ServedFunction, ServedSlot};

/// The controller among the functions that are served.
#[derive(Debug)]
pub(super) struct Platform {
    /// Place of its function in the reactor's list.
    function: usize,
    /// Number of slots that it has. They are the first ones in the reactor's list.
    slots: usize,
}

impl Reactor {
    /// Returns the names of the slots in the order in which they were added.
    pub(crate) fn slot_names(&self) -> Vec<String> {
        self.slots.iter().map(|slot| slot.name.clone()).collect()
    }

    /// Serves `devices`, whose function 0 is the controller of all slots that were added so far.
    pub(crate) fn add_controller(
        &mut self,
        devices: DeviceSet,
        name: &str,
        endpoint: Endpoint,
    ) -> io::Result<()> {
        let platform = Platform {
            function: self.functions.len(),
            slots: self.slots.len(),
        };
        self.add(ServedSlot::new(devices).with_function(ServedFunction::new(name, endpoint)))?;
        self.platform = Some(platform);
        Ok(())
    }

    /// Lets slots follow the controller if the function is the controller, and tells the
    /// controller the news of every other one.
    pub(super) fn platform_after(&mut self, number: usize, news: PlatformNews) {
        let Some(platform) = &self.platform else {
            return;
        };
        let controller = platform.function;
        if number == controller {
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
            let Some(devices) = self.slots.get(slot).map(|slot| &slot.devices) else {
                return;
            };
            let low_power = devices.first().options().rail_as.is_low_power();
            let on = devices.slot().rail_on();
            self.tell_controller(controller, |port, cx| {
                if !low_power && news.rail {
                    port.set_rail(cx, slot, on);
                }
                // In low power the host hears the function, and tells the client.
                if news.woke && (!low_power || port.wants_power(slot)) {
                    port.wake(cx, slot, number, WakeSource::Function);
                }
                if low_power && news.woken {
                    port.wake(cx, slot, number, WakeSource::Host);
                }
            });
            self.after_one(controller);
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
