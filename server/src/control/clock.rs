//! The verb for the server's clock.
//!
//! # Examples
//!
//! ```
//! use dormouse::control::Verb;
//! use dormouse::control::clock::{Action, Clock};
//! use dormouse::testing::Function;
//!
//! let served = Function::profile("testdev").start()?;
//! let mut control = served.control()?;
//! let clock = Clock {
//!     action: Action::Advance,
//!     duration: "10ms".parse()?,
//! };
//! control.ask(&Verb::Clock(clock))?;
//! assert_eq!(control.status()?.nanos, 10_000_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ControlContext, Done, Span};

/// Operations on the clock.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Move the clock forward at once and run everything that falls due.
    Advance,
}

/// `clock`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Operation
    pub action: Action,
    /// Time span: a number with ns, us, ms, s or min, such as 10ms or 1.5s, or a number of nanoseconds
    pub duration: Span,
}

impl Clock {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        let before = cx.clock.now();
        match self.action {
            Action::Advance => cx.clock.advance(self.duration.into()),
        }
        let now = cx.clock.now();
        // The time of a device that is stopped for migration stands still.
        cx.device.advance(cx.now.after(now.since(before)));
        json!({ "nanos": now.as_nanos() }).into()
    }
}
