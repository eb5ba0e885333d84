//! Verbs about the connection and the server.

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
