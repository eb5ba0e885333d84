//! The capability text: `{"capabilities": {…}}`.
//!
//! Members that are not known are ignored, as the specification asks; those that are known must
//! have the right type and a value that can mean something.

use std::ops::RangeInclusive;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Capabilities, MAX_TEXT, Migration, TwinSocket};
use crate::command::Subject;
use crate::error::MessageError;
use crate::wire::Put;

const CAPABILITIES: &str = "capabilities";
/// More descriptors in one message than any kernel passes.
const MAX_MSG_FDS: u64 = 1024;

/// The text's outer object.
#[derive(Serialize)]
struct Document<'a> {
    capabilities: &'a Capabilities,
}

/// Appends the text with its NUL.
pub(super) fn encode(capabilities: &Capabilities, out: &mut Vec<u8>) {
    out.put(text(capabilities).as_bytes());
    out.put(&[0]);
}

/// Bytes in the text, NUL included.
pub(super) fn text_size(capabilities: &Capabilities) -> usize {
    text(capabilities).len() + 1
}

/// The text without its NUL.
fn text(capabilities: &Capabilities) -> String {
    // Serialising fails only for maps with keys that are no strings and for writers that fail;
    // neither is here.
    serde_json::to_string(&Document { capabilities }).unwrap_or_default()
}

/// Reads the text with its NUL. No bytes at all are no text; a text without a `capabilities` member
/// names none.
pub(super) fn parse(subject: Subject, bytes: &[u8]) -> Result<Option<Capabilities>, MessageError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let members = Members {
        subject,
        path: "the text",
        map: &parse_text(subject, bytes)?,
    };
    match members.object(CAPABILITIES)? {
        Some(members) => members.capabilities().map(Some),
        None => Ok(Some(Capabilities::default())),
    }
}

fn parse_text(subject: Subject, bytes: &[u8]) -> Result<Map<String, Value>, MessageError> {
    let error = |reason| MessageError::Json { subject, reason };
    if bytes.len() > MAX_TEXT {
        return Err(error(format!(
            "the text is {} bytes long, it has to be at most {MAX_TEXT}",
            bytes.len()
        )));
    }
    let Some((0, _)) = bytes.split_last() else {
        return Err(error("the text has no NUL at its end".into()));
    };
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    let text = bytes.get(..end).unwrap_or_default();
    let value = serde_json::from_slice(text)
        .map_err(|cause| error(format!("the text is not JSON: {cause}")))?;
    match value {
        Value::Object(map) => Ok(map),
        other => Err(error(format!(
            "the text is {}, it has to be an object",
            kind(&other)
        ))),
    }
}

/// An object and where it stands, for errors to name.
struct Members<'a> {
    subject: Subject,
    path: &'static str,
    map: &'a Map<String, Value>,
}

impl<'a> Members<'a> {
    fn capabilities(&self) -> Result<Capabilities, MessageError> {
        let max_msg_fds = self.number("max_msg_fds", 0..=MAX_MSG_FDS)?;
        Ok(Capabilities {
            max_msg_fds: max_msg_fds.and_then(|number| u32::try_from(number).ok()),
            max_data_xfer_size: self.number("max_data_xfer_size", 1..=u64::MAX)?,
            max_dma_maps: self.number("max_dma_maps", 0..=u64::MAX)?,
            pgsizes: self.number("pgsizes", 0..=u64::MAX)?,
            twin_socket: self
                .object("twin_socket")?
                .map(|members| members.twin_socket())
                .transpose()?,
            write_multiple: self.boolean("write_multiple")?,
            sparse_mmap_fds: self.boolean("sparse_mmap_fds")?,
            migration: self
                .object("migration")?
                .map(|members| members.migration())
                .transpose()?,
            pm_dialects: self.strings("pm_dialects")?,
        })
    }

    fn twin_socket(&self) -> Result<TwinSocket, MessageError> {
        let fd_index = self.number("fd_index", 0..=u32::MAX.into())?;
        Ok(TwinSocket {
            supported: self.boolean("supported")?.unwrap_or(false),
            fd_index: fd_index.and_then(|number| u32::try_from(number).ok()),
        })
    }

    fn migration(&self) -> Result<Migration, MessageError> {
        let pgsize = self.number("pgsize", 0..=u64::MAX)?;
        if let Some(pgsize) = pgsize.filter(|pgsize| !pgsize.is_power_of_two()) {
            return Err(self.error("pgsize", pgsize, "a power of two"));
        }
        Ok(Migration {
            pgsize,
            max_bitmap_size: self.number("max_bitmap_size", 0..=u64::MAX)?,
        })
    }

    fn object(&self, name: &'static str) -> Result<Option<Members<'a>>, MessageError> {
        self.member(name, "an object", |value| {
            value.as_object().map(|map| Members {
                subject: self.subject,
                path: name,
                map,
            })
        })
    }

    fn boolean(&self, name: &str) -> Result<Option<bool>, MessageError> {
        self.member(name, "true or false", Value::as_bool)
    }

    fn strings(&self, name: &str) -> Result<Option<Vec<String>>, MessageError> {
        let string = |value: &Value| value.as_str().map(str::to_owned);
        self.member(name, "an array of strings", |value| {
            value.as_array()?.iter().map(string).collect()
        })
    }

    fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, MessageError> {
        let number = self.member(name, "an integer from 0 to 2^64 - 1", Value::as_u64)?;
        match number {
            Some(number) if !range.contains(&number) => Err(self.error(
                name,
                number,
                &format!("from {} to {}", range.start(), range.end()),
            )),
            number => Ok(number),
        }
    }

    /// The member of this name as `read` takes it.
    fn member<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, MessageError> {
        match self.map.get(name) {
            None => Ok(None),
            Some(value) => match read(value) {
                Some(read) => Ok(Some(read)),
                None => Err(self.error(name, kind(value), expected)),
            },
        }
    }

    fn error(&self, name: &str, actual: impl std::fmt::Display, expected: &str) -> MessageError {
        let reason = format!(
            "{name} in {} is {actual}, it has to be {expected}",
            self.path
        );
        MessageError::Json {
            subject: self.subject,
            reason,
        }
    }
}

/// Describes a value for an error message, without a peer's text, which must not reach a log.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(_) => "a string".into(),
        Value::Array(_) => "an array".into(),
        Value::Object(_) => "an object".into(),
    }
}
