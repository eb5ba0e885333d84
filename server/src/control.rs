//! The control socket's language: one JSON object per line in, one per line out.
//!
//! A line names a [`Verb`] and its arguments; [`execute`] applies it to the function and returns the
//! reply. Queries never change or wake the function.
//!
//! | family | module | verbs |
//! |---|---|---|
//! | queries | [`query`] | `status`, `inspect`, `violations` |
//! | events of the device | [`device`] | `pme`, `intx`, `interrupt`, `input`, `withdraw` |
//! | port above the slot | [`port`] | `port-control`, `port-d3cold-allowed`, `port-link`, `port-fail-resume` |
//! | platform | [`platform`] | `rail`, `reset`, `hot-reset`, `slot-power-limit` |
//! | actions of the host's user | [`host`] | `host-access`, `control`, `d3cold-allowed`, `suspend`, `suspend-delay` |
//! | faults | [`faults`] | `fault`, `fail-resume`, `fail-reset`, `dead-after-cold` |
//! | notices to clients | [`notices`] | `req`, `err` |
//! | card | [`hotplug`] | `remove`, `insert` |
//! | saved state | [`state`] | `save`, `restore` |
//! | time | [`clock`] | `clock` |
//! | connection and server | [`session`] | `subscribe`, `shutdown`, `help` |
//!
//! [`ControlClient`] speaks the language from a program:
//!
//! ```
//! use dormouse::control::{Switch, Verb, platform};
//! use dormouse::testing::Function;
//!
//! let served = Function::profile("testdev").start()?;
//! let mut control = served.control()?;
//! control.subscribe()?;
//! control.ask(&Verb::Rail(platform::Rail { state: Switch::Off }))?;
//! assert!(!control.status()?.device.rail);
//! assert!(control.take_events().iter().any(|event| event["to"] == "D3cold"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod clock;
pub mod device;
pub mod faults;
pub mod host;
pub mod hotplug;
pub mod notices;
pub mod platform;
pub mod port;
pub mod query;
pub mod session;
pub mod state;

mod client;
mod error;
mod help;
mod job;
mod span;
mod status;
mod switch;
mod verb;

use pci_device_models::host::DeviceMut;
use pci_device_models::time::Time;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

pub use client::{ControlClient, ControlClientError};
pub use error::ControlError;
pub use help::{ArgumentHelp, VerbHelp};
pub use span::Span;
pub use status::{ClockKind, FunctionStatus};
pub use switch::Switch;
pub use verb::Verb;

pub(crate) use job::{Began, Unfinished};

use crate::clock::Clock;
use crate::closer::Closer;
use crate::state_file::Places;
use crate::stats::ConnectionStats;
use job::Job;

/// Maximum length of a request line in bytes. A client that sends more without a newline does not
/// speak this protocol.
pub const MAX_LINE: usize = 64 * 1024;

/// The context of a verb: the served function and its server.
#[derive(Debug)]
pub struct ControlContext<'a> {
    /// Name of the function.
    pub name: &'a str,
    /// Name of its slot.
    pub slot: &'a str,
    /// The function behind its host driver.
    pub device: DeviceMut<'a>,
    /// Time of the function, which stands still while the function is stopped for migration.
    pub now: Time,
    /// The server's clock.
    pub clock: &'a mut Clock,
    /// Counters of the function's connections.
    pub stats: &'a ConnectionStats,
    /// Folders in which states may be saved and restored.
    pub state_places: &'a Places,
    /// The thread that closes what is large.
    pub closer: &'a Closer,
}

/// A reply to a control client.
#[derive(Debug)]
pub struct ControlReply {
    /// One line of JSON, with its newline.
    pub text: String,
    /// Action of the server once the line is queued.
    pub action: Option<ControlAction>,
}

/// An action that only the server can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlAction {
    /// Shut the server down.
    Shutdown,
    /// Send this client every event from now on.
    Subscribe,
    /// Take note that the slot was restored.
    Restored,
}

/// The result of a verb: the `ok` value and an optional action of the server, or the rest of its work.
#[derive(Debug)]
pub struct Done {
    value: Value,
    action: Option<ControlAction>,
    job: Option<Box<dyn Job>>,
}

impl From<Value> for Done {
    fn from(value: Value) -> Self {
        Self {
            value,
            action: None,
            job: None,
        }
    }
}

impl Done {
    /// Returns an empty result.
    fn silently() -> Self {
        Value::Object(Map::new()).into()
    }

    /// Returns an empty result with an action of the server.
    fn then(action: ControlAction) -> Self {
        Self {
            action: Some(action),
            ..Self::silently()
        }
    }

    /// Returns the result of a verb that is not finished.
    fn later(job: impl Job + 'static) -> Self {
        Self {
            job: Some(Box::new(job)),
            ..Self::silently()
        }
    }
}

/// Executes one line, given without its newline. The reply reports any error.
///
/// A verb that acts on the function leaves its outputs in the [`DeviceMut`]; the caller collects them.
#[must_use]
pub fn execute(line: &[u8], cx: &mut ControlContext<'_>) -> ControlReply {
    let mut began = begin(line, cx);
    loop {
        match began {
            Began::Done(reply) => return reply,
            Began::Unfinished(rest) => began = rest.step(cx),
        }
    }
}

/// Executes one line as [`execute`] does, but of a verb that is done in steps the first one only.
pub(crate) fn begin(line: &[u8], cx: &mut ControlContext<'_>) -> Began {
    let (id, request) = parse(line);
    let result = request.and_then(|verb| {
        if cx.device.is_frozen() && verb.acts() {
            return Err(if cx.device.is_held() {
                ControlError::Busy
            } else {
                ControlError::Stopped
            });
        }
        verb.apply(cx)
    });
    Began::new(id, result)
}

/// Returns the reply to a line that exceeds [`MAX_LINE`]. The caller closes the connection after it.
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

/// Splits a line into the client's id, which every reply carries, and the verb.
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
        // Serialising values, strings and string keys cannot fail; the fallback is a line, too.
        let mut line = serde_json::to_string(self).unwrap_or_else(|_| r#"{"id":null}"#.to_owned());
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests;
