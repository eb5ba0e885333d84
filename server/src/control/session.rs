//! Verbs about the connection and the server.
//!
//! # Examples
//!
//! ```
//! use dormouse::control::Verb;
//! use dormouse::control::session::Help;
//! use dormouse::testing::Function;
//!
//! let served = Function::profile("testdev").start()?;
//! let mut control = served.control()?;
//! let verbs = control.ask(&Verb::Help(Help {}))?;
//! assert_eq!(verbs[0]["verb"], "status");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ControlAction, Done, Verb};

/// `subscribe`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Subscribe {}

impl Subscribe {
    pub(super) fn apply(self) -> Done {
        Done::then(ControlAction::Subscribe)
    }
}

/// `shutdown`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Shutdown {}

impl Shutdown {
    pub(super) fn apply(self) -> Done {
        Done::then(ControlAction::Shutdown)
    }
}

/// `help`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Help {}

impl Help {
    pub(super) fn apply(self) -> Done {
        json!(Verb::all()).into()
    }
}
