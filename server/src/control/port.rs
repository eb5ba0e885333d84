//! Verbs for the port above the slot, which all functions of the slot share.
//!
//! # Examples
//!
//! ```
//! use dormouse::control::Verb;
//! use dormouse::control::port::PortD3coldAllowed;
//! use dormouse::testing::Function;
//!
//! let served = Function::profile("testdev").start()?;
//! let mut control = served.control()?;
//! let allowed = 0.try_into()?;
//! control.ask(&Verb::PortD3coldAllowed(PortD3coldAllowed { allowed }))?;
//! assert!(!control.status()?.device.port.d3cold_allowed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use pci_device_models::host::{FaultSpan, ResumeFault};
use serde::{Deserialize, Serialize};

use super::faults::Outcome;
use super::host::{Bit, Mode};
use super::switch::is_false;
use super::{ControlContext, ControlError, Done};

/// `port-control` (`power/control` of the port)
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct PortControl {
    /// New value
    pub mode: Mode,
}

impl PortControl {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        cx.device.set_port_control(cx.now, self.mode.into());
        Done::silently()
    }
}

/// `port-d3cold-allowed` (`d3cold_allowed` of the port)
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct PortD3coldAllowed {
    /// 1: the platform may remove power below the suspended port; 0: the port stays in D3hot
    pub allowed: Bit,
}

impl PortD3coldAllowed {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        cx.device
            .set_port_d3cold_allowed(cx.now, self.allowed.into());
        Done::silently()
    }
}

/// The state of the link that the port gets when power comes back.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// The link trains.
    Up,
    /// The link does not train.
    Down,
}

/// `port-link`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct PortLink {
    /// down: the link does not train when the port comes back from D3cold, and the functions are lost
    pub state: LinkState,
}

impl PortLink {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        cx.device.set_port_link(self.state == LinkState::Up);
        Done::silently()
    }
}

/// `port-fail-resume`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct PortFailResume {
    /// Errno with which waking the port fails until further notice, by name or number, or off: remove
    /// the fault
    pub errno: Outcome,
    /// Fail once
    #[cfg_attr(feature = "cli", arg(long))]
    #[serde(default, skip_serializing_if = "is_false")]
    pub once: bool,
}

impl PortFailResume {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Result<Done, ControlError> {
        let span = if self.once {
            FaultSpan::Times(1)
        } else {
            FaultSpan::Always
        };
        let fault = match self.errno {
            Outcome::Off => None,
            Outcome::Errno(errno) => Some(ResumeFault { errno, span }),
        };
        cx.device.set_port_fault(cx.now, fault)?;
        Ok(Done::silently())
    }
}
