//! Saving a device and restoring it.
//!
//! References come back as who held them, not as a number: those of requests under way and of the
//! server's own jobs are not the device's. Triggers are file descriptors of a client and are not
//! saved: clients bind them again. A wake-up notice that was armed ends low power as it would have,
//! but there is nobody to tell.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Device;
use super::dialect::{Dialect, PmDialect, SavedDialect};
use super::irqs::SavedIrqs;
use super::pci_core::PciCore;
use super::power::LowPower;
use super::runtime_pm::SavedRuntimePm;
use super::saved::Saved;
use super::view::{SavedVirtualConfig, View, VirtualConfig};
use crate::power::PowerState;
use crate::snapshot::{self, FORMAT, RestoreError, due, left, nanos};
use crate::time::Time;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedDevice {
    slot: Value,
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
    reset_busy: bool,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedCore {
    #[serde(with = "snapshot::power_state")]
    current: PowerState,
    d3cold_allowed: bool,
    saved: Option<String>,
    restore: bool,
    armed: bool,
    waited_nanos: u64,
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
    pme_found_nanos: Option<u64>,
    /// Until the next poll for wake events, while the device sleeps.
    poll_nanos: Option<u64>,
    suspends: u64,
    wakeups: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ProfileTag {
    name: String,
    shape: String,
}

/// Another version may look like anything.
fn check_format(saved: &Value) -> Result<(), RestoreError> {
    match saved.get("format") {
        Some(found) if *found != FORMAT => {
            let found = found.clone();
            Err(RestoreError::Format { found })
        }
        _ => Ok(()),
    }
}

/// What was read of a [`SavedHost`] and cannot fail any more.
struct Images {
    saved: Option<Saved>,
    open: Option<Saved>,
    user: Option<Saved>,
    vconfig: Option<VirtualConfig>,
}

impl Device {
    /// The whole state as a tree of its own version; see [`crate::snapshot`]. It tells nothing of bound
    /// triggers and outputs that nobody has collected. Of a transfer it tells what was asked for, not
    /// how far it is.
    #[must_use]
    pub fn save(&self, now: Time) -> Value {
        let Self {
            slot,
            config,
            irqs,
            core,
            rpm,
            dialect,
            low_power,
            vconfig,
            open_state,
            user_state,
            needs_pm_restore: _,
            reset_busy,
            bars_visible: _,
            frozen: _,
            outputs: _,
            profile: _,
            shape: _,
        } = self;
        let device = SavedDevice {
            slot: slot.save(now),
            host: SavedHost {
                view: config.view,
                pm_dialect: config.pm_dialect,
                irqs: irqs.save(),
                core: core.save(),
                runtime_pm: rpm.save(now),
                dialect: dialect.save(),
                low_power: low_power.save(now, rpm.is_suspended()),
                virtual_config: vconfig.as_ref().map(VirtualConfig::save),
                open_state: open_state.as_ref().map(Saved::hex),
                user_state: user_state.as_ref().map(Saved::hex),
                reset_busy: *reset_busy,
            },
        };
        let mut tree = self.label();
        if let Some(members) = tree.as_object_mut() {
            members.insert("device".to_owned(), snapshot::tree(&device));
        }
        tree
    }

    /// What every saved state begins with: its version, and which device it is of.
    #[must_use]
    pub fn label(&self) -> Value {
        json!({
            "format": FORMAT,
            "profile": { "name": self.profile, "shape": self.shape },
        })
    }

    /// Whether a state that begins with this is one that the device can take.
    ///
    /// # Errors
    /// It has another version or is of another device.
    pub fn check_label(&self, label: &Value) -> Result<(), RestoreError> {
        #[derive(Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        struct Label {
            format: u64,
            profile: ProfileTag,
        }
        check_format(label)?;
        let Label { format: _, profile } = snapshot::read("the label", label)?;
        self.check_profile(profile)
    }

    /// Takes back what [`Self::save`] gave, of a device of the same profile. The next clients that
    /// come take the places of those that had the device open when it was saved; those that have it
    /// open already have taken theirs.
    ///
    /// # Errors
    /// What is wrong with the tree. The device is what it was before then, but for transfers under
    /// way, which begin again.
    pub fn restore(&mut self, now: Time, saved: &Value) -> Result<(), RestoreError> {
        let SavedDevice { slot, host } = self.check_envelope(saved)?;
        self.check_host(&host)?;
        let before = self.slot.save(now);
        let images = self
            .slot
            .restore(now, &slot)
            .and_then(|()| self.images(&host));
        match images {
            Ok(images) => {
                self.restore_host(now, host, images);
                Ok(())
            }
            Err(error) => {
                // What this slot has just saved fits it.
                self.slot.restore(now, &before).ok();
                self.settle(now);
                Err(error)
            }
        }
    }

    /// How many clients have the device open, without those that are yet to take their place.
    #[must_use]
    pub const fn connected(&self) -> u32 {
        self.low_power.opens.saturating_sub(self.low_power.awaited)
    }

    fn check_envelope(&self, saved: &Value) -> Result<SavedDevice, RestoreError> {
        #[derive(Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        struct Envelope {
            format: u64,
            profile: ProfileTag,
            device: Value,
        }
        check_format(saved)?;
        let Envelope {
            format: _,
            profile,
            device,
        } = snapshot::read("the saved state", saved)?;
        self.check_profile(profile)?;
        snapshot::read("device", &device)
    }

    fn check_profile(&self, profile: ProfileTag) -> Result<(), RestoreError> {
        if profile.name != self.profile {
            return Err(RestoreError::Profile {
                saved: profile.name,
                here: self.profile.clone(),
            });
        }
        if profile.shape != self.shape {
            return Err(RestoreError::Shape {
                saved: profile.shape,
                here: self.shape.clone(),
            });
        }
        Ok(())
    }

    /// What would make another device of this one, or lead it where no device gets.
    fn check_host(&self, host: &SavedHost) -> Result<(), RestoreError> {
        let config = &self.config;
        let refuse = |key: &str, reason: String| {
            let at = format!("device.host.{key}");
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

    fn images(&self, host: &SavedHost) -> Result<Images, RestoreError> {
        let function = self.slot.function();
        let size = usize::from(function.config().size());
        let image = |key: &str, text: &Option<String>| {
            let at = format!("device.host.{key}");
            let image = text.as_ref().map(|text| Saved::of_hex(&at, text, size));
            image.transpose()
        };
        let vconfig = host.virtual_config.as_ref().map(|saved| {
            let at = "device.host.virtual_config";
            VirtualConfig::restored(at, saved, function, self.config.pm_dialect)
        });
        Ok(Images {
            saved: image("core.saved", &host.core.saved)?,
            open: image("open_state", &host.open_state)?,
            user: image("user_state", &host.user_state)?,
            vconfig: vconfig.transpose()?,
        })
    }

    fn restore_host(&mut self, now: Time, host: SavedHost, images: Images) {
        let connected = self.connected();
        self.vconfig = images.vconfig;
        self.open_state = images.open;
        self.user_state = images.user;
        self.reset_busy = host.reset_busy;
        self.irqs.restore(&host.irqs);
        self.core.restore(&host.core, images.saved);
        self.restore_low_power(now, &host.low_power, connected);
        let usage = &mut self.rpm;
        self.dialect.restore(&host.dialect, || usage.get());
        // Last, since taking references takes back a queued suspend.
        self.rpm.restore(now, &host.runtime_pm);
        self.irqs.deliver(&mut self.outputs);
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
            pme_found_nanos,
            poll_nanos,
            suspends,
            wakeups,
        } = *saved;
        let rpm = &mut self.rpm;
        self.low_power = LowPower {
            opens,
            awaited: opens.saturating_sub(connected),
            open: open.then(|| rpm.get()),
            extra: (0..extra).map(|_| rpm.get()).collect(),
            bound: bound.then(|| rpm.get()),
            engaged,
            intx_masked,
            intx_while_asleep,
            woken_by_platform,
            pme_found_at: pme_found_nanos.map(|left| due(now, left)),
            poll_at: due(now, poll_nanos.unwrap_or(0)),
            suspends,
            wakeups,
        };
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
            pme_found_at,
            poll_at: _,
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
            pme_found_nanos: pme_found_at.map(|at| left(now, at)),
            poll_nanos: asleep.then(|| left(now, self.next_poll(now))),
            suspends: *suspends,
            wakeups: *wakeups,
        }
    }
}

impl PciCore {
    fn save(&self) -> SavedCore {
        let Self {
            platform: _,
            pmcsr: _,
            current,
            d3cold_allowed,
            saved,
            restore,
            armed,
            waited,
        } = self;
        SavedCore {
            current: *current,
            d3cold_allowed: *d3cold_allowed,
            saved: saved.as_ref().map(Saved::hex),
            restore: *restore,
            armed: *armed,
            waited_nanos: nanos(*waited),
        }
    }

    fn restore(&mut self, from: &SavedCore, image: Option<Saved>) {
        self.current = from.current;
        self.d3cold_allowed = from.d3cold_allowed;
        self.saved = image;
        self.restore = from.restore;
        self.armed = from.armed;
        self.waited = Duration::from_nanos(from.waited_nanos);
    }
}

impl Dialect {
    fn save(&self) -> SavedDialect {
        match self {
            Self::Mainline(mainline) => SavedDialect::Mainline(mainline.clone()),
            Self::V4(v4) => SavedDialect::V4(v4.save()),
        }
    }

    /// A saved state of the other dialect changes nothing.
    fn restore(&mut self, saved: &SavedDialect, usage: impl FnOnce() -> super::Usage) {
        match (self, saved) {
            (Self::Mainline(mainline), SavedDialect::Mainline(saved)) => mainline.clone_from(saved),
            (Self::V4(v4), SavedDialect::V4(saved)) => v4.restore(saved, usage),
            (Self::Mainline(_), SavedDialect::V4(_)) | (Self::V4(_), SavedDialect::Mainline(_)) => {
            }
        }
    }
}
