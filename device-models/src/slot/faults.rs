//! Faults of the slot: of its link, and of the port above it. All functions share them.

use super::functions::Functions;
use super::{FunctionSlot, Power};
use crate::fault::consequence::{Consequence, Failure};
use crate::fault::list::{FaultList, Struck};
use crate::fault::{Fault, FaultError, FaultStatus, Occurrence};
use crate::time::Time;

/// Occurrences that time brings about in one call at most. The rest follows at the next deadline, which is
/// at once.
const AT_ONCE: u32 = 256;

impl Power {
    /// Meets the faults at an occurrence. Returns the failure of an operation of the host.
    pub(super) fn meet(
        &mut self,
        now: Time,
        occurrence: &Occurrence,
        functions: &mut Functions,
    ) -> Option<Failure> {
        let list = self.faults.as_mut()?;
        let mut failure = None;
        for struck in list.meet(now, occurrence) {
            failure = failure.or(suffer(now, &struck, functions));
        }
        failure
    }

    /// Returns the names of the faults.
    pub(super) fn fault_names(&self) -> Vec<String> {
        self.faults
            .as_ref()
            .map_or_else(Vec::new, |list| list.names())
    }

    /// Returns the faults with their accounts.
    pub(crate) fn list_faults(&self) -> Vec<FaultStatus> {
        self.faults
            .as_ref()
            .map_or_else(Vec::new, |list| list.list())
    }

    /// Returns the next time that brings about an occurrence.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.faults.as_ref()?.next_deadline()
    }
}

/// Reports a strike to all functions, and has them suffer it.
fn suffer(now: Time, struck: &Struck, functions: &mut Functions) -> Option<Failure> {
    for function in functions.iter_mut().filter(|it| !it.is_virtual()) {
        function.tell_slot_fault(struck);
        if let Consequence::Link { failure, lasting } = struck.consequence {
            function.fail_link(now, struck, failure, lasting);
        }
        if let Consequence::Notice(notice) = struck.consequence {
            function.notify(notice);
        }
    }
    match struck.consequence {
        Consequence::Fail(failure) => Some(failure),
        _ => None,
    }
}

/// Has the functions recover once their link is up.
pub(super) fn await_link(now: Time, functions: &mut Functions) {
    functions.iter_mut().for_each(|it| it.await_link(now));
}

impl FunctionSlot<'_> {
    /// Sets a fault of the slot and returns its name. `elsewhere` are the names of faults in other lists.
    pub(crate) fn add_fault(
        &mut self,
        now: Time,
        fault: Fault,
        elsewhere: &[String],
    ) -> Result<String, FaultError> {
        fault.check_parts(self.function().config())?;
        let mut list: Box<FaultList> = self.power.faults.take().unwrap_or_default();
        let added = list.add_apart(now, fault, elsewhere);
        self.power.faults = Some(list).filter(|list| !list.is_empty());
        self.advance_faults(now);
        added
    }

    /// Removes a fault of the slot and ends its effects. Returns whether there was one of that name.
    pub(crate) fn remove_fault(&mut self, now: Time, name: &str) -> bool {
        let list = self.power.faults.as_mut();
        let removed = list.is_some_and(|list| list.remove(name));
        if removed {
            self.power.faults.take_if(|list| list.is_empty());
            let functions = self.functions.iter_mut();
            functions.for_each(|function| function.mend_link(now, name));
        }
        removed
    }

    /// Returns the names of the slot's faults.
    pub(crate) fn fault_names(&self) -> Vec<String> {
        self.power.fault_names()
    }

    /// Returns the names of the faults of all functions.
    pub(crate) fn names_of_functions(&self) -> Vec<String> {
        let functions = self.functions.iter();
        functions
            .flat_map(|(_, function)| function.fault_names())
            .collect()
    }

    /// Meets the slot's faults when the host is about to wake the port. Returns the failure of that.
    pub(crate) fn meet_port_resume(&mut self, now: Time) -> Option<Failure> {
        let failure = self
            .power
            .meet(now, &Occurrence::PortResume, self.functions);
        await_link(now, self.functions);
        failure
    }

    /// Handles the occurrences that time has brought about.
    pub(crate) fn advance_faults(&mut self, now: Time) {
        let mut has_struck = false;
        for _ in 0..AT_ONCE {
            let due = self
                .power
                .faults
                .as_mut()
                .and_then(|list| list.take_due(now));
            let Some(due) = due else {
                break;
            };
            if let Some(struck) = due {
                suffer(now, &struck, self.functions);
                has_struck = true;
            }
        }
        if has_struck {
            await_link(now, self.functions);
        }
    }
}
