//! The stream that a device is saved to.

use std::io::Write;

use pci_device_models::host::DeviceRef;
use pci_device_models::snapshot::memory::{self, Content, Memory, PAGE};
use pci_device_models::time::Time;

use super::record::{self, LABEL, STATE, VERSION};

/// A stream, as far as it has been made.
#[derive(Debug)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    /// Bytes of it that have been read.
    read: usize,
    /// The memory that is in it.
    sent: Memory,
    /// Nothing more is to come.
    complete: bool,
}

impl Outgoing {
    /// A stream that has its label and nothing else.
    pub(super) fn new(device: DeviceRef<'_>) -> Self {
        let mut label = device.label();
        if let Some(members) = label.as_object_mut() {
            members.insert("stream".to_owned(), VERSION.into());
        }
        let mut bytes = Vec::new();
        put_json(LABEL, &label, &mut bytes);
        Self {
            bytes,
            read: 0,
            sent: Memory::new(),
            complete: false,
        }
    }

    /// Adds the memory behind BARs as it is now, while the device runs on.
    pub(super) fn copy_ahead(&mut self, device: DeviceRef<'_>, now: Time) {
        self.sent = memory::take(&mut device.save(now));
        for (page, content) in &self.sent {
            record::put_memory(page.bar, content, &mut self.bytes);
        }
    }

    /// Adds all the rest.
    pub(super) fn complete(&mut self, device: DeviceRef<'_>, now: Time) {
        put_rest(&self.sent, device, now, &mut self.bytes);
        self.sent = Memory::new();
        self.complete = true;
    }

    /// The next bytes, `most` at most. Fewer are the end, or all that there are while the device
    /// runs on.
    pub(super) fn read(&mut self, most: usize) -> &[u8] {
        let rest = self.bytes.get(self.read..).unwrap_or_default();
        let piece = rest.get(..most).unwrap_or(rest);
        self.read += piece.len();
        piece
    }

    /// Bytes that are to be read until the end, if the device stopped now.
    pub(super) fn left(&self, device: DeviceRef<'_>, now: Time) -> u64 {
        let mut rest = Vec::new();
        if !self.complete {
            put_rest(&self.sent, device, now, &mut rest);
        }
        (self.bytes.len() - self.read + rest.len()) as u64
    }
}

/// Appends the memory that is not as it was `sent`, and the state.
fn put_rest(sent: &Memory, device: DeviceRef<'_>, now: Time, out: &mut Vec<u8>) {
    let mut tree = device.save(now);
    let memory = memory::take(&mut tree);
    for page in sent.keys().filter(|page| !memory.contains_key(page)) {
        let blank = Content {
            offset: page.number * PAGE,
            bytes: Vec::new(),
        };
        record::put_memory(page.bar, &blank, out);
    }
    for (page, content) in &memory {
        if sent.get(page) != Some(content) {
            record::put_memory(page.bar, content, out);
        }
    }
    put_json(STATE, &tree, out);
}

fn put_json(kind: u32, value: &serde_json::Value, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    record::put(kind, out, |out| write!(out, "{value}").unwrap_or_default());
}
