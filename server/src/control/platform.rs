//! Verbs for actions of the slot and of the bridge above.
//!
//! # Examples
//!
//! ```
//! use dormouse::control::Verb;
//! use dormouse::control::platform::{Kind, Reset};
//! use dormouse::testing::Function;
//!
//! let served = Function::profile("testdev").start()?;
//! let mut control = served.control()?;
//! let before = control.status()?.device.counters.resets;
//! control.ask(&Verb::Reset(Reset { kind: Kind::Hot }))?;
//! assert_eq!(control.status()?.device.counters.resets, before + 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use pci_device_models::register::ResetKind;
use serde::{Deserialize, Serialize};

use super::{ControlContext, ControlError, Done, Switch};

/// `rail`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Rail {
    /// Main power on or off
    pub state: Switch,
}

impl Rail {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        cx.device.set_rail(cx.now, self.state.is_on());
        Done::silently()
    }
}

/// Kinds of reset.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Function Level Reset.
    #[default]
    Flr,
    /// Hot reset, as by Secondary Bus Reset of the bridge above.
    Hot,
    /// Fundamental reset by PERST#.
    Fundamental,
    /// Power cycle of main and auxiliary power.
    PowerOn,
}

impl From<Kind> for ResetKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Flr => Self::Flr,
            Kind::Hot => Self::Hot,
            Kind::Fundamental => Self::Fundamental,
            Kind::PowerOn => Self::PowerOn,
        }
    }
}

/// `reset`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// Kind of reset
    #[cfg_attr(
        feature = "cli",
        arg(default_value = "flr", hide_possible_values = false)
    )]
    #[serde(default)]
    pub kind: Kind,
}

impl Reset {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        cx.device.platform_reset(cx.now, self.kind.into());
        Done::silently()
    }
}

/// `hot-reset` (`VFIO_DEVICE_PCI_HOT_RESET`, for which vfio-user has no message)
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct HotReset {}

impl HotReset {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Result<Done, ControlError> {
        let result = cx.device.hot_reset(cx.now);
        // No client waits for it.
        drop(cx.device.take_wait(cx.now));
        result
            .map(|()| Done::silently())
            .map_err(ControlError::Host)
    }
}

/// `slot-power-limit` (`Set_Slot_Power_Limit` message, PCIe Base §6.9)
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct SlotPowerLimit {
    /// Slot Power Limit Value, 0 to 255
    pub value: u8,
    /// Slot Power Limit Scale, the unit of the value: 0 is 1 W, 1 is 0.1 W, 2 is 0.01 W, 3 is 0.001 W
    pub scale: Scale,
}

impl SlotPowerLimit {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        cx.device
            .set_slot_power_limit(cx.now, self.value, self.scale.0);
        Done::silently()
    }
}

/// A two bit scale.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Scale(u8);

impl TryFrom<u8> for Scale {
    type Error = String;

    fn try_from(scale: u8) -> Result<Self, Self::Error> {
        if scale <= 3 {
            Ok(Self(scale))
        } else {
            Err(format!("the scale is 0, 1, 2 or 3, not {scale}"))
        }
    }
}

impl From<Scale> for u8 {
    fn from(Scale(scale): Scale) -> Self {
        scale
    }
}

impl std::str::FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<u8>()
            .map_err(|error| error.to_string())
            .and_then(Self::try_from)
    }
}
