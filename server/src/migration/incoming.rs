//! The stream that a device is restored from, as it arrives.
//!
//! The server validates each part as early as possible, so that the sender learns early of a stream that
//! does not fit.

use pci_device_models::host::DeviceRef;
use pci_device_models::snapshot::RestoreError;
use pci_device_models::snapshot::memory::{self, Memory};
use serde_json::Value;
use thiserror::Error;

use super::record::{self, HEAD, LABEL, MEMORY, STATE, VERSION};

/// Maximum bytes of a stream. The server keeps all of them until it restores the device.
pub(super) const MAX_STREAM: usize = 512 << 20;

/// An error of a stream.
#[derive(Debug, Error)]
pub(crate) enum StreamError {
    #[error("the stream has more than {MAX_STREAM} bytes")]
    TooLong,
    #[error("the stream is of another kind: it does not begin with a label")]
    NoLabel,
    #[error("the label of the stream is no JSON: {0}")]
    Label(serde_json::Error),
    #[error("the stream has version {0}; this program reads version {VERSION}")]
    Version(Value),
    #[error("a record of kind {0:#x} has no place here")]
    Order(u32),
    #[error("a record of kind {kind:#x} has {length} bytes, more than it may")]
    Length { kind: u32, length: usize },
    #[error("a record does not say which memory it is about, or crosses a page")]
    Memory,
    #[error("{0} bytes follow the end of the stream")]
    Surplus(usize),
    #[error("the stream ends early: {0} bytes came, but not its last record")]
    Truncated(usize),
    #[error("the state in the stream is no JSON: {0}")]
    State(serde_json::Error),
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// The received part of a stream.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// A record that is not complete.
    part: Vec<u8>,
    /// Bytes that have come.
    len: usize,
    labelled: bool,
    memory: Memory,
    /// The saved state without the memory.
    state: Option<Vec<u8>>,
}

impl Incoming {
    /// Takes the next bytes.
    pub(super) fn write(&mut self, device: DeviceRef<'_>, bytes: &[u8]) -> Result<(), StreamError> {
        self.len = self.len.saturating_add(bytes.len());
        if self.len > MAX_STREAM {
            return Err(StreamError::TooLong);
        }
        self.part.extend_from_slice(bytes);
        let mut part = std::mem::take(&mut self.part);
        let mut done = 0;
        while let Some(taken) = self.take(device, part.get(done..).unwrap_or_default())? {
            done += taken;
        }
        part.drain(..done);
        self.part = part;
        Ok(())
    }

    /// Takes the record that `part` begins with and says how long it is, if it is there.
    fn take(&mut self, device: DeviceRef<'_>, part: &[u8]) -> Result<Option<usize>, StreamError> {
        if self.state.is_some() && !part.is_empty() {
            return Err(StreamError::Surplus(part.len()));
        }
        let Some((kind, length)) = record::head(part) else {
            return Ok(None);
        };
        match kind {
            LABEL if !self.labelled => {}
            _ if !self.labelled => return Err(StreamError::NoLabel),
            MEMORY | STATE => {}
            kind => return Err(StreamError::Order(kind)),
        }
        if record::max_payload(kind).is_none_or(|max| length > max) {
            return Err(StreamError::Length { kind, length });
        }
        let end = HEAD + length;
        let Some(payload) = part.get(HEAD..end) else {
            return Ok(None);
        };
        match kind {
            LABEL => self.take_label(device, payload)?,
            MEMORY => self.take_memory(payload)?,
            _ => self.state = Some(payload.to_vec()),
        }
        Ok(Some(end))
    }

    fn take_label(&mut self, device: DeviceRef<'_>, payload: &[u8]) -> Result<(), StreamError> {
        let mut label: Value = serde_json::from_slice(payload).map_err(StreamError::Label)?;
        let members = label.as_object_mut();
        let version = members.and_then(|members| members.remove("stream"));
        match version {
            Some(version) if version == VERSION => device.check_label(&label)?,
            version => return Err(StreamError::Version(version.unwrap_or_default())),
        }
        self.labelled = true;
        Ok(())
    }

    fn take_memory(&mut self, payload: &[u8]) -> Result<(), StreamError> {
        let (bar, content) = record::memory(payload).ok_or(StreamError::Memory)?;
        let page = content.page(bar).ok_or(StreamError::Memory)?;
        if content.bytes.is_empty() {
            self.memory.remove(&page);
        } else {
            self.memory.insert(page, content);
        }
        Ok(())
    }

    /// The saved state, now that no more bytes come. `None`: none came at all.
    pub(super) fn finish(self) -> Result<Option<Value>, StreamError> {
        if self.len == 0 {
            return Ok(None);
        }
        let state = self.state.ok_or(StreamError::Truncated(self.len))?;
        let mut tree = serde_json::from_slice(&state).map_err(StreamError::State)?;
        memory::put(&mut tree, &self.memory)?;
        Ok(Some(tree))
    }
}
