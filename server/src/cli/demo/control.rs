//! A control client that keeps the events between its replies.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::PATIENCE;

/// A subscribed control client.
pub struct Control {
    lines: BufReader<UnixStream>,
    events: Vec<Event>,
}

/// What `status` says, as far as the walk shows it.
#[derive(Debug, Deserialize)]
pub struct Status {
    pub nanos: u64,
    pub power_state: String,
    pub runtime_usage: u32,
    pub opens: u32,
}

/// The events that the walk shows.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The power state changed.
    DState { to: String },
    /// The wake signal changed.
    Wake { asserted: bool },
    /// The client was told of a wake-up.
    Wakeup,
    /// Anything else.
    #[serde(other)]
    Other,
}

impl Control {
    pub fn connect(path: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut control = Self {
            lines: BufReader::new(stream),
            events: Vec::new(),
        };
        control.ask(json!({ "verb": "subscribe" }))?;
        Ok(control)
    }

    pub fn status(&mut self) -> anyhow::Result<Status> {
        let status = self.ask(json!({ "verb": "status" }))?;
        Ok(Status::deserialize(status)?)
    }

    /// Whether this happened since events were taken last, as of the last reply.
    pub fn has_seen(&self, event: &Event) -> bool {
        self.events.contains(event)
    }

    /// What happened since this was asked last, as of the last reply.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Sends a request and gives the `ok` value of its reply.
    pub fn ask(&mut self, request: Value) -> anyhow::Result<Value> {
        writeln!(self.lines.get_mut(), "{request}")?;
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line)? == 0 {
                bail!("the server closed the control connection");
            }
            let mut line: Value = serde_json::from_str(&line)?;
            if line.get("event").is_some() {
                self.events.push(Event::deserialize(line)?);
                continue;
            }
            return line
                .get_mut("ok")
                .map(Value::take)
                .with_context(|| format!("the control socket answers {request} with {line}"));
        }
    }
}
