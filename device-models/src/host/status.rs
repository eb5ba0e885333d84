//! Reports for people and CI jobs. They change nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::hotplug::CardStatus;
use super::port::PortStatus;
use super::runtime_pm::{PowerControl, RuntimePmStatus};
use super::short_forms::DEAD_AFTER_COLD;
use super::sriov::SriovStatus;
use super::{DeviceMut, DeviceRef};
use crate::function::Counters;
use crate::power::{self, PowerState};
use crate::time::Time;
use crate::violation::ViolationReport;

/// The status of a device, under the names of Linux sysfs where one exists.
///
/// ```
/// use pci_device_models::host::RuntimePmStatus;
/// use pci_device_models::model::Registry;
/// use pci_device_models::power::PowerState;
/// use pci_device_models::profile::Profile;
/// use pci_device_models::time::Time;
///
/// let text = Profile::builtin("testdev").expect("it is built in");
/// let mut devices = Profile::parse("testdev", text, &[])?.device_set(&Registry::builtin())?;
/// let status = devices.first_mut().status(Time::ZERO);
/// assert_eq!(status.power_state, PowerState::D0);
/// assert_eq!(status.runtime_status, RuntimePmStatus::Active);
/// # Ok::<(), pci_device_models::profile::ProfileError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// The D-state of the function.
    #[serde(deserialize_with = "power::deserialize_shown")]
    pub power_state: PowerState,
    /// The slot's main power is on.
    pub rail: bool,
    /// Interrupts.
    pub irqs: IrqStatus,
    /// Counters of the function since power-on.
    pub counters: Counters,
    /// Milliseconds in each D-state.
    pub residency_ms: Residency,
    /// `power/runtime_status`.
    pub runtime_status: RuntimePmStatus,
    /// `power/runtime_usage`: references that keep the device awake.
    pub runtime_usage: u32,
    /// `power/runtime_active_time`, in milliseconds.
    pub runtime_active_time: u64,
    /// `power/runtime_suspended_time`, in milliseconds.
    pub runtime_suspended_time: u64,
    /// `power/control`.
    pub control: PowerControl,
    /// A client has entered low power and not left it.
    pub engaged: bool,
    /// Clients that have the device open.
    pub opens: u32,
    /// Times that the device went to sleep.
    pub suspends: u64,
    /// Times that the device woke.
    pub wakeups: u64,
    /// The D-state that the PCI core has recorded.
    #[serde(deserialize_with = "power::deserialize_shown")]
    pub recorded_power_state: PowerState,
    /// `d3cold_allowed`.
    pub d3cold_allowed: bool,
    /// The function stays silent once its power was off.
    pub dead_after_cold: bool,
    /// The function holds the power resource of its slot.
    pub holds_power: bool,
    /// The port above the slot.
    pub port: PortStatus,
    /// The card, and its removal from the slot.
    pub card: CardStatus,
    /// Virtual functions, of a function that has or is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sriov: Option<SriovStatus>,
    /// The low-power features of the dialect that the device has.
    #[serde(flatten)]
    pub dialect: DialectStatus,
}

/// Interrupts in a [`Status`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IrqStatus {
    /// Eventfds by the name of their irq index.
    pub bound: BTreeMap<String, usize>,
    /// The function asserts INTx.
    pub intx_level: bool,
    /// The client has masked INTx, or the host after an interrupt.
    pub intx_masked: bool,
    /// The host has set INTx Disable.
    pub intx_disabled: bool,
}

/// Milliseconds in each D-state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub struct Residency {
    pub d0: u64,
    pub d1: u64,
    pub d2: u64,
    #[serde(rename = "D3hot")]
    pub d3hot: u64,
    #[serde(rename = "D3cold")]
    pub d3cold: u64,
}

/// The part of a [`Status`] that depends on the dialect of the low-power features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "pm_dialect", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DialectStatus {
    /// Features 3 to 5 of Linux.
    #[non_exhaustive]
    Mainline {
        /// A wake-up eventfd waits to be signalled.
        armed: bool,
    },
    /// The one feature of the series of July 2022.
    #[non_exhaustive]
    V4 {
        /// The device may sleep again after it was woken.
        reentry: bool,
        /// The device was woken and stays awake.
        woken: bool,
        /// `PME_En`, virtual.
        pme_en: bool,
        /// `PME_Status`, virtual.
        pme_status: bool,
    },
}

impl DeviceRef<'_> {
    /// Returns the status.
    #[must_use]
    pub fn status(&self, now: Time) -> Status {
        let function = self.function;
        let residency = |state| millis(function.residency(now, state));
        let state = self.state;
        let (active, suspended) = state.rpm.times(now);
        Status {
            power_state: function.power_state(),
            rail: self.rail_on(),
            irqs: state.irqs.status(),
            counters: function.counters(),
            residency_ms: Residency {
                d0: residency(PowerState::D0),
                d1: residency(PowerState::D1),
                d2: residency(PowerState::D2),
                d3hot: residency(PowerState::D3hot),
                d3cold: residency(PowerState::D3cold),
            },
            runtime_status: state.rpm.shown_status(),
            runtime_usage: state.rpm.usage(),
            runtime_active_time: millis(active),
            runtime_suspended_time: millis(suspended),
            control: state.rpm.control(),
            engaged: state.low_power.engaged,
            opens: state.low_power.opens,
            suspends: state.low_power.suspends,
            wakeups: state.low_power.wakeups,
            recorded_power_state: state.core.current(),
            d3cold_allowed: state.core.d3cold_allowed(),
            dead_after_cold: function.has_fault(DEAD_AFTER_COLD) || state.low_power.stranded,
            holds_power: self.set.resource.is_held_by(self.number),
            port: (self.set.port).status(self.function, self.rail_on() && self.power.is_occupied()),
            card: self.card_status(),
            sriov: self.sriov_status(),
            dialect: state.dialect.status(),
        }
    }

    /// Returns the whole state field by field.
    #[must_use]
    pub fn inspect(&self, now: Time) -> Value {
        let mut host = json!(self.status(now));
        if let Value::Object(host) = &mut host {
            // The slot and the function show these themselves.
            for of_the_slot in ["power_state", "rail", "counters", "residency_ms"] {
                host.remove(of_the_slot);
            }
        }
        json!({ "host": host, "slot": { "rail": self.rail_on(), "function": self.function.inspect(now) } })
    }

    /// Returns the recorded violations of software.
    #[must_use]
    pub fn violations(&self) -> ViolationReport {
        self.function.violations()
    }
}

impl DeviceMut<'_> {
    /// Returns figures; see [`DeviceRef::status`].
    #[must_use]
    pub fn status(&self, now: Time) -> Status {
        self.as_ref().status(now)
    }

    /// Returns the whole state; see [`DeviceRef::inspect`].
    #[must_use]
    pub fn inspect(&self, now: Time) -> Value {
        self.as_ref().inspect(now)
    }

    /// Returns the recorded violations; see [`DeviceRef::violations`].
    #[must_use]
    pub fn violations(&self) -> ViolationReport {
        self.as_ref().violations()
    }
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Registry;
    use crate::profile::Profile;

    #[test]
    fn the_names_on_the_wire_stay_and_are_read_back() {
        for (dialect, of_the_dialect) in [
            ("mainline", json!({ "armed": false })),
            (
                "v4",
                json!({ "reentry": true, "woken": false, "pme_en": false, "pme_status": false }),
            ),
        ] {
            let text = Profile::builtin("testdev").unwrap();
            let set = [("host.pm-dialect".to_owned(), dialect.to_owned())];
            let profile = Profile::parse("testdev", text, &set).unwrap();
            let mut devices = profile.device_set(&Registry::builtin()).unwrap();
            let status = devices.first_mut().status(Time::from_nanos(7_000_000));
            let mut expected = json!({
                "card": { "present": true, "asked": 0, "state": "configured" },
                "control": "auto",
                "counters": { "outside_d0": 0, "pm_pme": 0, "resets": 0 },
                "d3cold_allowed": true,
                "dead_after_cold": false,
                "engaged": false,
                "irqs": {
                    "bound": { "err": 0, "intx": 0, "msi": 0, "msix": 0, "req": 0 },
                    "intx_disabled": false,
                    "intx_level": false,
                    "intx_masked": false,
                },
                "holds_power": true,
                "opens": 0,
                "pm_dialect": dialect,
                "port": {
                    "control": "auto",
                    "d3cold_allowed": true,
                    "link": true,
                    "link_active": true,
                    "link_speed": 1,
                    "link_width": 1,
                    "power_state": "D0",
                    "runtime_status": "active",
                },
                "power_state": "D0",
                "rail": true,
                "recorded_power_state": "D0",
                "residency_ms": { "D0": 7, "D1": 0, "D2": 0, "D3cold": 0, "D3hot": 0 },
                "runtime_active_time": 7,
                "runtime_status": "active",
                "runtime_suspended_time": 0,
                "runtime_usage": 1,
                "suspends": 0,
                "wakeups": 0,
            });
            if dialect == "v4" {
                expected["irqs"]["bound"]["pme"] = 0.into();
            }
            let extra = of_the_dialect.as_object().unwrap().clone();
            expected.as_object_mut().unwrap().extend(extra);
            assert_eq!(json!(status), expected);
            assert_eq!(Status::deserialize(expected).unwrap(), status);
        }
    }
}
