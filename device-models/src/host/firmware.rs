//! Firmware of a guest that switches the slot's power.
//!
//! | [`RailAs`] | off | on |
//! |---|---|---|
//! | `Power` | main power of the slot goes off | it goes on |
//! | `LowPower`, `LowPowerReentry` | each device that a client has open enters low power, as if its client had asked | it leaves low power |
//!
//! The last two are the work of a hypervisor whose guest switches a power resource: the host suspends
//! the device as deep as it can, and a user of the host may wake it. A device that stays awake after
//! that tells so by [`HostEvent::Wakeup`](super::HostEvent::Wakeup).

use serde::{Deserialize, Serialize};

use super::dialect::Dialect;
use super::error::HostError;
use super::{DeviceMut, DeviceSet};
use crate::slot::FunctionNumber;
use crate::time::Time;

/// The effect of firmware that switches main power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RailAs {
    /// Main power of the slot.
    #[default]
    Power,
    /// Low power of the devices. A device that another user woke stays awake until firmware has
    /// switched power on and off again: LOW_POWER_ENTRY_WITH_WAKEUP, in the v4 dialect re-entry is
    /// refused.
    LowPower,
    /// Low power of the devices, which may sleep again by themselves: LOW_POWER_ENTRY, in the v4
    /// dialect re-entry is allowed.
    LowPowerReentry,
}

impl RailAs {
    /// Returns whether devices enter low power, and the slot keeps its power.
    #[must_use]
    pub const fn is_low_power(self) -> bool {
        !matches!(self, Self::Power)
    }
}

impl DeviceSet {
    /// Sets the effect of firmware that switches main power, for all devices.
    pub fn set_rail_as(&mut self, rail_as: RailAs) {
        for number in FunctionNumber::ALL {
            if let Some(device) = self.device_mut(number) {
                device.state.options.rail_as = rail_as;
            }
        }
    }

    /// Returns whether firmware that switches main power finds it on. Where low power stands for it,
    /// it is off once a device has entered low power.
    #[must_use]
    pub fn firmware_rail(&self) -> bool {
        if !self.first().state.options.rail_as.is_low_power() {
            return self.slot.rail_on();
        }
        let mut devices = self.numbers().filter_map(|number| self.device(number));
        !devices.any(|device| device.state.low_power.engaged)
    }

    /// Performs what firmware wants with main power of the slot, as [`RailAs`] of function 0 says.
    /// Devices in low power sleep once they are idle.
    ///
    /// # Errors
    /// The first error of a device that does not enter or leave low power. The others do.
    pub fn switch_rail(&mut self, now: Time, on: bool) -> Result<(), HostError> {
        let rail_as = self.first().state.options.rail_as;
        if !rail_as.is_low_power() {
            self.set_rail(now, on);
            return Ok(());
        }
        let reentry = rail_as == RailAs::LowPowerReentry;
        let mut first_error = Ok(());
        for number in FunctionNumber::ALL {
            if let Some(mut device) = self.device_mut(number) {
                let switched = device.switch_power(now, on, reentry);
                first_error = first_error.and(switched);
            }
        }
        first_error
    }
}

impl DeviceMut<'_> {
    /// Enters or leaves low power on behalf of the client. A device that no client has open, that is
    /// stopped for migration, or that is where it should be stays there.
    fn switch_power(&mut self, now: Time, on: bool, reentry: bool) -> Result<(), HostError> {
        let opened = self.state.low_power.opens > 0;
        if self.is_frozen() || !opened || on != self.is_engaged() {
            return Ok(());
        }
        let switched = match (&self.state.dialect, on) {
            (Dialect::Mainline(_), false) => {
                self.guarded(now, |device| device.low_power_entry(!reentry))
            }
            (Dialect::Mainline(_), true) => self.guarded(now, |device| {
                device.low_power_exit();
                Ok(())
            }),
            (Dialect::V4(_), false) => self.v4_enter(reentry),
            (Dialect::V4(_), true) => self.v4_leave(now),
        };
        // Firmware does not wait for the host.
        self.state.core.take_waited();
        self.settle(now);
        switched
    }
}

#[cfg(test)]
mod tests;
