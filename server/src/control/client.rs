//! A blocking client of the control socket.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use pci_device_models::violation::ViolationReport;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::clock::{Action, Clock};
use super::query::{Inspect, Status, Violations};
use super::session::Subscribe;
use super::{FunctionStatus, Verb};

/// Longest time that a server may take to answer. It answers at once if it lives.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest line of a server that is read, in bytes.
const MAX_LINE: u64 = 16 << 20;

/// A verb that did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlClientError {
    /// The server refused the verb.
    #[error("{message}")]
    Refused {
        /// The stable name of the error.
        kind: String,
        /// The description for people.
        message: String,
    },
    /// The server closed the connection.
    #[error("the server closed the control connection")]
    Closed,
    /// The socket failed, or the server did not answer in time.
    #[error("the control socket: {0}")]
    Socket(#[from] io::Error),
    /// The server's line is not JSON, or has none of the forms of a reply.
    #[error("the control socket sent a malformed line: {0}")]
    Malformed(String),
}

/// A connection to the control socket of a function.
///
/// Events that come before a reply are kept for [`Self::take_events`]. The server reports the events of
/// a request after its reply.
///
/// ```
/// use dormouse::control::Verb;
/// use dormouse::testing::Function;
///
/// let served = Function::profile("testdev").start()?;
/// let mut control = served.control()?;
/// assert_eq!(control.inspect("slot.rail")?, true);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ControlClient {
    lines: BufReader<UnixStream>,
    last_id: u64,
    events: VecDeque<Value>,
}

impl ControlClient {
    /// Connects to the control socket at `path`.
    ///
    /// # Errors
    /// Nothing listens there.
    pub fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self {
            lines: BufReader::new(stream),
            last_id: 0,
            events: VecDeque::new(),
        })
    }

    /// Has the server carry out a verb, and returns the `ok` value of the reply.
    ///
    /// # Errors
    /// The server refuses the verb, or another [`ControlClientError`].
    pub fn ask(&mut self, verb: &Verb) -> Result<Value, ControlClientError> {
        self.last_id += 1;
        let id = self.last_id;
        let mut request = json!({ "id": id });
        if let (Value::Object(request), Value::Object(verb)) = (&mut request, json!(verb)) {
            request.extend(verb);
        }
        writeln!(self.lines.get_mut(), "{request}")?;
        loop {
            let line = self.line()?;
            if line.contains_key("event") {
                self.events.push_back(Value::Object(line));
            } else {
                return answer(line, id);
            }
        }
    }

    /// Returns the status of the function.
    ///
    /// # Errors
    /// See [`ControlClientError`].
    pub fn status(&mut self) -> Result<FunctionStatus, ControlClientError> {
        read(self.ask(&Verb::Status(Status {}))?)
    }

    /// Returns the counts of violations and the last records.
    ///
    /// # Errors
    /// See [`ControlClientError`].
    pub fn violations(&mut self) -> Result<ViolationReport, ControlClientError> {
        read(self.ask(&Verb::Violations(Violations {}))?)
    }

    /// Returns the part of the function's state at `path`; an empty path is all of it.
    ///
    /// # Errors
    /// The path leads nowhere, or another [`ControlClientError`].
    pub fn inspect(&mut self, path: &str) -> Result<Value, ControlClientError> {
        let path = Some(path.to_owned());
        self.ask(&Verb::Inspect(Inspect { path }))
    }

    /// Moves the server's clock forward.
    ///
    /// # Errors
    /// See [`ControlClientError`].
    pub fn advance(&mut self, span: Duration) -> Result<(), ControlClientError> {
        let clock = Clock {
            action: Action::Advance,
            duration: span.into(),
        };
        self.ask(&Verb::Clock(clock)).map(drop)
    }

    /// Asks for every event from now on.
    ///
    /// # Errors
    /// See [`ControlClientError`].
    pub fn subscribe(&mut self) -> Result<(), ControlClientError> {
        self.ask(&Verb::Subscribe(Subscribe {})).map(drop)
    }

    /// Returns the events that came before the last reply, and forgets them.
    pub fn take_events(&mut self) -> Vec<Value> {
        self.events.drain(..).collect()
    }

    fn line(&mut self) -> Result<Map<String, Value>, ControlClientError> {
        let mut line = String::new();
        if (&mut self.lines).take(MAX_LINE).read_line(&mut line)? == 0 {
            return Err(ControlClientError::Closed);
        }
        serde_json::from_str(&line)
            .map_err(|error| ControlClientError::Malformed(error.to_string()))
    }
}

/// Reads the typed form of a value.
fn read<T: DeserializeOwned>(value: Value) -> Result<T, ControlClientError> {
    T::deserialize(value).map_err(|error| ControlClientError::Malformed(error.to_string()))
}

/// Returns the value of a reply to the request `id`.
fn answer(mut reply: Map<String, Value>, id: u64) -> Result<Value, ControlClientError> {
    if reply.get("id").and_then(Value::as_u64) != Some(id) {
        return Err(ControlClientError::Malformed(
            "it is a reply to another request".to_owned(),
        ));
    }
    if let Some(value) = reply.remove("ok") {
        return Ok(value);
    }
    let error = reply.get("error");
    let text = |key: &str| {
        error
            .and_then(|error| error.get(key))
            .and_then(Value::as_str)
    };
    match (text("kind"), text("message")) {
        (Some(kind), Some(message)) => Err(ControlClientError::Refused {
            kind: kind.to_owned(),
            message: message.to_owned(),
        }),
        _ => Err(ControlClientError::Malformed(
            "it has neither ok nor error".to_owned(),
        )),
    }
}
