//! `dormouse ctl`: sends a verb to a running server and prints the answer as text or JSON.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::control::Verb;
use anyhow::{Context, anyhow};
use serde_json::{Map, Value, json};

use super::args::CtlArguments;
use super::failure::Failure;
use super::{paths, render};

/// Time limit for the server's answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn run(arguments: CtlArguments) -> Result<(), Failure> {
    let CtlArguments {
        ctl_path,
        json,
        verb,
    } = arguments;
    let path = ctl_path.unwrap_or_else(|| paths::control("testdev"));
    let stream = UnixStream::connect(&path).map_err(|error| {
        Failure::Socket(format!("no server answers on {}: {error}", path.display()))
    })?;
    let streams = matches!(verb, Verb::Subscribe(_));
    let mut lines = ask(&stream, &verb)?;
    let reply = next_line(&mut lines)?.context("the server closed the connection")?;
    let value = unpack(&reply, json)?;
    if json {
        super::print(reply)?;
    } else {
        super::print(render::answer(&verb, &value))?;
    }
    if streams {
        stream
            .set_read_timeout(None)
            .context("waiting for events")?;
        while let Some(line) = next_line(&mut lines)? {
            if json {
                super::print(line)?;
            } else {
                super::print(render::event(&line))?;
            }
        }
    }
    Ok(())
}

/// Sends the request. The next line from the server is its reply.
fn ask<'a>(stream: &'a UnixStream, verb: &Verb) -> anyhow::Result<BufReader<&'a UnixStream>> {
    let mut request = json!({ "id": 1 });
    if let (Value::Object(request), Value::Object(verb)) = (&mut request, json!(verb)) {
        request.extend(verb);
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut to_server = stream;
    to_server
        .write_all(format!("{request}\n").as_bytes())
        .context("sending the request")?;
    Ok(BufReader::new(stream))
}

/// Returns the next line with its newline, or `None` at the end of the stream.
fn next_line(lines: &mut impl BufRead) -> anyhow::Result<Option<String>> {
    let mut line = String::new();
    let length = lines
        .read_line(&mut line)
        .context("waiting for the server's answer")?;
    Ok((length != 0).then_some(line))
}

/// Returns the `ok` value of a reply. With `json`, prints an error reply unchanged.
fn unpack(reply: &str, json: bool) -> Result<Value, Failure> {
    let parsed: Map<String, Value> =
        serde_json::from_str(reply).context("the server's answer is not a JSON object")?;
    if let Some(value) = parsed.get("ok") {
        return Ok(value.clone());
    }
    if json {
        super::print(reply)?;
    }
    let message = parsed.get("error").and_then(|error| error.get("message"));
    Err(match message.and_then(Value::as_str) {
        Some(message) => anyhow!("{message}"),
        None => anyhow!(
            "the server's answer has neither ok nor error: {}",
            reply.trim_end()
        ),
    }
    .into())
}
