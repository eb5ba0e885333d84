//! Options of the port above a slot.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::power::PowerState;

/// The way in which the host learns of a wake event of a function in D3hot. From D3cold it is always
/// firmware's notification, since the function's config space cannot be read there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortPme {
    /// The PCI core reads `PME_Status` once a second, unless the port is asleep
    /// (`pci_pme_list_scan`).
    #[default]
    Poll,
    /// The port interrupts at the function's `PM_PME` message (`drivers/pci/pcie/pme.c`). A port
    /// that is asleep does not.
    Interrupt,
    /// Firmware notifies the function's device object, also while the port is asleep
    /// (`pci_acpi_wake_dev`).
    Firmware,
}

/// The highest speed of the port's link, which decides how the host waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkSpeed {
    /// Up to 5 GT/s: the host waits for `d3cold_delay`, then for the function.
    #[default]
    #[serde(rename = "5gt")]
    UpTo5Gt,
    /// 8 GT/s or more: the host waits for the link, and then for `d3cold_delay`.
    #[serde(rename = "8gt")]
    From8Gt,
}

/// The port above a slot and its link.
///
/// ```
/// use std::time::Duration;
///
/// use pci_device_models::host::PortOptions;
///
/// let options = PortOptions::default();
/// assert_eq!(options.suspend_delay, Duration::from_millis(100));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PortOptions {
    /// The deepest state of the port: D0, D3hot or D3cold. Without it, the port goes to D3cold if a
    /// function of the slot gets there by the port, and else it stays in D0.
    #[serde(deserialize_with = "deepest_state")]
    pub deepest_state: Option<PowerState>,
    /// Time that the port stays awake after it has woken, in milliseconds as `suspend-delay-ms`.
    #[serde(rename = "suspend-delay-ms", deserialize_with = "millis")]
    pub suspend_delay: Duration,
    /// Time that the functions need after power on (`d3cold_delay`), in milliseconds as
    /// `d3cold-delay-ms`. With 0 the host does not wait for them.
    #[serde(rename = "d3cold-delay-ms", deserialize_with = "millis")]
    pub d3cold_delay: Duration,
    /// The way in which wake events reach the host.
    pub pme: PortPme,
    /// Highest speed of the link.
    pub link_speed: LinkSpeed,
    /// Time that the link takes to become active after power on, in milliseconds as
    /// `link-training-ms`.
    #[serde(rename = "link-training-ms", deserialize_with = "millis")]
    pub link_training: Duration,
    /// The port reports whether the link is active (Data Link Layer Link Active Reporting Capable).
    pub link_active_reporting: bool,
}

impl Default for PortOptions {
    fn default() -> Self {
        Self {
            deepest_state: None,
            suspend_delay: Duration::from_millis(100),
            d3cold_delay: Duration::from_millis(100),
            pme: PortPme::default(),
            link_speed: LinkSpeed::default(),
            link_training: Duration::ZERO,
            link_active_reporting: true,
        }
    }
}

fn millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let millis = u32::deserialize(deserializer)?;
    Ok(Duration::from_millis(millis.into()))
}

fn deepest_state<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PowerState>, D::Error> {
    let state = PowerState::deserialize(deserializer)?;
    if matches!(state, PowerState::D1 | PowerState::D2) {
        let text = "a port has no such state here; choose d0, d3hot or d3cold";
        return Err(D::Error::custom(text));
    }
    Ok(Some(state))
}
