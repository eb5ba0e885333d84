//! Faults of the device: those of its function, and those of the host's own operations.

use super::event::{Event, HostEvent};
use super::{Device, DeviceMut, DeviceRef, Output};
use crate::fault::consequence::{Consequence, Failure};
use crate::fault::{Fault, FaultError, FaultStatus, Occurrence};
use crate::time::Time;

impl DeviceRef<'_> {
    /// Returns the faults of the function, of the host above it and of the slot, with their accounts.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultStatus> {
        let mut faults = self.function.faults();
        let of_host = self.state.faults.as_ref();
        faults.extend(of_host.map_or_else(Vec::new, |list| list.list()));
        faults.extend(self.power.list_faults());
        faults
    }
}

impl Device {
    /// Returns the names of the faults of the host's operations.
    fn host_fault_names(&self) -> Vec<String> {
        let list = self.faults.as_ref();
        list.map_or_else(Vec::new, |list| list.names())
    }
}

impl DeviceMut<'_> {
    /// Returns the faults; see [`DeviceRef::faults`].
    #[must_use]
    pub fn faults(&self) -> Vec<FaultStatus> {
        self.as_ref().faults()
    }

    /// Sets a fault and returns its name.
    ///
    /// # Errors
    /// The fault does not fit the function, its name is taken, or there are
    /// [`MAX_FAULTS`](crate::fault::MAX_FAULTS) already.
    pub fn add_fault(&mut self, now: Time, fault: Fault) -> Result<String, FaultError> {
        let mut elsewhere = self.slot.fault_names();
        if fault.is_of_slot() {
            // The name is one of no function.
            let mut elsewhere = self.slot.names_of_functions();
            self.for_all(|device| elsewhere.extend(device.host_fault_names()));
            let name = self.slot.add_fault(now, fault, &elsewhere)?;
            self.settle(now);
            return Ok(name);
        }
        let function = self.slot.function_mut();
        let name = if fault.is_of_host() {
            elsewhere.extend(function.fault_names());
            let mut list = self.state.faults.take().unwrap_or_default();
            let added = list.add(now, fault, &elsewhere);
            self.state.faults = Some(list).filter(|list| !list.is_empty());
            added?
        } else {
            elsewhere.extend(self.state.host_fault_names());
            function.add_fault_beside(now, fault, &elsewhere)?
        };
        self.settle(now);
        Ok(name)
    }

    /// Removes a fault and ends its effects.
    ///
    /// # Errors
    /// [`FaultError::Unknown`].
    pub fn remove_fault(&mut self, now: Time, name: &str) -> Result<(), FaultError> {
        if self.slot.remove_fault(now, name) {
            self.settle(now);
            return Ok(());
        }
        let of_host = self.state.faults.as_mut();
        if of_host.is_some_and(|list| list.remove(name)) {
            self.state.faults.take_if(|list| list.is_empty());
            return Ok(());
        }
        let mut elsewhere = self.state.host_fault_names();
        elsewhere.extend(self.slot.fault_names());
        let removed = self.slot.function_mut().remove_fault(now, name);
        self.settle(now);
        removed.map_err(|error| error.with_known(elsewhere))
    }

    /// Removes all faults and ends their effects, those of the slot among them.
    pub fn clear_faults(&mut self, now: Time) {
        for name in self.slot.fault_names() {
            self.slot.remove_fault(now, &name);
        }
        self.state.faults = None;
        self.slot.function_mut().clear_faults(now);
        self.settle(now);
    }

    /// Meets the faults at an operation of the host. Returns the way in which it fails.
    pub(super) fn meet(&mut self, now: Time, occurrence: &Occurrence) -> Option<Failure> {
        let struck = self.state.faults.as_mut()?.meet(now, occurrence);
        let mut failure = None;
        for struck in struck {
            let event = HostEvent::Fault {
                fault: struck.name,
                what: struck.what,
                count: struck.count,
            };
            self.state
                .outputs
                .push_back(Output::Event(Event::Host(event)));
            match struck.consequence {
                Consequence::Fail(fails) => failure = failure.or(Some(fails)),
                Consequence::Notice(notice) => {
                    self.notify(notice);
                }
                // Of the function.
                _ => {}
            }
        }
        failure
    }
}
