//! The memory behind a BAR.

use std::any::Any;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::snapshot::memory::PAGE;
use crate::snapshot::{RestoreError, hex, unhex};

/// The bytes behind a BAR that has memory.
///
/// Accesses lie inside. Bytes outside are cut off.
///
/// Memory that clients can map follows [`Self::set_visible`], [`Self::reset`] and [`Self::unshare`]
/// in steps: [`Self::advance`] does a bounded part of the work. [`Self::read`] and [`Self::write`]
/// reach the right bytes at every moment, however far the work has come.
pub trait BarMemory: fmt::Debug + Send + Any {
    /// Copies bytes out.
    fn read(&self, offset: u64, data: &mut [u8]);

    /// Copies bytes in.
    fn write(&mut self, offset: u64, data: &[u8]);

    /// Sets the size and clears all bytes to zero.
    fn reset(&mut self, size: u64);

    /// Returns whether every byte is known to read zero without a scan.
    fn is_blank(&self) -> bool {
        false
    }

    /// Sets whether clients that have the memory mapped may touch it. [`Self::read`] and
    /// [`Self::write`] reach the same bytes either way.
    fn set_visible(&mut self, visible: bool) {
        let _ = visible;
    }

    /// Parts the memory from all clients that have mapped it: they never see or change it again.
    fn unshare(&mut self) {}

    /// Returns whether clients that have the memory mapped find what they should, so that
    /// [`Self::advance`] has no work to do.
    fn is_settled(&self) -> bool {
        true
    }

    /// Works towards [`Self::is_settled`] and takes the bytes that were moved from `budget`. It
    /// stops when the budget is used up, and may exceed it by one small piece.
    fn advance(&mut self, budget: &mut u64) {
        let _ = budget;
    }
}

/// Memory that no client can map. It is allocated when a byte is stored, since many functions never
/// use theirs.
#[derive(Debug, Default)]
pub struct PrivateMemory {
    bytes: Vec<u8>,
    size: usize,
}

impl PrivateMemory {
    /// Creates memory of `size` bytes that read zero.
    #[must_use]
    pub fn new(size: u64) -> Self {
        let mut memory = Self::default();
        memory.reset(size);
        memory
    }
}

impl BarMemory for PrivateMemory {
    fn read(&self, offset: u64, data: &mut [u8]) {
        read_bytes(&self.bytes, offset, data);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let Ok(start) = usize::try_from(offset) else {
            return;
        };
        let end = start.saturating_add(data.len()).min(self.size);
        if self.bytes.len() < end {
            self.bytes = vec![0; self.size];
        }
        if let Some(to) = self.bytes.get_mut(start..end) {
            to.copy_from_slice(data.get(..end - start).unwrap_or_default());
        }
    }

    fn is_blank(&self) -> bool {
        self.bytes.is_empty()
    }

    fn reset(&mut self, size: u64) {
        self.bytes = Vec::new();
        self.size = usize::try_from(size).unwrap_or(usize::MAX);
    }
}

/// Number of bytes that are compared at once when memory is saved or copied.
const PIECE: usize = PAGE as usize;

/// A run of bytes whose first and last are not zero, and its offset.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    offset: u64,
    bytes: String,
}

/// Calls `each` for the runs of `size` bytes that are not zero, in ascending order.
fn for_runs(memory: &dyn BarMemory, size: u64, mut each: impl FnMut(u64, &[u8])) {
    if memory.is_blank() {
        return;
    }
    let mut buffer = [0; PIECE];
    for offset in (0..size).step_by(PIECE) {
        let len = usize::try_from(size - offset).map_or(PIECE, |left| left.min(PIECE));
        let piece = buffer.get_mut(..len).unwrap_or_default();
        memory.read(offset, piece);
        let first = piece.iter().position(|byte| *byte != 0);
        let last = piece.iter().rposition(|byte| *byte != 0);
        if let (Some(first), Some(last)) = (first, last) {
            let run = piece.get(first..=last).unwrap_or_default();
            each(offset + first as u64, run);
        }
    }
}

/// Copies the first `size` bytes from one memory to another, which reads zero.
pub(super) fn copy(from: &dyn BarMemory, to: &mut dyn BarMemory, size: u64) {
    for_runs(from, size, |offset, bytes| to.write(offset, bytes));
}

pub(super) fn save_memory(memory: &dyn BarMemory, size: u64) -> Vec<Run> {
    let mut runs = Vec::new();
    for_runs(memory, size, |offset, bytes| {
        let bytes = hex(bytes);
        runs.push(Run { offset, bytes });
    });
    runs
}

/// Fills `memory` of `size` bytes with `runs`, and zeros elsewhere. `at` is the place of the runs
/// in the tree.
pub(super) fn restore_memory(
    at: &str,
    memory: &mut dyn BarMemory,
    size: u64,
    runs: &[Run],
) -> Result<(), RestoreError> {
    memory.reset(size);
    for Run { offset, bytes } in runs {
        let bytes = unhex(at, bytes)?;
        let end = offset.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > size) {
            let reason = format!("the bytes at {offset:#x} are outside the BAR of {size:#x}");
            return Err(RestoreError::part(at, reason));
        }
        memory.write(*offset, &bytes);
    }
    Ok(())
}

/// Reads from `memory` at `offset`. Bytes beyond its end read zero.
pub(super) fn read_bytes(memory: &[u8], offset: u64, data: &mut [u8]) {
    let from = usize::try_from(offset)
        .ok()
        .and_then(|offset| memory.get(offset..))
        .unwrap_or_default();
    let len = from.len().min(data.len());
    let (copied, rest) = data.split_at_mut(len);
    copied.copy_from_slice(&from[..len]);
    rest.fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_written_reads_zero() {
        let mut memory = PrivateMemory::new(0x100);
        let mut data = [9; 4];
        memory.read(0xfe, &mut data);
        assert_eq!(data, [0; 4]);
        memory.write(0xfe, &[1, 2, 3]);
        memory.read(0xfd, &mut data);
        assert_eq!(data, [0, 1, 2, 0], "the third byte is outside");
        memory.reset(0x200);
        memory.write(0x1ff, &[7]);
        memory.read(0xfe, &mut data);
        assert_eq!(data, [0; 4]);
        memory.read(0x1ff, &mut data[..1]);
        assert_eq!(data[0], 7);
    }
}
