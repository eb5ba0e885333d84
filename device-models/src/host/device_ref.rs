//! Read-only access to a device.

use super::{Device, DeviceMut, DeviceRef, HostOptions};
use crate::dma::DmaId;
use crate::function::Function;
use crate::time::{Time, earliest};

impl<'a> DeviceRef<'a> {
    /// Returns the function.
    #[must_use]
    pub const fn function(&self) -> &'a Function {
        self.function
    }

    /// Returns whether main power of the slot is on.
    #[must_use]
    pub const fn rail_on(&self) -> bool {
        self.power.rail_on()
    }

    /// Returns the options of the driver.
    #[must_use]
    pub const fn options(&self) -> &'a HostOptions {
        &self.state.options
    }

    /// Returns whether the device is stopped; see [`DeviceMut::is_frozen`].
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.state.is_frozen()
    }

    /// Returns whether the device is held; see [`DeviceMut::hold`].
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.state.is_held()
    }

    /// Returns the time of the next work; see [`DeviceMut::next_deadline`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let port = self.set.port.deadline();
        let own = earliest(self.function.next_deadline(), self.state.power_deadline());
        // A device that is stopped does not advance.
        let shared = earliest(port, self.power.next_deadline());
        earliest(own, shared.filter(|_| !self.state.is_frozen()))
    }

    /// Returns the number of clients that have the device open, without those of a saved state that
    /// have not come back.
    #[must_use]
    pub const fn connected(&self) -> u32 {
        self.state.connected()
    }

    /// Returns whether a transfer may still touch memory; see [`DeviceMut::dma_is_live`].
    #[must_use]
    pub fn dma_is_live(&self, id: DmaId) -> bool {
        self.function.dma_is_live(id)
    }
}

impl Device {
    /// Returns the number of clients that have the device open, without those of a saved state that
    /// have not come back.
    pub(super) const fn connected(&self) -> u32 {
        let low_power = &self.low_power;
        low_power.opens.saturating_sub(low_power.awaited)
    }
}

impl DeviceMut<'_> {
    /// Returns the number of clients that have the device open; see [`DeviceRef::connected`].
    #[must_use]
    pub const fn connected(&self) -> u32 {
        self.state.connected()
    }

    /// Returns the device for reading.
    #[must_use]
    pub fn as_ref(&self) -> DeviceRef<'_> {
        DeviceRef {
            number: self.slot.number(),
            power: self.slot.power(),
            function: self.slot.function(),
            state: self.state,
            set: self.set,
        }
    }
}
