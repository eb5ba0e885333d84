//! Saving a device and restoring it.
//!
//! The saved state has the holders of references, not their number. References of requests in
//! progress and of the server's own jobs do not belong to the device. Triggers are file descriptors
//! of a client and are not saved: clients bind them again. A saved wake-up notice still ends low
//! power, but no client receives it.

mod card;
mod core;
mod parts;
mod supply;
mod together;

pub use card::FunctionState;

use std::collections::BTreeMap;
use std::iter;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config_image::ConfigImage;
use super::dialect::{Dialect, PmDialect, SavedDialect};
use super::hotplug::{Leaving, SavedLeaving};
use super::irqs::SavedIrqs;
use super::power::{LowPower, Wait};
use super::runtime_pm::SavedRuntimePm;
use super::sriov::{SavedSriov, Sriov};
use super::view::{SavedVirtualConfig, View, VirtualConfig};
use super::{Device, DeviceMut, DeviceRef, DeviceSet};
use crate::capability::ErrorMessages;
use crate::fault::list::{FaultList, SavedFault};
use crate::function::Ram;
use crate::slot::{self, FunctionNumber};
use crate::snapshot::{self, FORMAT, RestoreError, due, left};
use crate::time::Time;
use core::SavedCore;
use supply::SavedSupply;
use together::Restorable;

/// A complete saved state: the slot once, and the host layer's state of each function.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedSet {
    format: u64,
    slot: Value,
    supply: SavedSupply,
    devices: BTreeMap<FunctionNumber, Value>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedDevice {
    profile: ProfileTag,
    host: SavedHost,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedHost {
    view: View,
    pm_dialect: PmDialect,
    irqs: SavedIrqs,
    core: SavedCore,
    runtime_pm: SavedRuntimePm,
    dialect: SavedDialect,
    low_power: SavedLowPower,
    virtual_config: Option<SavedVirtualConfig>,
    open_state: Option<String>,
    user_state: Option<String>,
    needs_reset: bool,
    #[serde(default = "yes")]
    reset_works: bool,
    #[serde(default, skip_serializing_if = "SavedLeaving::is_none")]
    leaving: SavedLeaving,
    #[serde(default, skip_serializing_if = "SavedSriov::is_none")]
    sriov: SavedSriov,
    /// Messages that the host has not handled yet. Absent if there are none.
    #[serde(default, skip_serializing_if = "ErrorMessages::are_none")]
    errors: ErrorMessages,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    contained: bool,
    /// The faults of the host's operations. Absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    faults: Option<Vec<SavedFault>>,
}

/// A state without the key is of a device whose reset worked.
const fn yes() -> bool {
    true
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedLowPower {
    opens: u32,
    /// The open device holds its reference.
    open: bool,
    extra: u32,
    bound: bool,
    engaged: bool,
    intx_masked: bool,
    intx_while_asleep: bool,
    woken_by_platform: bool,
    resume_requested: bool,
    pme_found_nanos: Option<u64>,
    /// Time until the next poll for wake events, while the device sleeps.
    poll_nanos: Option<u64>,
    unattended: bool,
    stranded: bool,
    /// Time for which the last close goes on.
    #[serde(default)]
    closing_nanos: Option<u64>,
    suspends: u64,
    wakeups: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ProfileTag {
    name: String,
    shape: String,
}

/// Refuses a state of another version, whose content is unknown.
fn check_format(saved: &Value) -> Result<(), RestoreError> {
    match saved.get("format") {
        Some(found) if *found != FORMAT => {
            let found = found.clone();
            Err(RestoreError::Format { found })
        }
        _ => Ok(()),
    }
}

/// The parsed parts of a [`SavedHost`], which can be applied without an error.
struct Images {
    saved: Option<ConfigImage>,
    open: Option<ConfigImage>,
    user: Option<ConfigImage>,
    vconfig: Option<VirtualConfig>,
    faults: Option<Box<FaultList>>,
}

/// The host layer's saved state of each function.
type Hosts = BTreeMap<FunctionNumber, SavedHost>;

/// A saved state that fits: the slot, its supply, and each function.
type Fitting = (Value, SavedSupply, Hosts);

/// Returns the place of a function's state in the host layer's part of the tree.
fn place(number: FunctionNumber) -> String {
    format!("devices.{number}")
}

impl DeviceSet {
    /// Returns the whole state as a tree of its own version, the slot once and each function by its
    /// number; see [`crate::snapshot`]. The tree does not contain bound triggers or uncollected
    /// outputs. It contains the request of a transfer, not its progress.
    #[must_use]
    pub fn save(&self, now: Time) -> Value {
        let devices = self.numbers().filter_map(|number| {
            let device = self.device(number)?;
            Some((number, device.state.save(now)))
        });
        let supply = SavedSupply::of(&self.set, now, self.numbers());
        saved_set(self.slot.save(now), &supply, devices.collect())
    }

    /// Restores the tree that [`Self::save`] returned for devices of the same profiles. The next
    /// clients take the places of those that had a device open at the time of saving. Clients that
    /// have the device open already have taken their places.
    ///
    /// # Errors
    /// The tree does not fit. The devices then keep their earlier state, but transfers in progress
    /// begin again.
    pub fn restore(&mut self, now: Time, saved: &Value) -> Result<(), RestoreError> {
        self.restore_all(now, saved, Ram::Inside, |_| Ok(()))
    }
}

/// Returns the tree of a [`SavedSet`], without a copy of the slot's state.
fn saved_set(
    slot: Value,
    supply: &SavedSupply,
    devices: BTreeMap<FunctionNumber, SavedDevice>,
) -> Value {
    snapshot::object([
        ("format", FORMAT.into()),
        ("slot", slot),
        ("supply", snapshot::tree(supply)),
        ("devices", snapshot::tree(&devices)),
    ])
}

impl DeviceRef<'_> {
    /// Returns the state of this device alone, in the form of [`DeviceSet::save`].
    #[must_use]
    pub fn save(&self, now: Time) -> Value {
        self.save_part(now, Ram::Inside)
    }

    fn save_part(&self, now: Time, ram: Ram) -> Value {
        let function = iter::once((self.number, self.function));
        let slot = slot::save(self.power, function, now, ram);
        let supply = SavedSupply::of(self.set, now, iter::once(self.number));
        let devices = BTreeMap::from([(self.number, self.state.save(now))]);
        saved_set(slot, &supply, devices)
    }
}

impl DeviceMut<'_> {
    /// Returns the state of this device alone; see [`DeviceRef::save`].
    #[must_use]
    pub fn save(&self, now: Time) -> Value {
        self.as_ref().save(now)
    }

    /// Restores this device alone; see [`DeviceSet::restore`].
    ///
    /// # Errors
    /// Those of [`DeviceSet::restore`]. A state that would change the power of other functions in
    /// the slot is refused as well.
    pub fn restore(&mut self, now: Time, saved: &Value) -> Result<(), RestoreError> {
        self.restore_all(now, saved, Ram::Inside, |_| Ok(()))
    }

    fn images(&self, now: Time, at: &str, host: &mut SavedHost) -> Result<Images, RestoreError> {
        let function = self.slot.function();
        let size = usize::from(function.config().size());
        let image = |key: &str, text: &Option<String>| {
            let at = format!("{at}.host.{key}");
            let image = text
                .as_ref()
                .map(|text| ConfigImage::of_hex(&at, text, size));
            image.transpose()
        };
        let vconfig = host.virtual_config.as_ref().map(|saved| {
            let at = format!("{at}.host.virtual_config");
            VirtualConfig::restored(&at, saved, function, self.state.options.pm_dialect)
        });
        let faults = host.faults.take().map(|saved| {
            let at = format!("{at}.host.faults");
            FaultList::restored(now, &at, saved).map(Box::new)
        });
        Ok(Images {
            faults: faults.transpose()?,
            saved: image("core.saved", &host.core.saved)?,
            open: image("open_state", &host.open_state)?,
            user: image("user_state", &host.user_state)?,
            vconfig: vconfig.transpose()?,
        })
    }

    fn restore_host(&mut self, now: Time, host: SavedHost, images: Images) {
        let connected = self.state.connected();
        self.state.vconfig = images.vconfig;
        self.state.open_state = images.open;
        self.state.user_state = images.user;
        self.state.needs_reset = host.needs_reset;
        self.state.reset_works = host.reset_works;
        self.state.errors = host.errors;
        self.state.contained = host.contained;
        self.state.faults = images.faults;
        self.state.irqs.restore(&host.irqs);
        self.state.core.restore(&host.core, images.saved);
        self.restore_low_power(now, &host.low_power, connected);
        self.state.sriov = Sriov::restored(host.sriov, || self.state.rpm.get());
        self.state.absent = !self.slot.function().exists();
        self.state.leaving = Leaving::restored(now, host.leaving, || self.state.rpm.get());
        let usage = &mut self.state.rpm;
        self.state.dialect.restore(&host.dialect, || usage.get());
        // Last, since taking references takes back a queued suspend.
        self.state.rpm.restore(now, &host.runtime_pm);
        self.state.irqs.deliver(&mut self.state.outputs);
        self.settle(now);
    }

    fn restore_low_power(&mut self, now: Time, saved: &SavedLowPower, connected: u32) {
        let SavedLowPower {
            opens,
            open,
            extra,
            bound,
            engaged,
            intx_masked,
            intx_while_asleep,
            woken_by_platform,
            resume_requested,
            pme_found_nanos,
            poll_nanos,
            unattended,
            stranded,
            closing_nanos,
            suspends,
            wakeups,
        } = *saved;
        let rpm = &mut self.state.rpm;
        self.state.low_power = LowPower {
            opens,
            awaited: opens.saturating_sub(connected),
            open: open.then(|| rpm.get()),
            extra: (0..extra).map(|_| rpm.get()).collect(),
            bound: bound.then(|| rpm.get()),
            engaged,
            intx_masked,
            intx_while_asleep,
            woken_by_platform,
            resume_requested,
            pme_found_at: pme_found_nanos.map(|left| due(now, left)),
            poll_at: due(now, poll_nanos.unwrap_or(0)),
            unattended,
            stranded,
            closing: closing_nanos.map(|left| Wait {
                until: due(now, left),
                usage: rpm.get(),
            }),
            suspends,
            wakeups,
        };
    }
}

impl Device {
    fn save(&self, now: Time) -> SavedDevice {
        let Self {
            options,
            irqs,
            core,
            rpm,
            dialect,
            low_power,
            suppliers: _,
            vconfig,
            open_state,
            user_state,
            needs_pm_restore: _,
            needs_reset,
            reset_works,
            leaving,
            errors,
            contained,
            faults,
            bars_visible: _,
            sriov,
            physical: _,
            absent: _,
            frozen: _,
            held: _,
            fill: _,
            outputs: _,
            profile: _,
            shape: _,
        } = self;
        SavedDevice {
            profile: self.profile_tag(),
            host: SavedHost {
                view: options.view,
                pm_dialect: options.pm_dialect,
                irqs: irqs.save(),
                core: core.save(),
                runtime_pm: rpm.save(now),
                dialect: dialect.save(),
                low_power: low_power.save(now, rpm.is_suspended()),
                virtual_config: vconfig.as_ref().map(VirtualConfig::save),
                open_state: open_state.as_ref().map(ConfigImage::hex),
                user_state: user_state.as_ref().map(ConfigImage::hex),
                needs_reset: *needs_reset,
                reset_works: *reset_works,
                leaving: leaving.save(now),
                sriov: sriov.save(),
                errors: *errors,
                contained: *contained,
                faults: faults.as_ref().map(|list| list.save(now)),
            },
        }
    }

    fn profile_tag(&self) -> ProfileTag {
        ProfileTag {
            name: self.profile.clone(),
            shape: self.shape.clone(),
        }
    }

    fn check_profile(&self, profile: &ProfileTag) -> Result<(), RestoreError> {
        if profile.name != self.profile {
            return Err(RestoreError::Profile {
                saved: profile.name.clone(),
                here: self.profile.clone(),
            });
        }
        if profile.shape != self.shape {
            return Err(RestoreError::Shape {
                saved: profile.shape.clone(),
                here: self.shape.clone(),
            });
        }
        Ok(())
    }

    /// Refuses a state of a different device, and one that no device can reach.
    fn check_host(&self, at: &str, host: &SavedHost) -> Result<(), RestoreError> {
        let config = &self.options;
        let refuse = |key: &str, reason: String| {
            let at = format!("{at}.host.{key}");
            Err(RestoreError::part(at, reason))
        };
        if host.view != config.view {
            let (saved, here) = (snapshot::tree(&host.view), snapshot::tree(&config.view));
            return refuse("view", format!("it was {saved}, but the device has {here}"));
        }
        if host.pm_dialect != config.pm_dialect || host.dialect.kind() != config.pm_dialect {
            let (saved, here) = (
                snapshot::tree(&host.pm_dialect),
                snapshot::tree(&config.pm_dialect),
            );
            return refuse(
                "pm_dialect",
                format!("it was {saved}, but the device has {here}"),
            );
        }
        let SavedLowPower { opens, extra, .. } = host.low_power;
        if opens > config.max_clients {
            let max = config.max_clients;
            return refuse(
                "low_power.opens",
                format!("{opens} clients; at most {max} may come"),
            );
        }
        if extra > config.extra_open_gets {
            let max = config.extra_open_gets;
            return refuse(
                "low_power.extra",
                format!("{extra} references; open takes {max}"),
            );
        }
        let connected = self.connected();
        if connected > opens {
            let saved = opens;
            return Err(RestoreError::Clients { connected, saved });
        }
        Ok(())
    }
}

impl LowPower {
    fn save(&self, now: Time, asleep: bool) -> SavedLowPower {
        let Self {
            opens,
            awaited: _,
            open,
            extra,
            bound,
            engaged,
            intx_masked,
            intx_while_asleep,
            woken_by_platform,
            resume_requested,
            pme_found_at,
            poll_at: _,
            unattended,
            stranded,
            closing,
            suspends,
            wakeups,
        } = self;
        SavedLowPower {
            opens: *opens,
            open: open.is_some(),
            extra: u32::try_from(extra.len()).unwrap_or(u32::MAX),
            bound: bound.is_some(),
            engaged: *engaged,
            intx_masked: *intx_masked,
            intx_while_asleep: *intx_while_asleep,
            woken_by_platform: *woken_by_platform,
            resume_requested: *resume_requested,
            pme_found_nanos: pme_found_at.map(|at| left(now, at)),
            poll_nanos: asleep.then(|| left(now, self.next_poll(now))),
            unattended: *unattended,
            stranded: *stranded,
            closing_nanos: closing.as_ref().map(|wait| left(now, wait.until)),
            suspends: *suspends,
            wakeups: *wakeups,
        }
    }
}

impl Dialect {
    fn save(&self) -> SavedDialect {
        match self {
            Self::Mainline(mainline) => SavedDialect::Mainline(mainline.clone()),
            Self::V4(v4) => SavedDialect::V4(v4.save()),
        }
    }

    /// Restores a saved state of the same dialect. One of the other dialect changes nothing.
    fn restore(&mut self, saved: &SavedDialect, usage: impl FnOnce() -> super::Usage) {
        match (self, saved) {
            (Self::Mainline(mainline), SavedDialect::Mainline(saved)) => mainline.clone_from(saved),
            (Self::V4(v4), SavedDialect::V4(saved)) => v4.restore(saved, usage),
            (Self::Mainline(_), SavedDialect::V4(_)) | (Self::V4(_), SavedDialect::Mainline(_)) => {
            }
        }
    }
}
