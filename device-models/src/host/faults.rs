//! Faults of the device: those of its function, and those of the host's own operations.

use vfio_user_protocol::Errno;

use super::event::{Event, HostEvent};
use super::{DeviceMut, DeviceRef, Output};
use crate::fault::consequence::Consequence;
use crate::fault::{Fault, FaultError, FaultStatus, Occurrence};
use crate::time::Time;

impl DeviceRef<'_> {
    /// Returns the faults of the function and of the host above it, with their accounts.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultStatus> {
        let mut faults = self.function.faults();
        let of_host = self.state.faults.as_ref();
        faults.extend(of_host.map_or_else(Vec::new, |list| list.list()));
        faults
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
        let function = self.slot.function_mut();
        let of_host = self.state.faults.as_ref();
        let name = if fault.is_of_host() {
            let elsewhere = function.fault_names();
            let mut list = self.state.faults.take().unwrap_or_default();
            let added = list.add(now, fault, &elsewhere);
            self.state.faults = Some(list).filter(|list| !list.is_empty());
            added?
        } else {
            let elsewhere = of_host.map_or_else(Vec::new, |list| list.names());
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
        let of_host = self.state.faults.as_mut();
        if of_host.is_some_and(|list| list.remove(name)) {
            self.state.faults.take_if(|list| list.is_empty());
            return Ok(());
        }
        let elsewhere = self.state.faults.as_ref().map(|list| list.names());
        let removed = self.slot.function_mut().remove_fault(now, name);
        self.settle(now);
        removed.map_err(|error| error.with_known(elsewhere.unwrap_or_default()))
    }

    /// Removes all faults and ends their effects.
    pub fn clear_faults(&mut self, now: Time) {
        self.state.faults = None;
        self.slot.function_mut().clear_faults(now);
        self.settle(now);
    }

    /// Meets the faults at an operation of the host. Returns the errno with which it fails.
    pub(super) fn meet(&mut self, now: Time, occurrence: &Occurrence) -> Option<Errno> {
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
                Consequence::Fail { errno } => failure = failure.or(Some(errno)),
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
