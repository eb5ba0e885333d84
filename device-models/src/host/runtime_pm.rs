//! Runtime power management of the device, as Linux's core does it (`drivers/base/power/runtime.c`).
//!
//! | status | may become | when |
//! |---|---|---|
//! | active | suspending | the usage count is zero, `control` is `auto`, no error is latched |
//! | suspending | suspended | the driver and the bus have put the device to sleep |
//! | suspended | resuming | a user needs the device, or it wakes itself |
//! | resuming | active | the bus and the driver have it working again |
//! | resuming | suspended | the resume failed |
//!
//! Each [`Usage`] guard counts as one reference: an open device, a deferred reply, a job of a
//! device model. The usage count can thus neither leak nor fall below zero. A request that is
//! served at once is counted from its begin to its end, which are in one function.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vfio_user_protocol::Errno;

use super::error::HostError;
use crate::fault::consequence::Failure;
use crate::snapshot::{due, left, nanos};
use crate::time::Time;

/// `runtime_status` of Linux sysfs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeStatus {
    /// Working.
    #[default]
    Active,
    /// On the way to sleep.
    Suspending,
    /// Asleep.
    Suspended,
    /// On the way back.
    Resuming,
}

impl RuntimeStatus {
    /// Returns whether the table above has this edge.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Active, Self::Suspending)
                | (Self::Suspending, Self::Suspended)
                | (Self::Suspended, Self::Resuming)
                | (Self::Resuming, Self::Active | Self::Suspended)
        )
    }
}

/// The values of `power/runtime_status` in Linux sysfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RuntimePmStatus {
    /// Working.
    Active,
    /// Going to sleep.
    Suspending,
    /// Asleep.
    Suspended,
    /// Waking.
    Resuming,
    /// A callback failed, and the device is not tried again.
    Error,
}

impl From<RuntimeStatus> for RuntimePmStatus {
    fn from(status: RuntimeStatus) -> Self {
        match status {
            RuntimeStatus::Active => Self::Active,
            RuntimeStatus::Suspending => Self::Suspending,
            RuntimeStatus::Suspended => Self::Suspended,
            RuntimeStatus::Resuming => Self::Resuming,
        }
    }
}

/// Linux sysfs' `control`, which permits or prevents sleep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PowerControl {
    /// The device may sleep.
    #[default]
    Auto,
    /// A reference of its own keeps the device awake.
    On,
}

/// The time at which an unused device goes to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SuspendDelay {
    /// After this time since its last use. Zero means right after the reply to the request that
    /// ended it.
    After(Duration),
    /// Only on request.
    Manual,
}

impl Default for SuspendDelay {
    fn default() -> Self {
        Self::After(Duration::ZERO)
    }
}

/// A reference that keeps the device in use until it is dropped.
#[derive(Debug)]
pub struct Usage(Arc<AtomicU32>);

impl Drop for Usage {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The state of the runtime power management core for one device.
#[derive(Debug)]
pub(super) struct RuntimePm {
    usage: Arc<AtomicU32>,
    /// References of requests. Each is released before the next is taken.
    requests: u32,
    status: RuntimeStatus,
    control: Option<Usage>,
    delay: SuspendDelay,
    /// Time at which the queued suspend is due.
    suspend_at: Option<Time>,
    /// A callback failed for good: every resume fails from now on.
    latched: bool,
    active: Duration,
    suspended: Duration,
    since: Time,
}

/// The saved state of [`RuntimePm`]. It has no usage count: each holder of a reference saves its
/// own.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedRuntimePm {
    suspended: bool,
    control: PowerControl,
    delay: SuspendDelay,
    suspend_nanos: Option<u64>,
    latched: bool,
    active_nanos: u64,
    suspended_nanos: u64,
}

impl RuntimePm {
    pub(super) fn save(&self, now: Time) -> SavedRuntimePm {
        let Self {
            usage: _,
            requests: _,
            status: _,
            control: _,
            delay,
            suspend_at,
            latched,
            active: _,
            suspended: _,
            since: _,
        } = self;
        let (active, suspended) = self.times(now);
        SavedRuntimePm {
            // Nobody sees the states between.
            suspended: self.is_suspended(),
            control: self.control(),
            delay: *delay,
            suspend_nanos: suspend_at.map(|at| left(now, at)),
            latched: *latched,
            active_nanos: nanos(active),
            suspended_nanos: nanos(suspended),
        }
    }

    /// Restores the state that [`Self::save`] returned.
    pub(super) fn restore(&mut self, now: Time, saved: &SavedRuntimePm) {
        let SavedRuntimePm {
            suspended,
            control,
            delay,
            suspend_nanos,
            latched,
            active_nanos,
            suspended_nanos,
        } = *saved;
        self.set_control(control);
        self.status = if suspended {
            RuntimeStatus::Suspended
        } else {
            RuntimeStatus::Active
        };
        self.delay = delay;
        self.suspend_at = suspend_nanos.map(|left| due(now, left));
        self.latched = latched;
        self.active = Duration::from_nanos(active_nanos);
        self.suspended = Duration::from_nanos(suspended_nanos);
        self.since = now;
    }

    /// Returns the times spent awake and asleep until `now`.
    pub(super) fn times(&self, now: Time) -> (Duration, Duration) {
        let current = now.since(self.since);
        match self.status {
            RuntimeStatus::Suspended => (self.active, self.suspended + current),
            _ => (self.active + current, self.suspended),
        }
    }

    pub(super) fn new(delay: SuspendDelay) -> Self {
        Self {
            usage: Arc::default(),
            requests: 0,
            status: RuntimeStatus::Active,
            control: None,
            delay,
            suspend_at: None,
            latched: false,
            active: Duration::ZERO,
            suspended: Duration::ZERO,
            since: Time::ZERO,
        }
    }

    /// Begins its account now.
    pub(super) fn begin_after(&mut self, now: Time) {
        self.since = now;
    }

    /// Takes a reference without waking the device (`pm_runtime_get_noresume`).
    pub(super) fn get(&mut self) -> Usage {
        // A use before the queued suspend has run cancels it.
        self.suspend_at = None;
        self.usage.fetch_add(1, Ordering::Relaxed);
        Usage(Arc::clone(&self.usage))
    }

    /// Takes a reference for the time in which a request is served; see [`Self::get`]. It needs no
    /// guard: [`Self::end_request`] releases it.
    pub(super) fn begin_request(&mut self) {
        self.suspend_at = None;
        self.requests += 1;
    }

    /// Releases the reference that [`Self::begin_request`] took.
    pub(super) fn end_request(&mut self) {
        self.requests = self.requests.saturating_sub(1);
    }

    pub(super) fn usage(&self) -> u32 {
        self.usage.load(Ordering::Relaxed) + self.requests
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.status == RuntimeStatus::Suspended
    }

    /// Moves along an edge of the table. Any other transition is a mistake of this crate.
    pub(super) fn enter(&mut self, now: Time, next: RuntimeStatus) {
        debug_assert!(
            self.status.may_become(next),
            "{:?} to {next:?}",
            self.status
        );
        self.account(now);
        self.status = next;
    }

    fn account(&mut self, now: Time) {
        let span = now.since(self.since);
        self.since = now;
        match self.status {
            RuntimeStatus::Suspended => self.suspended += span,
            _ => self.active += span,
        }
    }

    pub(super) fn control(&self) -> PowerControl {
        if self.control.is_some() {
            PowerControl::On
        } else {
            PowerControl::Auto
        }
    }

    /// Writes `control`. The caller wakes the device for [`PowerControl::On`].
    pub(super) fn set_control(&mut self, control: PowerControl) {
        self.control = match control {
            PowerControl::Auto => None,
            PowerControl::On => Some(self.control.take().unwrap_or_else(|| self.get())),
        };
    }

    /// Queues a suspend if the device is unused, and returns whether it is due already.
    pub(super) fn idle(&mut self, now: Time) -> bool {
        if !self.may_suspend() {
            self.suspend_at = None;
            return false;
        }
        let SuspendDelay::After(delay) = self.delay else {
            return false;
        };
        let due = *self.suspend_at.get_or_insert_with(|| now.after(delay));
        due <= now
    }

    /// Returns whether only time keeps the device from sleeping.
    pub(super) fn may_suspend(&self) -> bool {
        self.status == RuntimeStatus::Active && self.usage() == 0 && !self.latched
    }

    pub(super) fn suspend_at(&self) -> Option<Time> {
        self.suspend_at
    }

    pub(super) fn clear_suspend_request(&mut self) {
        self.suspend_at = None;
    }

    pub(super) fn set_delay(&mut self, delay: SuspendDelay) {
        self.delay = delay;
        self.suspend_at = None;
    }

    /// Forgets the error of an earlier callback.
    pub(super) const fn forget_error(&mut self) {
        self.latched = false;
    }

    /// Checks that a resume may proceed.
    ///
    /// A latched error fails every resume with EINVAL, even that of a device that is awake
    /// (`rpm_resume`).
    pub(super) const fn check_resume(&self) -> Result<(), HostError> {
        if self.latched {
            return Err(HostError::Resume {
                errno: Errno::EINVAL,
            });
        }
        Ok(())
    }

    /// Takes in the failure of a resume callback by a fault, and returns the error of the resume.
    pub(super) fn callback_fails(&mut self, failure: Failure) -> HostError {
        let errno = failure.errno;
        let error = self.callback_failed(&HostError::Resume { errno });
        self.latched |= failure.latched;
        error
    }

    /// Takes in the error of a resume callback or of a supplier, and returns the error of the resume
    /// (`rpm_callback`). The core latches each errno but EAGAIN and EBUSY. EACCES becomes EAGAIN.
    pub(super) fn callback_failed(&mut self, error: &HostError) -> HostError {
        let errno = match error.errno() {
            Errno::EACCES => Errno::EAGAIN,
            errno => errno,
        };
        self.latched |= errno != Errno::EAGAIN && errno != Errno::EBUSY;
        HostError::Resume { errno }
    }

    /// Returns whether every resume fails with the error of an earlier one.
    pub(super) const fn is_latched(&self) -> bool {
        self.latched
    }

    /// Returns the value of `runtime_status`.
    pub(super) fn shown_status(&self) -> RuntimePmStatus {
        if self.latched {
            RuntimePmStatus::Error
        } else {
            self.status.into()
        }
    }
}

#[cfg(test)]
mod tests;
