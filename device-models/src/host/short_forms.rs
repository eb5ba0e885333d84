//! Short forms: faults with names of their own that are set and removed by one call.
//!
//! | name | when | what |
//! |---|---|---|
//! | `fail-resume` | `resume-callback` | `fail ERRNO`, `fail-latched ERRNO` |
//! | `fail-reset` | `device-lock` | `fail EAGAIN` |
//! | `dead-after-cold` | `power-on` | `gone until-power-off` |
//! | `port-fail-resume` | `port-resume` | `fail ERRNO` |

use vfio_user_protocol::Errno;

use super::DeviceMut;
use crate::fault::{Fault, FaultError};
use crate::time::Time;

const FAIL_RESUME: &str = "fail-resume";
const FAIL_RESET: &str = "fail-reset";
pub(super) const DEAD_AFTER_COLD: &str = "dead-after-cold";
const PORT_FAIL_RESUME: &str = "port-fail-resume";

/// The duration of a failure of resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultSpan {
    /// The failure lasts for this number of resumes.
    Times(u32),
    /// The failure lasts until another fault, or none, is set.
    Always,
    /// The failure lasts until the error latch is cleared as well, whatever the error.
    Latch,
}

/// A failure of resumes, as of the driver's callback. The core remembers it (`runtime_error`) unless it is
/// EAGAIN or EBUSY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumeFault {
    /// The error.
    pub errno: Errno,
    /// The duration.
    pub span: FaultSpan,
}

impl ResumeFault {
    /// Returns the fault that strikes at an occasion of the host.
    fn fault(self, occasion: &str, name: &str) -> Result<Fault, FaultError> {
        let Self { errno, span } = self;
        let (which, what) = match span {
            FaultSpan::Times(times) => (format!(" first {}", times.max(1)), "fail"),
            FaultSpan::Always => (String::new(), "fail"),
            FaultSpan::Latch => (" first 1".to_owned(), "fail-latched"),
        };
        let fault = Fault::new(&format!("{occasion}{which}"), &format!("{what} {errno}"))?;
        Ok(fault.named(name))
    }
}

impl DeviceMut<'_> {
    /// Makes resumes fail by the fault `fail-resume`, or ends the fault and clears a latched error.
    ///
    /// # Errors
    /// Those of [`Self::add_fault`].
    pub fn set_resume_fault(&mut self, fault: Option<ResumeFault>) -> Result<(), FaultError> {
        if fault.is_none() {
            self.state.rpm.forget_error();
        }
        let fault = fault.map(|fault| fault.fault("resume-callback", FAIL_RESUME));
        self.set_short_form(Time::ZERO, FAIL_RESUME, fault)
    }

    /// Makes resets fail as if another user held the device, by the fault `fail-reset`, or ends the fault.
    ///
    /// # Errors
    /// Those of [`Self::add_fault`].
    pub fn set_reset_busy(&mut self, busy: bool) -> Result<(), FaultError> {
        let fault = busy.then(|| {
            let fault = Fault::new("device-lock", "fail EAGAIN")?;
            Ok(fault.named(FAIL_RESET))
        });
        self.set_short_form(Time::ZERO, FAIL_RESET, fault)
    }

    /// Makes the function stay silent after its power was off, by the fault `dead-after-cold`, or ends the
    /// fault.
    ///
    /// # Errors
    /// Those of [`Self::add_fault`].
    pub fn set_dead_after_cold(&mut self, now: Time, dead: bool) -> Result<(), FaultError> {
        if dead && self.slot.function().has_fault(DEAD_AFTER_COLD) {
            return Ok(());
        }
        let fault = dead.then(|| {
            let fault = Fault::new("power-on", "gone until-power-off")?;
            Ok(fault.named(DEAD_AFTER_COLD))
        });
        self.set_short_form(now, DEAD_AFTER_COLD, fault)
    }

    /// Makes resumes of the port fail by the fault `port-fail-resume`, or ends the fault and clears a
    /// latched error.
    ///
    /// # Errors
    /// Those of [`Self::add_fault`].
    pub fn set_port_fault(
        &mut self,
        now: Time,
        fault: Option<ResumeFault>,
    ) -> Result<(), FaultError> {
        if fault.is_none() {
            self.set.port.forget_error();
        }
        let fault = fault.map(|fault| fault.fault("port-resume", PORT_FAIL_RESUME));
        self.set_short_form(now, PORT_FAIL_RESUME, fault)
    }

    /// Sets a fault in the place of one of the same name, or only ends that one.
    fn set_short_form(
        &mut self,
        now: Time,
        name: &str,
        fault: Option<Result<Fault, FaultError>>,
    ) -> Result<(), FaultError> {
        let fault = fault.transpose()?;
        if self.faults().iter().any(|fault| fault.name == name) {
            self.remove_fault(now, name)?;
        }
        if let Some(fault) = fault {
            self.add_fault(now, fault)?;
        }
        Ok(())
    }
}
