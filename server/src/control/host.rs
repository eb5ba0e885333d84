//! Verbs for actions of the host's user, named after attributes in Linux sysfs.
//!
//! # Examples
//!
//! ```
//! use dormouse::control::Verb;
//! use dormouse::control::host::D3coldAllowed;
//! use dormouse::testing::Function;
//!
//! let served = Function::profile("testdev").start()?;
//! let mut control = served.control()?;
//! let allowed = 0.try_into()?;
//! control.ask(&Verb::D3coldAllowed(D3coldAllowed { allowed }))?;
//! assert!(!control.status()?.device.d3cold_allowed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::time::Duration;

use pci_device_models::host;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ControlContext, ControlError, Done};

/// `host-access`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct HostAccess {}

impl HostAccess {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        cx.device.host_access(cx.now).into()
    }
}

/// Values of `power/control`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Wake the device and keep it awake.
    On,
    /// Allow runtime suspend.
    Auto,
}

impl From<Mode> for host::PowerControl {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::On => Self::On,
            Mode::Auto => Self::Auto,
        }
    }
}

/// `control` (`power/control`)
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct ControlAttribute {
    /// New value
    pub mode: Mode,
}

impl ControlAttribute {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        cx.device.set_control(cx.now, self.mode.into());
        Done::silently()
    }
}

/// A Boolean that is written 0 or 1, as in sysfs.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Bit(bool);

impl TryFrom<u8> for Bit {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        match number {
            0 => Ok(Self(false)),
            1 => Ok(Self(true)),
            _ => Err(format!("write 0 or 1, not {number}")),
        }
    }
}

impl From<Bit> for bool {
    fn from(Bit(set): Bit) -> Self {
        set
    }
}

impl From<Bit> for u8 {
    fn from(Bit(set): Bit) -> Self {
        Self::from(set)
    }
}

impl std::str::FromStr for Bit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "0" => Ok(Self(false)),
            "1" => Ok(Self(true)),
            _ => Err("write 0 or 1".to_owned()),
        }
    }
}

/// `d3cold-allowed` (`d3cold_allowed`)
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct D3coldAllowed {
    /// 1: the platform may remove power from the suspended device; 0: it stays in D3hot
    pub allowed: Bit,
}

impl D3coldAllowed {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        cx.device.set_d3cold_allowed(cx.now, self.allowed.0);
        Done::silently()
    }
}

/// `sriov-numvfs` (`sriov_numvfs`)
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct SriovNumvfs {
    /// Number of virtual functions to enable, or 0: disable all
    pub count: u16,
}

impl SriovNumvfs {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Result<Done, ControlError> {
        let result = cx.device.set_num_vfs(cx.now, self.count);
        result.map_err(ControlError::Host)?;
        let sriov = cx.device.status(cx.now).sriov;
        Ok(json!({ "sriov": sriov }).into())
    }
}

/// `suspend`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Suspend {}

impl Suspend {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        let suspended = cx.device.suspend_now(cx.now);
        json!({ "suspended": suspended }).into()
    }
}

/// Delay between the last use of a device and its suspend.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(
    untagged,
    expecting = "a suspend delay is a number of milliseconds or \"manual\""
)]
pub enum Delay {
    /// Milliseconds.
    Millis(u64),
    /// Only the verb `suspend` suspends the device.
    Manual(Manual),
}

/// The word `manual`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manual {
    /// `manual`.
    Manual,
}

impl std::str::FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "manual" {
            return Ok(Self::Manual(Manual::Manual));
        }
        text.parse()
            .map(Self::Millis)
            .map_err(|_| "write a number of milliseconds or manual".to_owned())
    }
}

impl From<Delay> for host::SuspendDelay {
    fn from(delay: Delay) -> Self {
        match delay {
            Delay::Millis(millis) => Self::After(Duration::from_millis(millis)),
            Delay::Manual(_) => Self::Manual,
        }
    }
}

/// `suspend-delay`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct SuspendDelay {
    /// Milliseconds after the last use, or manual: only the verb suspend suspends the device
    pub delay: Delay,
}

impl SuspendDelay {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        cx.device.set_suspend_delay(cx.now, self.delay.into());
        Done::silently()
    }
}
