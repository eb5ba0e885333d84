//! Verbs that inject faults and remove them.
//!
//! # Examples
//!
//! ```
//! use dormouse::control::faults::DeadAfterCold;
//! use dormouse::control::{Switch, Verb};
//! use dormouse::testing::Function;
//!
//! let served = Function::profile("testdev").start()?;
//! let mut control = served.control()?;
//! let state = Switch::On;
//! control.ask(&Verb::DeadAfterCold(DeadAfterCold { state }))?;
//! assert!(control.status()?.device.dead_after_cold);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::num::NonZeroU32;
use std::str::FromStr;

use pci_device_models::fault::Fault;
use pci_device_models::host::{FaultSpan, ResumeFault};
use serde::{Deserialize, Serialize, de::Error as _};
use serde_json::{Value, json};
use vfio_user_protocol::Errno;

use super::switch::is_false;
use super::{ControlContext, ControlError, Done, Switch};

/// Result of waking the device.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Outcome {
    /// Success.
    Off,
    /// An error.
    Errno(Errno),
}

impl FromStr for Outcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == OFF {
            Ok(Self::Off)
        } else {
            text.parse().map(Self::Errno)
        }
    }
}

impl TryFrom<Value> for Outcome {
    type Error = serde_json::Error;

    fn try_from(written: Value) -> Result<Self, Self::Error> {
        if written == OFF {
            Ok(Self::Off)
        } else {
            serde_json::from_value(written).map(Self::Errno)
        }
    }
}

impl From<Outcome> for Value {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Off => OFF.into(),
            Outcome::Errno(Errno(number)) => number.into(),
        }
    }
}

const OFF: &str = "off";

/// `fail-resume`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct FailResume {
    /// Errno with which waking fails until further notice, by name or number (EBUSY or 16), or off:
    /// remove the fault and clear the host's remembered error
    pub errno: Outcome,
    /// Fail once
    #[cfg_attr(feature = "cli", arg(long))]
    #[serde(default, skip_serializing_if = "is_false")]
    pub once: bool,
    /// Fail this many times, at least 1
    #[cfg_attr(feature = "cli", arg(long, conflicts_with = "once"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<NonZeroU32>,
    /// Fail in the driver's resume callback: the host remembers the error and does not try again
    #[cfg_attr(feature = "cli", arg(long, conflicts_with_all = ["once", "times"]))]
    #[serde(default, skip_serializing_if = "is_false")]
    pub latch: bool,
}

impl FailResume {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Result<Done, ControlError> {
        let fault = self.fault().map_err(|what| ControlError::Arguments {
            verb: "fail-resume".to_owned(),
            reason: serde_json::Error::custom(what),
        })?;
        cx.device.set_resume_fault(fault)?;
        Ok(Done::silently())
    }

    fn fault(&self) -> Result<Option<ResumeFault>, &'static str> {
        let span = match (self.once, self.times, self.latch) {
            (false, None, false) => None,
            (true, None, false) => Some(FaultSpan::Times(1)),
            (false, Some(times), false) => Some(FaultSpan::Times(times.get())),
            (false, None, true) => Some(FaultSpan::Latch),
            _ => return Err("once, times and latch are mutually exclusive"),
        };
        match (self.errno, span) {
            (Outcome::Off, None) => Ok(None),
            (Outcome::Off, Some(_)) => Err("off cannot be combined with once, times or latch"),
            (Outcome::Errno(errno), span) => Ok(Some(ResumeFault {
                errno,
                span: span.unwrap_or(FaultSpan::Always),
            })),
        }
    }
}

/// `fail-reset`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct FailReset {
    /// Fail resets (on) or let them work (off)
    pub state: Switch,
}

impl FailReset {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Result<Done, ControlError> {
        cx.device.set_reset_busy(self.state.is_on())?;
        Ok(Done::silently())
    }
}

/// `dead-after-cold`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct DeadAfterCold {
    /// Keep the function dead after power returns (on), or revive it (off)
    pub state: Switch,
}

impl DeadAfterCold {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Result<Done, ControlError> {
        cx.device.set_dead_after_cold(cx.now, self.state.is_on())?;
        Ok(Done::silently())
    }
}

/// An action of the verb `fault`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum FaultAction {
    /// Set a fault.
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Add,
    /// List the faults.
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    List,
    /// Remove a fault and end its effects.
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Remove,
    /// Remove all faults.
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Clear,
}

/// `fault`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct FaultVerb {
    /// Set a fault (add), show the faults and how often each has struck (list), or end one (remove) or
    /// all (clear)
    pub action: FaultAction,
    /// Name of the fault to add or remove; by default the first word of its failure
    #[cfg_attr(feature = "cli", arg(long))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Occasion at which the fault strikes, such as "reset flr first 2"
    #[cfg_attr(feature = "cli", arg(long))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Failure, such as "not-ready 300ms"
    #[cfg_attr(feature = "cli", arg(long))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
}

impl FaultVerb {
    /// Returns whether the verb changes the device.
    pub(super) fn acts(&self) -> bool {
        self.action != FaultAction::List
    }

    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Result<Done, ControlError> {
        let Self {
            action,
            name,
            when,
            what,
        } = self;
        match (action, name, when, what) {
            (FaultAction::Add, name, Some(when), Some(what)) => {
                let mut fault = Fault::new(&when, &what)?;
                fault.name = name;
                let name = cx.device.add_fault(cx.now, fault)?;
                Ok(json!({ "name": name }).into())
            }
            (FaultAction::List, None, None, None) => {
                Ok(json!({ "faults": cx.device.faults() }).into())
            }
            (FaultAction::Remove, Some(name), None, None) => {
                cx.device.remove_fault(cx.now, &name)?;
                Ok(Done::silently())
            }
            (FaultAction::Clear, None, None, None) => {
                cx.device.clear_faults(cx.now);
                Ok(Done::silently())
            }
            _ => Err(ControlError::Arguments {
                verb: "fault".to_owned(),
                reason: serde_json::Error::custom(
                    "add needs when and what, and may have a name; remove needs a name; list and clear \
                     need nothing",
                ),
            }),
        }
    }
}
