//! Devices that are restored together, all or none.

use serde_json::Value;

use super::{Fitting, Hosts, SavedDevice, SavedSet, check_format, place};
use crate::function::Ram;
use crate::host::{DeviceMut, DeviceSet};
use crate::slot::FunctionNumber;
use crate::snapshot::{self, RestoreError};
use crate::time::Time;

/// Devices that are restored together.
pub(super) trait Restorable {
    /// Returns the tree of their present state.
    fn save_all(&mut self, now: Time, ram: Ram) -> Value;

    /// Restores the slot together with these functions.
    fn restore_slot(&mut self, now: Time, saved: &Value, ram: Ram) -> Result<(), RestoreError>;

    /// Acts on the device of a function, if it is one of them.
    fn with<R>(
        &mut self,
        number: FunctionNumber,
        act: impl FnOnce(DeviceMut<'_>) -> R,
    ) -> Option<R>;

    /// Returns their numbers, in order.
    fn numbers(&mut self) -> Vec<FunctionNumber>;

    /// Restores all of them or none, and `check`s them then. Transfers in progress begin again either way.
    fn restore_all(
        &mut self,
        now: Time,
        saved: &Value,
        ram: Ram,
        check: impl FnOnce(&mut Self) -> Result<(), RestoreError>,
    ) -> Result<(), RestoreError> {
        let state = self.read(saved)?;
        let before = self.save_all(now, ram);
        let members = self.numbers();
        let outputs: Vec<usize> = members.iter().map(|number| self.outputs(*number)).collect();
        self.apply(now, state, ram)
            // A tree may have the form of a saved one and yet say what no device would.
            .and_then(|()| snapshot::same("the saved state", saved, &self.save_all(now, ram)))
            .and_then(|()| check(self))
            .inspect_err(|_| {
                for (number, outputs) in members.into_iter().zip(outputs) {
                    self.with(number, |device| device.state.outputs.truncate(outputs));
                }
                // What was just saved fits.
                if let Ok(state) = self.read(&before) {
                    self.apply(now, state, ram).ok();
                }
            })
    }

    /// Returns the number of a device's outputs that wait to be collected.
    fn outputs(&mut self, number: FunctionNumber) -> usize {
        let outputs = self.with(number, |device| device.state.outputs.len());
        outputs.unwrap_or(0)
    }

    /// Reads a saved state and checks that it fits these devices.
    fn read(&mut self, saved: &Value) -> Result<Fitting, RestoreError> {
        check_format(saved)?;
        let set: SavedSet = snapshot::read("the saved state", saved)?;
        let here = self.numbers();
        if !set.devices.keys().eq(&here) {
            let saved: Vec<_> = set.devices.keys().copied().collect();
            let (saved, here) = (list(&saved), list(&here));
            let reason = format!("the state has the functions {saved}, here are {here}");
            return Err(RestoreError::part("devices", reason));
        }
        let mut hosts = Hosts::new();
        for (number, saved) in &set.devices {
            let at = place(*number);
            let SavedDevice { profile, host } = snapshot::read(&at, saved)?;
            let checked = self.with(*number, |device| {
                device.state.check_profile(&profile)?;
                device.state.check_host(&at, &host)
            });
            checked.unwrap_or(Ok(()))?;
            hosts.insert(*number, host);
        }
        Ok((set.slot, set.supply, hosts))
    }

    /// Restores the slot, then each device.
    fn apply(
        &mut self,
        now: Time,
        (slot, supply, hosts): Fitting,
        ram: Ram,
    ) -> Result<(), RestoreError> {
        self.restore_slot(now, &slot, ram)?;
        let numbers = self.numbers();
        let restore =
            |mut device: DeviceMut<'_>| device.restore_supply(now, &supply, numbers.len());
        if let Some(first) = numbers.first() {
            self.with(*first, restore).unwrap_or(Ok(()))?;
        }
        let mut read = Vec::new();
        for (number, mut host) in hosts {
            let at = place(number);
            let images = self.with(number, |device| device.images(now, &at, &mut host));
            if let Some(images) = images.transpose()? {
                read.push((number, host, images));
            }
        }
        for (number, host, images) in read {
            self.with(number, |mut device| device.restore_host(now, host, images));
        }
        for number in self.numbers() {
            let asleep = self.with(number, |mut device| device.hold_suppliers());
            if let Some(supplier) = asleep.flatten() {
                let at = format!("{}.host.runtime_pm.suspended", place(supplier));
                let reason = format!("it is true, but function {number} is awake and needs it");
                return Err(RestoreError::part(at, reason));
            }
        }
        for number in numbers {
            let settle = |mut device: DeviceMut<'_>| {
                device.check_supply()?;
                device.idle_port(now);
                Ok(())
            };
            self.with(number, settle).unwrap_or(Ok(()))?;
        }
        Ok(())
    }
}

impl Restorable for DeviceSet {
    fn save_all(&mut self, now: Time, _ram: Ram) -> Value {
        self.save(now)
    }

    fn restore_slot(&mut self, now: Time, saved: &Value, _ram: Ram) -> Result<(), RestoreError> {
        self.slot.restore(now, saved)
    }

    fn with<R>(
        &mut self,
        number: FunctionNumber,
        act: impl FnOnce(DeviceMut<'_>) -> R,
    ) -> Option<R> {
        self.device_mut(number).map(act)
    }

    fn numbers(&mut self) -> Vec<FunctionNumber> {
        DeviceSet::numbers(self).collect()
    }
}

impl Restorable for DeviceMut<'_> {
    fn save_all(&mut self, now: Time, ram: Ram) -> Value {
        self.as_ref().save_part(now, ram)
    }

    fn restore_slot(&mut self, now: Time, saved: &Value, ram: Ram) -> Result<(), RestoreError> {
        self.slot.restore_part(now, saved, ram)
    }

    fn with<R>(
        &mut self,
        number: FunctionNumber,
        act: impl FnOnce(DeviceMut<'_>) -> R,
    ) -> Option<R> {
        (number == self.slot.number()).then(|| act(self.reborrow()))
    }

    fn numbers(&mut self) -> Vec<FunctionNumber> {
        vec![self.slot.number()]
    }
}

/// Returns numbers as text.
pub(super) fn list(numbers: &[FunctionNumber]) -> String {
    let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
