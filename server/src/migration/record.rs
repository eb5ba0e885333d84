//! The records of a stream: a kind, a length and a payload of that many bytes. Numbers are
//! little-endian; kind and length have 32 bits.
//!
//! | kind | payload | place |
//! |---|---|---|
//! | LABEL | JSON: the stream's version, and which device it is of | first, once |
//! | MEMORY | BAR (32 bits), offset in it (64 bits), bytes | any number; a later one replaces the whole page |
//! | STATE | JSON: the saved state without the memory behind BARs | last, once |

use pci_device_models::snapshot::memory::{Content, PAGE};

/// The version of the stream, told in the label.
pub(super) const VERSION: u64 = 1;

/// `DORM` in memory.
pub(super) const LABEL: u32 = 0x4d52_4f44;
pub(super) const MEMORY: u32 = 1;
pub(super) const STATE: u32 = 2;

/// Bytes before a payload.
pub(super) const HEAD: usize = 8;
/// Bytes of a MEMORY payload before the memory.
const PLACE: usize = 12;
/// Longest payload of a label that is looked at.
const MAX_LABEL: usize = 4096;

/// The longest payload that a record of that kind may have.
pub(super) const fn max_payload(kind: u32) -> Option<usize> {
    match kind {
        LABEL => Some(MAX_LABEL),
        MEMORY => Some(PLACE + PAGE as usize),
        STATE => Some(u32::MAX as usize),
        _ => None,
    }
}

/// Kind and length of the record that begins here, once they are there.
pub(super) fn head(bytes: &[u8]) -> Option<(u32, usize)> {
    let (kind, rest) = bytes.split_first_chunk()?;
    let (length, _) = rest.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    Some((u32::from_le_bytes(*kind), length))
}

/// Appends a record whose payload `fill` appends. Payloads have less than 4 GiB.
pub(super) fn put(kind: u32, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&kind.to_le_bytes());
    let length = out.len();
    out.extend_from_slice(&[0; 4]);
    let start = out.len();
    fill(out);
    let size = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(length..start) {
        place.copy_from_slice(&size.to_le_bytes());
    }
}

/// Appends a MEMORY record.
pub(super) fn put_memory(bar: u32, content: &Content, out: &mut Vec<u8>) {
    put(MEMORY, out, |out| {
        out.extend_from_slice(&bar.to_le_bytes());
        out.extend_from_slice(&content.offset.to_le_bytes());
        out.extend_from_slice(&content.bytes);
    });
}

/// Parses the payload of a MEMORY record.
pub(super) fn memory(payload: &[u8]) -> Option<(u32, Content)> {
    let (bar, rest) = payload.split_first_chunk()?;
    let (offset, bytes) = rest.split_first_chunk()?;
    let content = Content {
        offset: u64::from_le_bytes(*offset),
        bytes: bytes.to_vec(),
    };
    Some((u32::from_le_bytes(*bar), content))
}
