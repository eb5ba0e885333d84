//! Verbs for events inside the device.
//!
//! # Examples
//!
//! ```
//! use dormouse::control::Verb;
//! use dormouse::control::device::{Intx, Level};
//! use dormouse::testing::Function;
//!
//! let served = Function::profile("testdev").start()?;
//! let mut control = served.control()?;
//! let level = Level::Assert;
//! control.ask(&Verb::Intx(Intx { level }))?;
//! assert!(control.status()?.device.irqs.intx_level);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use serde::{Deserialize, Serialize};

use super::{ControlContext, ControlError, Done};

/// `pme`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Pme {}

impl Pme {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        cx.device.pme(cx.now);
        Done::silently()
    }
}

/// The level of the INTx interrupt.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Assert INTx.
    Assert,
    /// Deassert INTx.
    Deassert,
}

/// `intx`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Intx {
    /// New level
    pub level: Level,
}

impl Intx {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        cx.device.set_intx(cx.now, self.level == Level::Assert);
        Done::silently()
    }
}

/// `interrupt`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Interrupt {
    /// Vector, 0 to 65535; any vector raises INTx while neither MSI nor MSI-X is enabled
    pub vector: u16,
}

impl Interrupt {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        cx.device.interrupt(cx.now, self.vector);
        Done::silently()
    }
}

/// `input`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Name of the input, as the device model defines it, such as alert of smbus
    pub name: String,
}

impl Input {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Result<Done, ControlError> {
        let known = cx.device.slot().function().inputs();
        if !known.contains(&self.name.as_str()) {
            return Err(ControlError::NoSuchInput {
                name: self.name,
                known,
            });
        }
        cx.device.input(cx.clock.now(), &self.name);
        Ok(Done::silently())
    }
}

/// `withdraw`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Withdraw {
    /// Vector, 0 to 65535
    pub vector: u16,
}

impl Withdraw {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        cx.device.withdraw(cx.now, self.vector);
        Done::silently()
    }
}
