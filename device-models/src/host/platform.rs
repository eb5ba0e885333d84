//! Actions on the device from outside: its own events, the platform, and the host's user.

use serde_json::{Value, json};

use super::DeviceMut;
use super::error::HostError;
use super::runtime_pm::{PowerControl, SuspendDelay};
use crate::power::PowerState;
use crate::register::ResetKind;
use crate::time::Time;

impl DeviceMut<'_> {
    /// Raises a wake event of the device from outside.
    pub fn pme(&mut self, now: Time) {
        self.slot.function_mut().pme_event(now);
        self.settle(now);
    }

    /// Sets the INTx cause from outside.
    pub fn set_intx(&mut self, now: Time, asserted: bool) {
        self.state.low_power.intx_while_asleep = asserted && self.state.rpm.is_suspended();
        self.slot.function_mut().note_time(now);
        self.slot.function_mut().set_intx(asserted);
        self.settle(now);
    }

    /// Raises interrupt `vector` as the device would.
    pub fn interrupt(&mut self, now: Time, vector: u16) {
        self.slot.function_mut().note_time(now);
        self.slot.function_mut().interrupt(vector);
        self.settle(now);
    }

    /// Drives one of the inputs of [`Function::inputs`] from outside the device.
    ///
    /// [`Function::inputs`]: crate::function::Function::inputs
    pub fn input(&mut self, now: Time, name: &str) {
        self.slot.function_mut().input(now, name);
        self.settle(now);
    }

    /// Withdraws interrupt `vector` if it has not gone out.
    pub fn withdraw(&mut self, now: Time, vector: u16) {
        self.slot.function_mut().note_time(now);
        self.slot.function_mut().withdraw(vector);
        self.settle(now);
    }

    /// Switches the slot's power rail.
    pub fn set_rail(&mut self, now: Time, on: bool) {
        self.slot.set_rail(now, on);
        self.settle(now);
    }

    /// Resets the device from above, or with its own function level reset.
    pub fn platform_reset(&mut self, now: Time, kind: ResetKind) {
        if !matches!(kind, ResetKind::Flr | ResetKind::SoftD3hot) {
            self.for_each_member(|device| device.revive(now));
        }
        match kind {
            ResetKind::Flr => {
                if self.slot.rail_on() {
                    self.slot.function_mut().reset(now, ResetKind::Flr);
                }
            }
            ResetKind::PowerOn => self.slot.power_cycle(now),
            ResetKind::Fundamental | ResetKind::Hot => self.slot.reset(now, kind),
            // A reset that only a PMCSR write brings about.
            ResetKind::SoftD3hot => {}
        }
        self.settle(now);
    }

    /// Delivers the slot's power limit message.
    pub fn set_slot_power_limit(&mut self, now: Time, value: u8, scale: u8) {
        self.slot.set_power_limit(value, scale);
        self.settle(now);
    }

    /// Reads config space as a tool on the host does (`pci_read_config`). The access wakes the
    /// device only from D3cold, where config space does not answer, and not from D3hot.
    pub fn host_access(&mut self, now: Time) -> Value {
        let usage = self.state.rpm.get();
        // The port is woken whatever its state, since nobody below it can be reached otherwise.
        let reached = self.resume_port(now).is_ok();
        let woken =
            self.state.rpm.is_suspended() && self.state.core.current() == PowerState::D3cold;
        if woken {
            // A device that does not wake answers nothing but ones.
            self.resume(now).ok();
        }
        let mut header = [0xff; 8];
        if reached {
            self.slot.function_mut().config_read(now, 0, &mut header);
        }
        self.settle(now);
        drop(usage);
        self.state.core.take_waited();
        let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let answer = json!({
            "vendor_id": word(0),
            "device_id": word(2),
            "command": word(4),
            "status": word(6),
            "woken": woken,
        });
        self.idle(now);
        self.idle_port(now);
        answer
    }

    /// Writes `power/control`, as the host's user does.
    pub fn set_control(&mut self, now: Time, control: PowerControl) {
        self.state.rpm.set_control(control);
        if control == PowerControl::On {
            // As with sysfs, nobody is told when it fails.
            self.resume(now).ok();
            self.state.core.take_waited();
        }
        self.settle(now);
        self.idle(now);
    }

    /// Writes `d3cold_allowed`, as the host's user does. This wakes the device.
    pub fn set_d3cold_allowed(&mut self, now: Time, allowed: bool) {
        self.state.core.set_d3cold_allowed(allowed);
        self.resume(now).ok();
        self.state.core.take_waited();
        self.settle(now);
        self.idle(now);
    }

    /// Puts an unused device to sleep now, regardless of the delay, and returns whether it sleeps.
    pub fn suspend_now(&mut self, now: Time) -> bool {
        self.suspend(now);
        self.state.rpm.is_suspended()
    }

    /// Sets the time at which an unused device goes to sleep from now on.
    pub fn set_suspend_delay(&mut self, now: Time, delay: SuspendDelay) {
        self.state.rpm.set_delay(delay);
        self.idle(now);
    }

    /// Wakes the device for a request of any kind and keeps it awake until the returned reference
    /// is dropped. A device that is stopped for migration keeps its state, and the result is
    /// `None`.
    ///
    /// # Errors
    /// [`HostError::NotAwake`] for every reason (`vfio_device_pm_runtime_get`).
    pub fn keep_awake(&mut self, now: Time) -> Result<Option<super::Usage>, HostError> {
        if self.is_frozen() {
            return Ok(None);
        }
        let usage = self.resume_and_get(now);
        usage
            .map(Some)
            .map_err(|error| HostError::not_awake(&error))
    }
}
