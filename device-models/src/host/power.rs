//! Sleeping and waking: usage count, suspend and resume, and the events that wake a sleeping
//! device.

use std::time::Duration;

use vfio_user_protocol::messages::device_feature::Request;
use vfio_user_protocol::vfio::Feature;

use super::error::HostError;
use super::runtime_pm::{RuntimeStatus, Usage};
use super::{Device, DeviceMut, Event, HostEvent, Output};
use super::{FeatureReply, dialect::Dialect};
use crate::fault::Occurrence;
use crate::fault::consequence::Failure;
use crate::power::PowerState;
use crate::time::{Time, earliest};

/// Interval at which the PCI core polls `PME_Status` of sleeping functions (`PME_TIMEOUT`).
const PME_POLL: Duration = Duration::from_millis(1000);

/// A request whose reply is deferred because the PCI core had to wait for the function.
#[derive(Debug)]
pub struct Wait {
    /// Time at which the reply is due.
    pub until: Time,
    /// Reference that keeps the device in use until then.
    pub usage: Usage,
}

/// State of user-driven low power that both dialects share.
#[derive(Debug, Default)]
pub(super) struct LowPower {
    /// Number of clients that have the device open.
    pub(super) opens: u32,
    /// Number of those that are clients of a saved device and have not come back yet.
    pub(super) awaited: u32,
    /// The open device's own reference. The client gives it up to enter low power.
    pub(super) open: Option<Usage>,
    /// Additional references taken by open.
    pub(super) extra: Vec<Usage>,
    /// The reference that keeps an unopened device awake.
    pub(super) bound: Option<Usage>,
    /// The client engaged low power.
    pub(super) engaged: bool,
    /// INTx is masked for the duration of sleep (`pm_intx_masked`).
    pub(super) intx_masked: bool,
    /// INTx was asserted from outside while the device slept.
    pub(super) intx_while_asleep: bool,
    /// The platform reports a wake event.
    pub(super) woken_by_platform: bool,
    /// Time at which the next poll finds a wake event.
    pub(super) pme_found_at: Option<Time>,
    /// Time of one of the present sleep's polls for wake events.
    pub(super) poll_at: Time,
    /// Somebody who does not wait asked for a resume (`pm_request_resume`).
    pub(super) resume_requested: bool,
    /// The device woke, and its user has not acted since.
    pub(super) unattended: bool,
    /// The function is silent since it slept without its driver.
    pub(super) stranded: bool,
    /// The last close still waits for the function.
    pub(super) closing: Option<Wait>,
    /// Numbers of sleeps and of wake-up notices so far.
    pub(super) suspends: u64,
    pub(super) wakeups: u64,
}

impl LowPower {
    /// Returns the time of the first poll after `now`.
    pub(super) fn next_poll(&self, now: Time) -> Time {
        if now < self.poll_at {
            return self.poll_at;
        }
        let polls = now.since(self.poll_at).as_nanos() / PME_POLL.as_nanos() + 1;
        let polls = u32::try_from(polls).unwrap_or(u32::MAX);
        self.poll_at.after(PME_POLL * polls)
    }
}

impl Device {
    pub(super) fn power_deadline(&self) -> Option<Time> {
        let low_power = &self.low_power;
        let wake = low_power.woken_by_platform || low_power.resume_requested;
        let wake = wake && self.rpm.is_suspended();
        let at_once = (wake || self.contained || !self.errors.are_none()).then_some(Time::ZERO);
        let closed = low_power.closing.as_ref().map(|wait| wait.until);
        let closed = earliest(closed, self.leaving.next_request());
        earliest(
            earliest(at_once, closed),
            earliest(self.rpm.suspend_at(), self.low_power.pme_found_at),
        )
    }
}

impl DeviceMut<'_> {
    /// Wakes the device and takes a reference (`pm_runtime_resume_and_get`).
    pub(super) fn resume_and_get(&mut self, now: Time) -> Result<Usage, HostError> {
        let usage = self.state.rpm.get();
        self.resume(now)?;
        Ok(usage)
    }

    /// Serves a request while the device is awake and in use, or stopped for migration.
    pub(super) fn guarded<R>(
        &mut self,
        now: Time,
        serve: impl FnOnce(&mut Self) -> Result<R, HostError>,
    ) -> Result<R, HostError> {
        let serve = |device: &mut Self| {
            let result = serve(device);
            device.settle(now);
            result
        };
        if self.state.is_frozen() {
            return serve(self);
        }
        self.state.rpm.begin_request();
        let result = match self.resume(now) {
            Ok(()) => serve(self),
            Err(error) => Err(HostError::not_awake(&error)),
        };
        self.state.rpm.end_request();
        result
    }

    /// Tells the device that no other work is pending, so an unused device may go to sleep. A
    /// server calls this after it has sent the reply to a request.
    pub fn idle(&mut self, now: Time) {
        if !self.state.is_frozen() && self.state.rpm.idle(now) {
            self.suspend(now);
        }
    }

    /// Wakes the device and the port above it (`rpm_resume` with the callbacks of the PCI bus and of
    /// the driver).
    pub(super) fn resume(&mut self, now: Time) -> Result<(), HostError> {
        if !self.state.rpm.is_suspended() || self.state.rpm.is_latched() {
            return self.state.rpm.check_resume();
        }
        // A parent is resumed before anything of the device's own can fail.
        self.resume_port(now)?;
        let resumed = self.resume_itself(now);
        if resumed.is_err() {
            self.idle_port(now);
        }
        resumed
    }

    fn resume_itself(&mut self, now: Time) -> Result<(), HostError> {
        self.state.rpm.check_resume()?;
        if let Some(Failure { errno, .. }) = self.meet(now, &Occurrence::Resume) {
            return Err(HostError::Resume { errno });
        }
        if let Some(failure) = self.meet(now, &Occurrence::ResumeCallback) {
            return Err(self.state.rpm.callback_fails(failure));
        }
        self.state.rpm.enter(now, RuntimeStatus::Resuming);
        if let Err(error) = self.get_suppliers(now) {
            self.state.rpm.enter(now, RuntimeStatus::Suspended);
            return Err(self.state.rpm.callback_failed(&error));
        }
        self.state.low_power.pme_found_at = None;
        self.state.low_power.woken_by_platform = false;
        let asked = std::mem::take(&mut self.state.low_power.resume_requested);
        self.hold_power(asked);
        self.state.core.resume(&mut self.slot, now);
        // The PCI core writes the MSI-X table anew (`pci_restore_msi_state`).
        self.state.irqs.reprogram(self.slot.function_mut());
        if std::mem::take(&mut self.state.low_power.intx_while_asleep) {
            // The cause is outside the function and outlives the reset that waking may be.
            self.slot.function_mut().set_intx(true);
        }
        self.settle(now);
        self.state.rpm.enter(now, RuntimeStatus::Active);
        self.note_status(RuntimeStatus::Active);
        match self.state.dialect {
            Dialect::Mainline(_) => self.mainline_resumed(now),
            Dialect::V4(_) => self.v4_resumed(now),
        }
        self.note_unattended();
        Ok(())
    }

    /// Takes a reference of the power resource. The function that switches it on may resume the
    /// others (`__acpi_power_on`), unless it was itself `asked` to resume: two functions would wake
    /// each other for ever.
    fn hold_power(&mut self, asked: bool) {
        if self.slot.function().is_virtual() {
            return;
        }
        let was_on = self.set.resource.is_on();
        self.set.resource.hold(self.slot.number());
        if !was_on && !asked && self.set.resume_dependents {
            self.for_all(|device| device.low_power.resume_requested = true);
            self.state.low_power.resume_requested = false;
        }
    }

    /// Releases the power resource. Power goes with the last reference.
    fn release_power(&mut self, now: Time) {
        self.set.resource.release(self.slot.number());
        if !self.set.resource.is_on() {
            self.cut_power(now);
        }
    }

    /// Switches main power of the sleeping functions off.
    pub(super) fn cut_power(&mut self, now: Time) {
        self.slot.set_rail(now, false);
        self.for_each_member(|device| device.check_attended(now));
    }

    /// Puts an unused device to sleep (`rpm_suspend` with the callbacks of driver and bus). The
    /// driver brings the function to D0 first, so that the saved config space is valid.
    pub(super) fn suspend(&mut self, now: Time) {
        self.state.rpm.clear_suspend_request();
        if !self.state.rpm.may_suspend() {
            return;
        }
        self.state.rpm.enter(now, RuntimeStatus::Suspending);
        // What the platform reported of a device that was awake wakes nobody later.
        self.state.low_power.woken_by_platform = false;
        self.state.low_power.resume_requested = false;
        // Nobody waits for a sleep, but a request may still be owed what it waited before.
        let owed = self.state.core.take_waited();
        self.set_power_state(now, PowerState::D0).ok();
        // What the function has to say in D0 is said before it sleeps.
        self.settle(now);
        self.state.low_power.intx_masked =
            self.state.irqs.uses_intx() && self.state.irqs.mask_intx();
        self.settle(now);
        if self.state.core.suspend(&mut self.slot, now) {
            self.release_power(now);
        }
        self.settle(now);
        self.state.rpm.enter(now, RuntimeStatus::Suspended);
        self.note_status(RuntimeStatus::Suspended);
        self.state.low_power.poll_at = now.after(PME_POLL);
        self.state.low_power.suspends = self.state.low_power.suspends.saturating_add(1);
        self.state.core.take_waited();
        self.state.core.note_wait(owed);
        self.settle(now);
        self.put_suppliers(now);
        self.idle_port(now);
    }

    /// Undoes the masking of [`Self::suspend`], if that masked INTx, and handles a latched signal
    /// of the resample eventfd. One unmasking serves both, since each would signal a high wire.
    pub(super) fn unmask_after_resume(&mut self, now: Time) {
        let resample = self.state.irqs.take_latched_resample();
        if std::mem::take(&mut self.state.low_power.intx_masked) || resample {
            self.state.irqs.unmask_intx(&mut self.state.outputs);
            self.settle(now);
        }
    }

    fn note_status(&mut self, status: RuntimeStatus) {
        self.state
            .outputs
            .push_back(Output::Event(Event::Host(HostEvent::RuntimeStatus {
                status,
            })));
    }

    pub(super) fn note_wakeup(&mut self, _: Time) {
        self.state.low_power.wakeups = self.state.low_power.wakeups.saturating_add(1);
        self.state
            .outputs
            .push_back(Output::Event(Event::Host(HostEvent::Wakeup)));
    }

    /// Returns whether the client has engaged low power.
    pub(super) const fn is_engaged(&self) -> bool {
        self.state.low_power.engaged
    }

    /// Begins low power and drops the client's reference.
    pub(super) fn engage(&mut self) -> Result<(), HostError> {
        if self.state.low_power.engaged {
            return Err(HostError::Feature {
                what: "low power is engaged already",
            });
        }
        self.state.low_power.engaged = true;
        self.note_attended();
        self.state.low_power.open = None;
        Ok(())
    }

    /// Ends low power and takes the reference back. This does not wake the device.
    pub(super) fn disengage(&mut self) {
        if std::mem::take(&mut self.state.low_power.engaged) {
            self.state.low_power.open = Some(self.state.rpm.get());
        }
    }

    /// Returns whether clients cannot reach BARs even if the function is awake.
    pub(super) const fn blocks_memory(&self) -> bool {
        matches!(self.state.dialect, Dialect::V4(_)) && self.state.low_power.engaged
    }

    /// Performs a request in the v4 dialect, where neither an invalid header nor the dialect's own
    /// feature wakes the device.
    pub(super) fn v4_feature(
        &mut self,
        now: Time,
        request: &Request<'_>,
    ) -> Result<FeatureReply, HostError> {
        request.check()?;
        match Feature::from_number(request.feature) {
            Some(Feature::V4_POWER_MANAGEMENT) => self.v4_power_management(now, request),
            _ => self.guarded(now, |device| device.other_feature(now, request)),
        }
    }

    /// Changes the power state (`vfio_pci_set_power_state`). A function that loses its config space
    /// in D3hot gets it back.
    pub(super) fn set_power_state(&mut self, now: Time, to: PowerState) -> Result<(), HostError> {
        self.check_virtual_functions(to)?;
        let from = self.state.core.current();
        let core = &mut self.state.core;
        let restores = self.state.needs_pm_restore;
        let image = (restores && from < PowerState::D3hot && to >= PowerState::D3hot)
            .then(|| core.save_state(&self.slot, now));
        core.set_power_state(&mut self.slot, now, to)?;
        if let Some(image) = image
            && core.current() >= PowerState::D3hot
        {
            self.state.user_state = Some(image);
        } else if restores && from >= PowerState::D3hot && to == PowerState::D0 {
            if let Some(image) = self.state.user_state.take() {
                core.load_state(image);
            }
            core.restore_state(&mut self.slot, now);
        }
        Ok(())
    }

    /// Returns the wait that the last request requires, if delays are enforced.
    pub fn take_wait(&mut self, now: Time) -> Option<Wait> {
        let waited = self.state.core.take_waited();
        (self.state.options.real_delays && !self.is_frozen() && !waited.is_zero()).then(|| Wait {
            until: now.after(waited),
            usage: self.state.rpm.get(),
        })
    }

    /// Watches for a wake event that only polling finds. The poll runs once a second from the start
    /// of the sleep, but only for functions that can wake, and not for those in D3cold or below a
    /// port that is asleep (`pci_pme_list_scan`). A function that does not answer reads as one that
    /// woke.
    pub(super) fn watch_pme(&mut self, now: Time) {
        if !self.state.rpm.is_suspended()
            || self.state.low_power.pme_found_at.is_some()
            || self.state.core.current() == PowerState::D3cold
            || !self.state.core.armed
            || !self.set.port.is_awake()
        {
            return;
        }
        let function = self.slot.function();
        let pm = function.config().pm();
        if !function.will_answer(now) || pm.is_some_and(|pm| pm.pmcsr().pme_status()) {
            let found = self.state.low_power.next_poll(now);
            self.state.low_power.pme_found_at = Some(found);
        }
    }

    /// Clears a pending wake event of a function that can be reached, and returns whether it was an
    /// armed one.
    fn takes_pme(&mut self, now: Time) -> bool {
        self.set.port.is_awake() && self.state.core.take_pme(&mut self.slot, now)
    }

    pub(super) fn advance_power(&mut self, now: Time) {
        let polled = self.state.low_power.pme_found_at.take_if(|due| *due <= now);
        let by_poll = polled.is_some() && self.takes_pme(now);
        let mut by_platform = std::mem::take(&mut self.state.low_power.woken_by_platform);
        if by_platform && self.state.core.current() != PowerState::D3cold {
            // The host clears PME_Status of a function that it can reach (`pci_acpi_wake_dev`).
            self.takes_pme(now);
        }
        by_platform |= self.state.low_power.resume_requested;
        if self.state.rpm.is_suspended() && (by_poll || by_platform) {
            // Nobody waits for the outcome of a wake-up that the device asked for.
            self.resume(now).ok();
            self.state.core.take_waited();
        }
        self.state
            .low_power
            .closing
            .take_if(|wait| wait.until <= now);
        // A request that fails is not repeated.
        self.state.low_power.resume_requested = false;
        self.settle(now);
    }
}
