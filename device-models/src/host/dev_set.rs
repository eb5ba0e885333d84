//! The devices of a slot as one set (`struct vfio_device_set`): resets of all of them together.
//!
//! | reset | when | reaches |
//! |---|---|---|
//! | hot reset (`vfio_pci_dev_set_hot_reset`) | the user of one device asks for it | all, asleep or not |
//! | reset at the last close (`vfio_pci_dev_set_try_reset`) | no device is open and one needs it | all |

use std::time::Duration;

use super::DeviceMut;
use super::error::HostError;
use super::port::link;
use super::runtime_pm::Usage;
use super::view::View;
use crate::config::Command;
use crate::power::PowerState;
use crate::register::ResetKind;
use crate::slot::FunctionNumber;
use crate::time::Time;

/// Time for which a secondary bus reset is asserted (`pci_reset_secondary_bus`).
const RESET_HELD: Duration = Duration::from_millis(2);

impl DeviceMut<'_> {
    /// Performs `VFIO_DEVICE_PCI_HOT_RESET` for a client of this device that owns the whole set: a
    /// reset of all functions of the slot from above. Config space then has its earlier content.
    /// Sleeping devices wake for it.
    ///
    /// # Errors
    /// [`HostError::NotAwake`] if this device does not wake. If another one does not,
    /// [`HostError::Resume`] with that device's error, and no function is reset.
    /// [`HostError::NoBusReset`], [`HostError::ResetBusy`], [`HostError::NotReady`],
    /// [`HostError::Stopped`]. [`HostError::NoBus`] for a virtual function.
    pub fn hot_reset(&mut self, now: Time) -> Result<(), HostError> {
        if self.slot.function().is_virtual() {
            return Err(HostError::NoBus);
        }
        let result = self.guarded(now, |device| {
            let held = device.get_set(now)?;
            let result = device.reset_bus(now);
            drop(held);
            result
        });
        self.let_peers_go(now);
        result
    }

    /// Resets the set if nobody uses it any more and a device of it could not be reset alone.
    pub(super) fn try_reset_set(&mut self, now: Time) {
        if self.slot.function().is_virtual() {
            return;
        }
        let mut open = false;
        let mut needs_reset = false;
        self.for_each_member(|device| {
            open |= device.state.low_power.opens > 0;
            // With `reset_works` off the platform has no reset for the function at all.
            needs_reset |= device.state.needs_reset && device.state.options.reset_works;
        });
        if open || !needs_reset {
            return;
        }
        if let Ok(held) = self.get_set(now) {
            if self.reset_bus(now).is_ok() {
                self.for_each_member(|device| device.state.needs_reset = false);
            }
            drop(held);
        }
        self.let_peers_go(now);
    }

    /// Wakes all devices of the set and takes a reference of each (`vfio_pci_dev_set_pm_runtime_get`).
    ///
    /// # Errors
    /// Those of [`Self::hot_reset`].
    fn get_set(&mut self, now: Time) -> Result<Vec<Usage>, HostError> {
        let mut members = 0;
        let mut frozen = false;
        self.for_each_member(|device| {
            members += 1;
            frozen |= device.state.is_frozen();
        });
        if members != self.slot.physical_functions() {
            return Err(HostError::NoBusReset);
        }
        if frozen {
            return Err(HostError::Stopped);
        }
        let mut held = Vec::new();
        let mut result = Ok(());
        self.for_each_member(|device| {
            if result.is_ok() {
                result = device.resume_and_get(now).map(|usage| held.push(usage));
            }
        });
        result.map(|()| held)
    }

    /// Resets all functions from above and restores their config space (`pci_reset_bus`).
    pub(super) fn reset_bus(&mut self, now: Time) -> Result<(), HostError> {
        let mut locked = Ok(());
        self.for_each_member(|device| {
            if locked.is_ok() {
                locked = device.lock(now);
            }
        });
        locked?;
        let saves = |device: &DeviceMut<'_>| device.state.options.view == View::VfioPci;
        self.for_each_member(|device| {
            if saves(device) {
                device.set_power_state(now, PowerState::D0).ok();
                device.quiesce(now);
            }
        });
        let ready = self.reset_bus_below(now);
        self.for_each_member(|device| {
            let function = device.slot.function();
            if function.will_answer(now) {
                device.state.core.note_state(PowerState::D0);
            }
            if saves(device) {
                let core = &device.state.core;
                core.restore_state(&mut device.slot, now);
            }
            device.restore_virtual_functions(now);
            device.settle(now);
        });
        if ready {
            Ok(())
        } else {
            Err(HostError::NotReady)
        }
    }

    /// Resets the bus below the port, waits for its first function, and returns whether that answers
    /// (`pci_bridge_secondary_bus_reset`).
    pub(super) fn reset_bus_below(&mut self, now: Time) -> bool {
        self.for_each_member(|device| device.revive(now));
        self.slot.reset(now, ResetKind::Hot);
        let first = self.slot.of_function(FunctionNumber::ZERO);
        let answers = first.and_then(|first| first.function().silent_for(now));
        let options = self.set.port.options();
        // A function without power has no link.
        let down = self.slot.function().link_down_for(now);
        let link = answers.and(down).map(|down| down + options.link_training);
        let mut disconnected = false;
        self.for_each_member(|device| {
            disconnected |=
                device.slot.number() == FunctionNumber::ZERO && device.state.core.disconnected;
        });
        let waited = if disconnected {
            link::wait_without_function(&options, link)
        } else {
            link::wait(&options, link, answers)
        };
        let span = RESET_HELD + waited.span;
        self.state.core.note_wait(span);
        self.slot.waited_for(span);
        waited.ready
    }

    /// Saves config space before a reset and keeps the function from interrupts
    /// (`pci_dev_save_and_disable`).
    pub(super) fn quiesce(&mut self, now: Time) {
        let core = &mut self.state.core;
        core.set_power_state(&mut self.slot, now, PowerState::D0)
            .ok();
        core.save_state(&self.slot, now);
        self.write_command(now, Command::new().with_interrupt_disable(true));
    }

    /// Lets the other devices go to sleep, and forgets what was waited for them: nobody waits for
    /// the end of their work.
    pub(super) fn let_peers_go(&mut self, now: Time) {
        let own = self.slot.number();
        self.for_each_member(|device| {
            if device.slot.number() != own {
                device.state.core.take_waited();
                device.settle(now);
                device.idle(now);
            }
        });
    }

    /// Acts on each device of the set, this one included, in the order of their numbers. A virtual
    /// function is in a set of its own.
    pub(super) fn for_each_member(&mut self, mut act: impl FnMut(&mut DeviceMut<'_>)) {
        let own = self.slot.number();
        for number in FunctionNumber::ALL {
            let mut of_the_set = |device: &mut DeviceMut<'_>| {
                if !device.slot.function().is_virtual() {
                    act(device);
                }
            };
            if number == own {
                of_the_set(&mut self.reborrow());
            } else {
                self.with_peer(number, |mut peer| of_the_set(&mut peer));
            }
        }
    }
}

#[cfg(test)]
mod tests;
