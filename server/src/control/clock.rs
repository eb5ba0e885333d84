//! The verb for the server's clock.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::span::Span;
use super::{ControlContext, Done};

/// What can be done with the clock.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Let time pass at once. What falls due in it happens; a running clock runs on from there.
    Advance,
}

/// `clock`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// What to do
    pub action: Action,
    /// How much time: 10ms, 1.5s, 200us, or a number of nanoseconds
    pub duration: Span,
}

impl Clock {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Done {
        let before = cx.clock.now();
        match self.action {
            Action::Advance => cx.clock.advance(self.duration.into()),
        }
        let now = cx.clock.now();
        // A device that is stopped for migration takes no notice.
        cx.device.advance(cx.now.after(now.since(before)));
        json!({ "nanos": now.as_nanos() }).into()
    }
}
