//! The control socket's language: one JSON object per line in, one per line out.
//!
//! A line names a [`Verb`] and its arguments; [`execute`] carries it out on the function and gives
//! the reply. Asking never changes anything: only verbs that say so act on the function.
//!
//! | family | module | verbs |
//! |---|---|---|
//! | queries | [`query`] | `status`, `inspect`, `violations` |
//! | events of the device | [`device`] | `pme`, `intx`, `interrupt`, `input`, `withdraw` |
//! | platform | [`platform`] | `rail`, `reset`, `slot-power-limit` |
//! | the host's user | [`host`] | `host-access`, `control`, `d3cold-allowed`, `suspend`, `suspend-delay` |
//! | faults | [`faults`] | `fail-resume`, `fail-reset`, `dead-after-cold` |
//! | saved state | [`state`] | `save`, `restore` |
//! | time | [`clock`] | `clock` |
//! | the conversation | [`session`] | `subscribe`, `shutdown`, `help` |

pub mod clock;
pub mod device;
pub mod faults;
pub mod host;
pub mod platform;
pub mod query;
pub mod session;
pub mod span;
pub mod state;
pub mod switch;

mod client;
mod error;
mod help;
mod verb;

use pci_device_models::host::Device;
use pci_device_models::time::Time;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

pub use client::{ControlClient, ControlClientError};
pub use error::ControlError;
pub use help::{ArgumentHelp, VerbHelp};
pub use verb::Verb;

use crate::clock::Clock;
use crate::state_file::Places;
use crate::stats::ConnectionStats;

/// The longest line that is looked at, in bytes. A client that sends more without a newline is not
/// speaking this protocol.
pub const MAX_LINE: usize = 64 * 1024;

/// What a verb may look at and act on: one served function.
#[derive(Debug)]
pub struct ControlContext<'a> {
    /// Name of the function.
    pub name: &'a str,
    /// The function behind its host driver.
    pub device: &'a mut Device,
    /// The function's own time, which stands still while it is stopped for migration.
    pub now: Time,
    /// The server's clock.
    pub clock: &'a mut Clock,
    /// Counters of the function's connections.
    pub stats: &'a ConnectionStats,
    /// Where states may be saved and restored.
    pub state_places: &'a Places,
}

/// What goes back to the control client.
#[derive(Debug)]
pub struct ControlReply {
    /// One line of JSON, with its newline.
    pub text: String,
    /// What the server has to do once the line is queued.
    pub action: Option<ControlAction>,
}

/// What only the server can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlAction {
    /// End the server cleanly.
    Shutdown,
    /// Send this client every event from now on.
    Subscribe,
}

/// What carrying out a verb gives: the `ok` value and perhaps something for the server to do.
#[derive(Debug)]
pub struct Done {
    value: Value,
    action: Option<ControlAction>,
}

impl From<Value> for Done {
    fn from(value: Value) -> Self {
        Self {
            value,
            action: None,
        }
    }
}

impl Done {
    /// Nothing to tell but that it was done.
    fn silently() -> Self {
        Value::Object(Map::new()).into()
    }

    /// As [`Self::silently`], with something left to do for the server.
    fn then(action: ControlAction) -> Self {
        Self {
            action: Some(action),
            ..Self::silently()
        }
    }
}

/// Carries out one line, given without its newline. Whatever is wrong with it is told in the reply.
///
/// A verb that acts on the function leaves its outputs in the [`Device`], for the caller to collect.
#[must_use]
pub fn execute(line: &[u8], cx: &mut ControlContext<'_>) -> ControlReply {
    let (id, request) = parse(line);
    let result = request.and_then(|verb| {
        if cx.device.is_frozen() && verb.acts() {
            return Err(ControlError::Stopped);
        }
        verb.apply(cx)
    });
    let (outcome, action) = match result {
        Ok(Done { value, action }) => (Outcome::Ok(value), action),
        Err(error) => (Outcome::Error(error), None),
    };
    ControlReply {
        text: Reply { id, outcome }.to_line(),
        action,
    }
}

/// The reply to a line that was longer than [`MAX_LINE`]. The connection is of no use after it.
#[must_use]
pub fn line_too_long() -> ControlReply {
    let outcome = Outcome::Error(ControlError::TooLong);
    ControlReply {
        text: Reply {
            id: Value::Null,
            outcome,
        }
        .to_line(),
        action: None,
    }
}

/// Splits a line into the client's id, which goes back whatever else is wrong, and the verb.
fn parse(line: &[u8]) -> (Value, Result<Verb, ControlError>) {
    match serde_json::from_slice(line) {
        Ok(Value::Object(mut members)) => {
            let id = members.remove("id").unwrap_or_default();
            (id, Verb::from_members(members))
        }
        Ok(_) => (Value::Null, Err(ControlError::NotAnObject)),
        Err(error) => (Value::Null, Err(ControlError::Malformed(error))),
    }
}

#[derive(Serialize)]
struct Reply {
    id: Value,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Ok(Value),
    Error(#[serde(serialize_with = "as_kind_and_message")] ControlError),
}

fn as_kind_and_message<S: Serializer>(
    error: &ControlError,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeStruct;

    let mut members = serializer.serialize_struct("error", 2)?;
    members.serialize_field("kind", error.kind())?;
    members.serialize_field("message", &error.to_string())?;
    members.end()
}

impl Reply {
    fn to_line(&self) -> String {
        // Values, strings and string keys always have a JSON form; the alternative is still a line.
        let mut line = serde_json::to_string(self).unwrap_or_else(|_| r#"{"id":null}"#.to_owned());
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests;
