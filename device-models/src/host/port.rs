//! The port above a slot: the bridge whose runtime power management follows that of the functions
//! below it (`drivers/pci/pcie/portdrv.c`, `pci_pm_runtime_suspend` and `pci_pm_runtime_resume` of a
//! bridge).
//!
//! | state | entered | left |
//! |---|---|---|
//! | D3hot | all functions are suspended and the port's suspend delay is over | 10 ms for the port |
//! | D3cold | likewise; power of all functions goes with it | power, a wait for link and function, and a resume of every function below |

pub(super) mod link;
mod options;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vfio_user_protocol::Errno;

pub use options::{LinkSpeed, PortOptions, PortPme};

use super::error::HostError;
use super::event::HostEvent;
use super::runtime_pm::{PowerControl, RuntimePm, RuntimePmStatus, RuntimeStatus};
use super::runtime_pm::{SavedRuntimePm, SuspendDelay};
use super::{Device, DeviceMut, Event, Output};
use crate::capability::PciExpress;
use crate::function::Function;
use crate::power::{self, PowerState};
use crate::slot::FunctionNumber;
use crate::snapshot::{self, due, left};
use crate::time::Time;

/// Interval at which a port tries to go to sleep above a function that is stopped.
const RETRY: Duration = Duration::from_millis(100);

/// The host's state of the port.
#[derive(Debug)]
pub(super) struct Port {
    options: PortOptions,
    rpm: RuntimePm,
    state: PowerState,
    d3cold_allowed: bool,
    /// The link trains when power comes back.
    link_works: bool,
    /// Time at which the suspend delay is over, counted from the last resume (`power.last_busy`).
    awake_until: Time,
    suspend_at: Option<Time>,
}

/// The port in a [`Status`](super::Status), under the names of Linux sysfs where one exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PortStatus {
    /// The D-state of the port.
    #[serde(deserialize_with = "power::deserialize_shown")]
    pub power_state: PowerState,
    /// `power/runtime_status`.
    pub runtime_status: RuntimePmStatus,
    /// `power/control`.
    pub control: PowerControl,
    /// `d3cold_allowed`.
    pub d3cold_allowed: bool,
    /// The link trains when power comes back.
    pub link: bool,
    /// Data Link Layer Link Active of Link Status.
    pub link_active: bool,
    /// Current Link Speed of Link Status: 1 is 2.5 GT/s. It is 0 without a link.
    pub link_speed: u8,
    /// Negotiated Link Width of Link Status, in lanes. It is 0 without a link.
    pub link_width: u8,
}

/// The saved state of [`Port`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedPort {
    #[serde(with = "snapshot::power_state")]
    state: PowerState,
    runtime_pm: SavedRuntimePm,
    d3cold_allowed: bool,
    link_works: bool,
    /// Time until the suspend delay is over.
    awake_nanos: u64,
}

impl Default for Port {
    fn default() -> Self {
        Self::new(PortOptions::default())
    }
}

impl Port {
    pub(super) fn new(options: PortOptions) -> Self {
        Self {
            options,
            // The port counts its delay itself: not from the last use, but from the last wake-up.
            rpm: RuntimePm::new(SuspendDelay::Manual),
            state: PowerState::D0,
            d3cold_allowed: true,
            link_works: true,
            awake_until: Time::ZERO.after(options.suspend_delay),
            suspend_at: None,
        }
    }

    /// Returns whether the functions below can be reached.
    pub(super) fn is_awake(&self) -> bool {
        self.state == PowerState::D0
    }

    /// Forgets the error of an earlier resume.
    pub(super) const fn forget_error(&mut self) {
        self.rpm.forget_error();
    }

    pub(super) const fn options(&self) -> PortOptions {
        self.options
    }

    pub(super) const fn deadline(&self) -> Option<Time> {
        self.suspend_at
    }

    /// Returns the status above `first`, function 0 or another one on the same link.
    pub(super) fn status(&self, first: &Function, rail_on: bool) -> PortStatus {
        let link_active = rail_on && !first.link_is_down();
        let pcie = first.config().pcie().filter(|_| link_active);
        let (link_speed, link_width) = pcie.map_or((0, 0), PciExpress::link);
        PortStatus {
            power_state: self.state,
            runtime_status: self.rpm.shown_status(),
            control: self.rpm.control(),
            d3cold_allowed: self.d3cold_allowed,
            link: self.link_works,
            link_active,
            link_speed,
            link_width,
        }
    }

    pub(super) fn save(&self, now: Time) -> SavedPort {
        let Self {
            options: _,
            rpm,
            state,
            d3cold_allowed,
            link_works,
            awake_until,
            suspend_at: _,
        } = self;
        SavedPort {
            state: *state,
            runtime_pm: rpm.save(now),
            d3cold_allowed: *d3cold_allowed,
            link_works: *link_works,
            awake_nanos: left(now, *awake_until),
        }
    }

    /// Returns the saved state and the present one, if they differ.
    pub(super) fn difference(&self, saved: &SavedPort) -> Option<[PowerState; 2]> {
        (self.state != saved.state).then_some([saved.state, self.state])
    }

    /// Restores the state that [`Self::save`] returned.
    pub(super) fn restore(&mut self, now: Time, saved: &SavedPort) {
        let SavedPort {
            state,
            runtime_pm,
            d3cold_allowed,
            link_works,
            awake_nanos,
        } = saved;
        self.state = *state;
        self.rpm.restore(now, runtime_pm);
        self.d3cold_allowed = *d3cold_allowed;
        self.link_works = *link_works;
        self.awake_until = due(now, *awake_nanos);
        self.suspend_at = None;
    }
}

impl DeviceMut<'_> {
    /// Wakes the port, as a function below it does before it resumes (`rpm_resume` of a parent).
    ///
    /// # Errors
    /// EBUSY for every reason: the caller does not learn the port's own error.
    pub(super) fn resume_port(&mut self, now: Time) -> Result<(), HostError> {
        let port = &mut self.set.port;
        if !port.rpm.is_suspended() {
            return Ok(());
        }
        if port.rpm.check_resume().is_err() {
            return Err(HostError::Resume {
                errno: Errno::EBUSY,
            });
        }
        if let Some(failure) = self.slot.meet_port_resume(now) {
            self.set.port.rpm.callback_fails(failure);
            return Err(HostError::Resume {
                errno: Errno::EBUSY,
            });
        }
        let port = &mut self.set.port;
        port.rpm.enter(now, RuntimeStatus::Resuming);
        let from = std::mem::replace(&mut port.state, PowerState::D0);
        if from == PowerState::D3cold {
            self.power_bus_up(now);
        } else {
            let wait = from.recovery_time(PowerState::D0);
            self.state.core.note_wait(wait);
        }
        let port = &mut self.set.port;
        port.rpm.enter(now, RuntimeStatus::Active);
        port.awake_until = now.after(port.options.suspend_delay);
        self.note_port();
        Ok(())
    }

    /// Gives the functions power, waits for them, and asks each to resume
    /// (`pci_pm_bridge_power_up_actions`). Functions that do not come are taken for disconnected.
    fn power_bus_up(&mut self, now: Time) {
        let port = &self.set.port;
        let options = port.options;
        let trains = port.link_works && self.slot.is_occupied();
        if !self.set.resource.is_on() {
            // A function with a power resource of its own switches it on itself.
            return;
        }
        let mut link = None;
        if trains {
            self.slot.set_rail(now, true);
            let training = options.link_training;
            let down = self.slot.function().link_down_for(now);
            link = down.map(|down| down + training);
            let recovers_then = options.link_speed == LinkSpeed::From8Gt;
            // The functions themselves recover from the time for which the link is down.
            let active = if recovers_then { Some(training) } else { link };
            self.slot
                .train_link(now, active.unwrap_or(training), recovers_then);
        }
        let answers = link.and_then(|training| {
            let first = self.slot.of_function(FunctionNumber::ZERO)?;
            let silent = first.function().silent_for(now)?;
            Some(silent.max(training))
        });
        let waited = link::wait(&options, link, answers);
        self.state.core.note_wait(waited.span);
        self.slot.waited_for(waited.span);
        self.for_all(|device| {
            if device.absent {
                return;
            }
            if waited.ready {
                device.low_power.resume_requested = true;
            } else {
                device.core.disconnect();
            }
        });
        self.settle(now);
    }

    /// Lets the port go to sleep if nothing below it is awake: now, or when its suspend delay is
    /// over (`rpm_idle`, `pcie_port_runtime_idle`).
    pub(super) fn idle_port(&mut self, now: Time) {
        let target = self.port_target();
        let is_stopped = self.devices().any(Device::is_frozen);
        let mut all = self.devices();
        let is_asked = all.any(|device| device.low_power.resume_requested);
        drop(all);
        let port = &mut self.set.port;
        port.suspend_at = None;
        if target == PowerState::D0 || !port.rpm.may_suspend() {
            return;
        }
        if is_asked {
            // A function that was asked to resume does so while the port is awake.
            return;
        }
        let mut due = port.awake_until;
        if is_stopped {
            // Its state must not change under a stopped function, so the port tries again later.
            due = due.max(now.after(RETRY));
        }
        if due > now {
            port.suspend_at = Some(due);
            return;
        }
        port.rpm.enter(now, RuntimeStatus::Suspending);
        port.rpm.enter(now, RuntimeStatus::Suspended);
        port.state = target;
        if target == PowerState::D3cold {
            self.cut_power(now);
            self.for_all(|device| device.core.note_state(PowerState::D3cold));
        }
        self.note_port();
        self.settle(now);
    }

    /// Suspends the port if its time has come.
    pub(super) fn advance_port(&mut self, now: Time) {
        if self.set.port.suspend_at.is_some_and(|due| due <= now) {
            self.idle_port(now);
        }
    }

    /// Returns the state to which the port may go now. It is D0 while a function below is awake,
    /// and while one must not lose its power (`pci_bridge_d3_update`).
    fn port_target(&self) -> PowerState {
        let port = &self.set.port;
        let by_functions = port.options.deepest_state.is_none();
        let mut deepest = port.options.deepest_state.unwrap_or(PowerState::D0);
        if by_functions && self.devices().any(|device| device.core.is_cold_by_port()) {
            deepest = PowerState::D3cold;
        }
        if deepest == PowerState::D0 {
            return PowerState::D0;
        }
        let mut known = 0;
        for device in self.devices() {
            known += 1;
            if device.absent {
                continue;
            }
            if !device.rpm.is_suspended() || !device.core.d3cold_allowed() {
                return PowerState::D0;
            }
            deepest = deepest.min(device.core.platform.deepest_state);
        }
        // A function without a driver is awake.
        if known < self.slot.functions() {
            return PowerState::D0;
        }
        if port.d3cold_allowed {
            deepest
        } else {
            deepest.min(PowerState::D3hot)
        }
    }

    /// Returns whether a wake message of the function (`PM_PME`) becomes known at once.
    pub(super) fn port_reports_pme(&self) -> bool {
        match self.set.port.options.pme {
            PortPme::Poll => false,
            PortPme::Interrupt => self.set.port.is_awake(),
            PortPme::Firmware => true,
        }
    }

    /// Writes `power/control` of the port, as the host's user does.
    pub fn set_port_control(&mut self, now: Time, control: PowerControl) {
        self.set.port.rpm.set_control(control);
        if control == PowerControl::On {
            self.touch_port(now);
        }
        self.idle_port(now);
    }

    /// Writes `d3cold_allowed` of the port, as the host's user does. This wakes the port.
    pub fn set_port_d3cold_allowed(&mut self, now: Time, allowed: bool) {
        self.set.port.d3cold_allowed = allowed;
        self.touch_port(now);
        self.idle_port(now);
    }

    /// Sets whether the link trains when the port comes back from D3cold. A link that does not
    /// train leaves the functions without power and disconnected.
    pub const fn set_port_link(&mut self, works: bool) {
        self.set.port.link_works = works;
    }

    /// Wakes the port on behalf of somebody who does not wait for it and is not told of a failure.
    fn touch_port(&mut self, now: Time) {
        let owed = self.state.core.take_waited();
        self.resume_port(now).ok();
        self.state.core.take_waited();
        self.state.core.note_wait(owed);
    }

    fn note_port(&mut self) {
        let power_state = self.set.port.state;
        let event = Event::Host(HostEvent::Port { power_state });
        self.state.outputs.push_back(Output::Event(event));
    }
}
