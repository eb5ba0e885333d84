//! A client of the control socket: it sends and receives lines of JSON.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use dormouse::control::Verb;
use serde_json::{Value, json};

use crate::raw::PATIENCE;

/// A connection to the control socket of a function.
#[derive(Debug)]
pub struct Control {
    lines: BufReader<UnixStream>,
    last_id: u64,
    events: VecDeque<Value>,
}

impl Control {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// No server listens at `path`.
    pub fn connect(path: &Path) -> Result<Self> {
        Self::waiting(path, PATIENCE)
    }

    /// Connects to the socket at `path` as a client that waits `patience` for a line.
    ///
    /// # Errors
    /// No server listens at `path`.
    pub fn waiting(path: &Path, patience: Duration) -> Result<Self> {
        let stream = UnixStream::connect(path).with_context(|| path.display().to_string())?;
        stream.set_read_timeout(Some(patience))?;
        Ok(Self {
            lines: BufReader::new(stream),
            last_id: 0,
            events: VecDeque::new(),
        })
    }

    /// Performs a verb, given with its arguments in their order: `["rail", "off"]`. Options follow
    /// them: `["fail-resume", "EIO", "--times=3"]`.
    ///
    /// # Errors
    /// The verb does not exist or has fewer arguments, or the server refuses it or does not answer.
    pub fn command(&mut self, words: &[&str]) -> Result<Value> {
        let (verb, given) = words.split_first().context("there is no verb")?;
        let known = Verb::all().iter().find(|known| known.verb == *verb);
        let known = known.with_context(|| format!("there is no verb {verb}"))?;
        let arguments = known.arguments.iter();
        let in_order = arguments.filter(|argument| argument.option.is_none());
        let names: Vec<&str> = in_order.map(|argument| argument.name.as_str()).collect();
        let options = given.iter().position(|word| word.starts_with("--"));
        let (given, options) = given.split_at(options.unwrap_or(given.len()));
        ensure!(given.len() <= names.len(), "{verb} takes {names:?}");
        let mut request = json!({ "verb": verb });
        for (name, value) in names.iter().zip(given) {
            request[name] = number_or_text(value);
        }
        for option in options.iter().map(|option| option.trim_start_matches('-')) {
            match option.split_once('=') {
                Some((name, value)) => request[name] = number_or_text(value),
                None => request[option] = true.into(),
            }
        }
        self.request(request)
    }

    /// Sends an object, to which an id is added, and receives the `ok` value of its reply. Earlier
    /// events are kept.
    ///
    /// # Errors
    /// The server refuses it or does not answer.
    pub fn request(&mut self, mut request: Value) -> Result<Value> {
        self.last_id += 1;
        request["id"] = self.last_id.into();
        writeln!(self.lines.get_mut(), "{request}")?;
        loop {
            let mut line = self.receive()?;
            if line.get("event").is_some() {
                self.events.push_back(line);
                continue;
            }
            ensure!(
                line["id"] == self.last_id,
                "{line} is no reply to {request}"
            );
            return match line.get_mut("ok") {
                Some(value) => Ok(value.take()),
                None => bail!("{request} was refused: {}", line["error"]),
            };
        }
    }

    /// Returns the events that were reported since the last call. The server reports past events
    /// before it answers the next request.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn events(&mut self) -> Result<Vec<Value>> {
        self.command(&["status"])?;
        Ok(self.events.drain(..).collect())
    }

    /// Receives one line of any kind.
    ///
    /// # Errors
    /// The server sends nothing, or a line that is not JSON.
    pub fn receive(&mut self) -> Result<Value> {
        let mut line = String::new();
        let count = self.lines.read_line(&mut line).context("no line")?;
        ensure!(count != 0, "the control socket was closed");
        serde_json::from_str(&line).with_context(|| format!("{line:?} is no JSON"))
    }
}

fn number_or_text(word: &str) -> Value {
    match word.parse::<u64>() {
        Ok(number) => number.into(),
        Err(_) => word.into(),
    }
}
