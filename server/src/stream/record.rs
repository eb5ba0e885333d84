//! The records of a stream: a kind, a length and a payload of that many bytes. Numbers are
//! little-endian; kind and length have 32 bits.
//!
//! | kind | payload | place |
//! |---|---|---|
//! | LABEL | JSON: the stream's version, and which device it is of | first, once |
//! | MEMORY | BAR (32 bits), offset in it (64 bits), bytes | any number; a later one replaces the whole page |
//! | STATE | JSON: the saved state without the memory behind BARs | last, once |

use pci_device_models::snapshot::memory::{PAGE, Page};

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
/// Longest payload of a label.
pub(super) const MAX_LABEL: usize = 4096;
/// Longest payload of a MEMORY record.
pub(super) const MAX_MEMORY: usize = PLACE + PAGE as usize;

/// Kind and length of the record that begins here, once they are there.
pub(super) fn head(bytes: &[u8]) -> Option<(u32, usize)> {
    let (kind, rest) = bytes.split_first_chunk()?;
    let (length, _) = rest.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    Some((u32::from_le_bytes(*kind), length))
}

/// Appends a record. Payloads have less than 4 GiB.
pub(super) fn put(kind: u32, payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(payload);
}

/// Appends a MEMORY record: these bytes at `offset` in the page, or zeros if there are none.
pub(super) fn put_memory(page: Page, offset: u64, bytes: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(PLACE + bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&MEMORY.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&page.bar.to_le_bytes());
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Returns the length of a MEMORY record with `len` bytes of memory.
pub(super) const fn memory_len(len: usize) -> u64 {
    (HEAD + PLACE + len) as u64
}

/// Parses the payload of a MEMORY record: the BAR, the offset in it, and the bytes.
pub(super) fn memory(payload: &[u8]) -> Option<(u32, u64, &[u8])> {
    let (bar, rest) = payload.split_first_chunk()?;
    let (offset, bytes) = rest.split_first_chunk()?;
    Some((u32::from_le_bytes(*bar), u64::from_le_bytes(*offset), bytes))
}
