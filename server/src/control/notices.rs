//! Verbs for notices of the host's driver to the clients of its device.
//!
//! # Examples
//!
//! ```
//! use dormouse::control::Verb;
//! use dormouse::control::notices::Req;
//! use dormouse::testing::Function;
//!
//! let served = Function::profile("testdev").start()?;
//! let mut control = served.control()?;
//! let reply = control.ask(&Verb::Req(Req {}))?;
//! assert_eq!(reply["signalled"], false, "there is no client");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ControlContext, Done};

/// `req`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Req {}

impl Req {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        json!({ "signalled": cx.device.request() }).into()
    }
}

/// `err`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Err {}

impl Err {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        json!({ "signalled": cx.device.report_error() }).into()
    }
}
