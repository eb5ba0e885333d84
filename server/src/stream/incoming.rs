//! The stream that a device is restored from, as it arrives.
//!
//! The server validates each part as early as possible, so that the sender learns early of a stream that
//! does not fit. Of the memory, each page is held once; of the rest, a record that is not complete.

use pci_device_models::function::{ImageError, MemoryImage};
use pci_device_models::host::DeviceRef;
use pci_device_models::snapshot::RestoreError;
use pci_device_models::time::Time;
use serde_json::Value;
use thiserror::Error;
use vfio_user_protocol::Errno;

use super::json_cost::JsonCost;
use super::record::{self, HEAD, LABEL, MAX_LABEL, MAX_MEMORY, MEMORY, STATE, VERSION};

/// An error of a stream.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum StreamError {
    #[error("it has {bytes} bytes or more; a saved state of this device has {limit} at most")]
    TooLong { bytes: u64, limit: u64 },
    #[error("it does not begin with the label of a saved state; {0}")]
    NoLabel(&'static str),
    #[error("the label is no JSON: {0}")]
    Label(serde_json::Error),
    #[error("it has version {0}; this program reads version {VERSION}")]
    Version(Value),
    #[error("a record of kind {0:#x} has no place here")]
    Order(u32),
    #[error("a record of kind {kind:#x} has {length} bytes; it may have {limit} at most")]
    Length {
        kind: u32,
        length: usize,
        limit: usize,
    },
    #[error(
        "the state has {values} JSON values or more; a state of this device has {limit} at most"
    )]
    Values { values: usize, limit: usize },
    #[error("a memory record of {0} bytes does not say which memory it is about")]
    Memory(usize),
    #[error(transparent)]
    Page(#[from] ImageError),
    #[error("{0} bytes follow its end")]
    Surplus(usize),
    #[error("it ends early: {0} bytes came, but not its last record")]
    Truncated(u64),
    #[error("its state is no JSON: {0}")]
    State(serde_json::Error),
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

impl StreamError {
    /// Returns the error number for the reply.
    pub(crate) const fn errno(&self) -> Errno {
        match self {
            Self::TooLong { .. } | Self::Values { .. } | Self::Length { kind: STATE, .. } => {
                Errno::EFBIG
            }
            Self::Page(ImageError::NoMemory { .. }) => Errno::ENOMEM,
            _ => Errno::EINVAL,
        }
    }
}

/// The most that a saved state of a device may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamLimits {
    /// Bytes of the stream.
    bytes: u64,
    /// Bytes and values of the state.
    state: JsonCost,
}

impl StreamLimits {
    /// Least limits for the state: whatever the device, this much is taken.
    const LEAST: JsonCost = JsonCost {
        bytes: 256 << 10,
        values: 16 << 10,
    };
    /// Limits for the state whatever the device.
    const MOST: JsonCost = JsonCost {
        bytes: 8 << 20,
        values: 256 << 10,
    };
    /// Limits as a multiple of the present state of the device.
    const FACTOR: usize = 4;

    /// Returns the limits for a device, of which the present state is part.
    pub(crate) fn of(device: DeviceRef<'_>) -> Self {
        let now = JsonCost::of(device.save_state(Time::ZERO).to_string().as_bytes());
        let limit = |now: usize, least, most| now.saturating_mul(Self::FACTOR).clamp(least, most);
        let state = JsonCost {
            bytes: limit(now.bytes, Self::LEAST.bytes, Self::MOST.bytes),
            values: limit(now.values, Self::LEAST.values, Self::MOST.values),
        };
        // While a device runs on, each page may be sent, and again when it has stopped.
        let pages = MemoryImage::capacity(device.function()).saturating_mul(2);
        let memory = pages.saturating_mul((HEAD + MAX_MEMORY) as u64);
        Self {
            bytes: memory.saturating_add((2 * HEAD + MAX_LABEL + state.bytes) as u64),
            state,
        }
    }

    /// Refuses a stream of this many bytes if it is longer than any of the device.
    ///
    /// # Errors
    /// [`StreamError::TooLong`].
    pub(crate) const fn check(&self, bytes: u64) -> Result<(), StreamError> {
        let limit = self.bytes;
        if bytes > limit {
            return Err(StreamError::TooLong { bytes, limit });
        }
        Ok(())
    }

    /// Returns the most bytes of a stream.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the longest payload that a record of this kind may have.
    const fn of_record(&self, kind: u32) -> usize {
        match kind {
            LABEL => MAX_LABEL,
            MEMORY => MAX_MEMORY,
            _ => self.state.bytes,
        }
    }
}

/// The received part of a stream.
#[derive(Debug)]
pub(crate) struct Incoming {
    limits: StreamLimits,
    /// A record that is not complete.
    part: Vec<u8>,
    /// Bytes that have come.
    len: u64,
    labelled: bool,
    image: MemoryImage,
    /// The saved state without the memory.
    state: Option<Vec<u8>>,
}

/// The outcome of taking some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Records that they complete.
    pub(crate) records: u32,
    /// Bytes of them that follow the end of the stream.
    pub(crate) left: usize,
}

/// The content of a complete stream.
#[derive(Debug)]
pub(crate) struct Restored {
    /// The saved state without the memory.
    pub(crate) state: Value,
    /// The memory.
    pub(crate) image: MemoryImage,
}

impl Incoming {
    /// Creates the receiver of a stream for this device.
    pub(crate) fn new(device: DeviceRef<'_>) -> Self {
        Self {
            limits: StreamLimits::of(device),
            part: Vec::new(),
            len: 0,
            labelled: false,
            image: MemoryImage::new(device.function()),
            state: None,
        }
    }

    /// Returns the bytes that are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let state = self.state.as_ref().map_or(0, Vec::len);
        self.part.capacity() + state + self.image.held() as usize
    }

    /// Returns the place of the record that is not complete.
    #[cfg(test)]
    pub(super) fn place(&self) -> *const u8 {
        self.part.as_ptr()
    }

    /// Takes the next bytes, after which the stream may not go on. Returns the number of records that they
    /// complete.
    ///
    /// # Errors
    /// The stream is of no use.
    pub(crate) fn write(
        &mut self,
        device: DeviceRef<'_>,
        bytes: &[u8],
    ) -> Result<u32, StreamError> {
        self.limits
            .check(self.len.saturating_add(bytes.len() as u64))?;
        match self.write_some(device, bytes)? {
            Taken { records, left: 0 } => Ok(records),
            Taken { left, .. } => Err(StreamError::Surplus(left)),
        }
    }

    /// Takes the next bytes, up to the end of the stream.
    ///
    /// # Errors
    /// The stream is of no use.
    pub(crate) fn write_some(
        &mut self,
        device: DeviceRef<'_>,
        bytes: &[u8],
    ) -> Result<Taken, StreamError> {
        if self.state.is_some() {
            return Ok(Taken {
                records: 0,
                left: bytes.len(),
            });
        }
        self.len = self.len.saturating_add(bytes.len() as u64);
        let mut part = std::mem::take(&mut self.part);
        let is_new = part.is_empty();
        let mut rest = if is_new {
            bytes
        } else {
            part.extend_from_slice(bytes);
            &part
        };
        let before = rest.len();
        let mut records = 0;
        while let Some(taken) = self.take(device, rest)? {
            rest = rest.get(taken..).unwrap_or_default();
            records += 1;
            if self.state.is_some() {
                let left = rest.len();
                self.len = self.len.saturating_sub(left as u64);
                self.limits.check(self.len)?;
                return Ok(Taken { records, left });
            }
        }
        self.part = if is_new || rest.len() < before {
            // With no more room than it needs.
            rest.to_vec()
        } else {
            part
        };
        if let Some((_, length)) = record::head(&self.part) {
            // However small the pieces are in which a record comes, each is copied once.
            let missing = (HEAD + length).saturating_sub(self.part.len());
            self.part.reserve_exact(missing);
        }
        self.limits.check(self.len)?;
        Ok(Taken { records, left: 0 })
    }

    /// Takes the record that `part` begins with and says how long it is, if it is there.
    fn take(&mut self, device: DeviceRef<'_>, part: &[u8]) -> Result<Option<usize>, StreamError> {
        let Some((kind, length)) = record::head(part) else {
            return Ok(None);
        };
        match kind {
            LABEL if !self.labelled => {}
            _ if !self.labelled => return Err(StreamError::NoLabel(hint(part))),
            MEMORY | STATE => {}
            kind => return Err(StreamError::Order(kind)),
        }
        let limit = self.limits.of_record(kind);
        if length > limit {
            return Err(StreamError::Length {
                kind,
                length,
                limit,
            });
        }
        let end = HEAD + length;
        let Some(payload) = part.get(HEAD..end) else {
            return Ok(None);
        };
        match kind {
            LABEL => self.take_label(device, payload)?,
            MEMORY => self.take_memory(payload)?,
            _ => self.take_state(payload)?,
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
        let memory = record::memory(payload);
        let (bar, offset, bytes) = memory.ok_or(StreamError::Memory(payload.len()))?;
        self.image.set_page(bar, offset, bytes)?;
        Ok(())
    }

    fn take_state(&mut self, payload: &[u8]) -> Result<(), StreamError> {
        let JsonCost { values, .. } = JsonCost::of(payload);
        let limit = self.limits.state.values;
        if values > limit {
            return Err(StreamError::Values { values, limit });
        }
        self.state = Some(payload.to_vec());
        Ok(())
    }

    /// Returns the content, now that no more bytes come. `None`: none came at all.
    ///
    /// # Errors
    /// The stream is of no use.
    pub(crate) fn finish(self) -> Result<Option<Restored>, StreamError> {
        if self.len == 0 {
            return Ok(None);
        }
        self.finish_all().map(Some)
    }

    /// As [`Self::finish`], for a stream that must not be empty.
    ///
    /// # Errors
    /// The stream is of no use.
    pub(crate) fn finish_all(self) -> Result<Restored, StreamError> {
        if !self.labelled {
            return Err(StreamError::NoLabel(hint(&self.part)));
        }
        let state = self.state.ok_or(StreamError::Truncated(self.len))?;
        Ok(Restored {
            state: serde_json::from_slice(&state).map_err(StreamError::State)?,
            image: self.image,
        })
    }
}

/// Says what may be the matter with something that begins without a label.
fn hint(part: &[u8]) -> &'static str {
    if part.first() == Some(&b'{') {
        "it may be of an earlier version of this program, whose states were JSON: save the device anew"
    } else {
        "save the device anew"
    }
}
