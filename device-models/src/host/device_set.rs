//! The devices of a slot, as in the kernel's `vfio_device_set`.

use std::iter;

use super::peers::Peers;
use super::port::Port;
use super::power_resource::PowerResource;
use super::{
    Device, DeviceLink, DeviceMut, DeviceRef, HostOptions, SetOptions, SetOptionsError, SetState,
    SlotPower,
};
use crate::register::ResetKind;
use crate::slot::{FunctionNumber, MAX_FUNCTIONS, Slot};
use crate::time::{Time, earliest};

/// A slot with a host driver on each function that has one.
///
/// Actions on the slot reach all of its devices. A client acts on one device, through
/// [`Self::device_mut`].
///
/// ```
/// use pci_device_models::model::Registry;
/// use pci_device_models::profile::Profile;
/// use pci_device_models::time::Time;
/// use vfio_user_protocol::vfio::RegionIndex;
///
/// let text = Profile::builtin("testdev").expect("it is built in");
/// let profile = Profile::parse("testdev", text, &[])?;
/// let mut devices = profile.device_set(&Registry::builtin())?;
/// let mut device = devices.first_mut();
/// let mut vendor = [0; 2];
/// device.client_came(Time::ZERO).expect("nothing keeps it from waking");
/// device
///     .region_read(Time::ZERO, RegionIndex::Config.number(), 0, &mut vendor)
///     .expect("config space can be read");
/// assert_eq!(u16::from_le_bytes(vendor), 0x1234);
/// # Ok::<(), pci_device_models::profile::ProfileError>(())
/// ```
#[derive(Debug)]
pub struct DeviceSet {
    pub(super) slot: Slot,
    /// The device of function 0.
    first: Box<Device>,
    /// The devices of functions 1 to 7.
    others: [Option<Box<Device>>; MAX_FUNCTIONS - 1],
    pub(super) set: SetState,
}

impl DeviceSet {
    /// Creates the devices of a slot and binds the host driver to its function 0, which no client
    /// has open yet. `profile` is the name that is saved with it.
    #[must_use]
    pub fn new(mut slot: Slot, options: HostOptions, profile: &str) -> Self {
        let physical = slot
            .functions()
            .filter(|(_, function)| !function.is_virtual());
        let resource = PowerResource::held_by(physical.map(|(number, _)| number));
        let first = Device::new(&slot.of_first(), options, profile);
        let mut set = Self {
            slot,
            first: Box::new(first),
            others: Default::default(),
            set: SetState {
                resource,
                ..SetState::default()
            },
        };
        set.first_mut().bind(Time::ZERO);
        set
    }

    /// Binds the host driver to another function, as [`Self::new`] does. Nothing happens if no
    /// function has that number.
    #[must_use]
    pub fn with_driver(
        mut self,
        number: FunctionNumber,
        options: HostOptions,
        profile: &str,
    ) -> Self {
        let index = number.among_others();
        if let Some(slot) = self.slot.of_function(number)
            && let Some(place) = index.and_then(|index| self.others.get_mut(index))
        {
            *place = Some(Box::new(Device::new(&slot, options, profile)));
        }
        if index.is_some()
            && let Some(mut device) = self.device_mut(number)
        {
            device.bind(Time::ZERO);
        }
        self
    }

    /// Sets the options of the slot. To be called once, after all drivers are bound. A consumer that
    /// is awake wakes its suppliers.
    ///
    /// # Errors
    /// The options do not fit these devices.
    pub fn with_options(mut self, options: SetOptions) -> Result<Self, SetOptionsError> {
        let numbers: Vec<_> = self.numbers().collect();
        options.check(&numbers)?;
        let SetOptions { links, power } = options;
        self.set.links = links;
        self.for_each(|mut device| {
            if !device.state.rpm.is_suspended() {
                // A device without faults wakes.
                device.get_suppliers(Time::ZERO).ok();
            }
        });
        Ok(self.with_power(power))
    }

    /// Sets the supply of the slot's power. To be called once, after all drivers are bound.
    #[must_use]
    pub fn with_power(mut self, power: SlotPower) -> Self {
        let SlotPower {
            resume_dependents,
            port,
        } = power;
        self.set.resume_dependents = resume_dependents;
        self.set.port = Port::new(port);
        self.first_mut().idle_port(Time::ZERO);
        self
    }

    /// Returns the device links.
    #[must_use]
    pub fn links(&self) -> &[DeviceLink] {
        &self.set.links
    }

    /// Returns the slot.
    #[must_use]
    pub const fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Returns the numbers of the functions that have a driver, in order.
    pub fn numbers(&self) -> impl Iterator<Item = FunctionNumber> {
        let others = FunctionNumber::OTHERS.into_iter().zip(&self.others);
        let others = others.filter_map(|(number, device)| device.is_some().then_some(number));
        iter::once(FunctionNumber::ZERO).chain(others)
    }

    /// Returns the device of function 0, for reading.
    #[must_use]
    pub fn first(&self) -> DeviceRef<'_> {
        DeviceRef {
            number: FunctionNumber::ZERO,
            power: self.slot.power(),
            function: self.slot.first(),
            state: &self.first,
            set: &self.set,
        }
    }

    /// Returns the device of function 0.
    pub fn first_mut(&mut self) -> DeviceMut<'_> {
        DeviceMut {
            slot: self.slot.of_first(),
            state: &mut self.first,
            peers: Peers {
                first: None,
                lower: &mut [],
                higher: &mut self.others,
            },
            set: &mut self.set,
        }
    }

    /// Returns the device of a function, for reading.
    #[must_use]
    pub fn device(&self, number: FunctionNumber) -> Option<DeviceRef<'_>> {
        Some(DeviceRef {
            number,
            power: self.slot.power(),
            function: self.slot.function(number)?,
            state: match number.among_others() {
                None => &self.first,
                Some(index) => self.others.get(index)?.as_deref()?,
            },
            set: &self.set,
        })
    }

    /// Returns the device of a function.
    pub fn device_mut(&mut self, number: FunctionNumber) -> Option<DeviceMut<'_>> {
        let Some(index) = number.among_others() else {
            return Some(self.first_mut());
        };
        let (lower, rest) = self.others.split_at_mut_checked(index)?;
        let (state, higher) = rest.split_first_mut()?;
        Some(DeviceMut {
            slot: self.slot.of_function(number)?,
            state: state.as_deref_mut()?,
            peers: Peers {
                first: Some(&mut self.first),
                lower,
                higher,
            },
            set: &mut self.set,
        })
    }

    /// Returns the time at which [`Self::advance`] has work to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let devices = self.numbers().filter_map(|number| self.device(number));
        devices.fold(None, |first, device| {
            earliest(first, device.next_deadline())
        })
    }

    /// Performs all work that is due by `now`.
    pub fn advance(&mut self, now: Time) {
        self.for_each(|mut device| device.advance(now));
    }

    /// Switches main power of the slot.
    pub fn set_rail(&mut self, now: Time, on: bool) {
        self.slot.set_rail(now, on);
        self.settle(now);
    }

    /// Resets all functions from above: hot (secondary bus reset) or fundamental (PERST#).
    pub fn reset(&mut self, now: Time, kind: ResetKind) {
        self.slot.reset(now, kind);
        self.settle(now);
    }

    /// Removes main and auxiliary power from all functions and restores them.
    pub fn power_cycle(&mut self, now: Time) {
        self.slot.power_cycle(now);
        self.settle(now);
    }

    /// Turns effects of functions into outputs of their devices. It covers all devices, since one
    /// of them may have changed the slot that they share.
    pub fn settle(&mut self, now: Time) {
        self.for_each(|mut device| device.settle(now));
    }

    fn for_each(&mut self, mut act: impl FnMut(DeviceMut<'_>)) {
        for number in FunctionNumber::ALL {
            if let Some(device) = self.device_mut(number) {
                act(device);
            }
        }
    }
}

#[cfg(test)]
mod tests;
