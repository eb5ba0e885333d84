//! The memory behind a BAR.

use std::any::Any;
use std::collections::TryReserveError;
use std::fmt;
use std::hint::black_box;

use serde::{Deserialize, Serialize};

use super::release::Release;
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

    /// Returns the offset of the first page at or after the page of `from` that may have a byte that is
    /// not zero, as far as that is known without a scan.
    fn next_page(&self, from: u64) -> Option<u64> {
        (!self.is_blank()).then(|| from - from % PAGE)
    }

    /// Returns the number of bytes, of `size`, in pages that may have a byte that is not zero, as far as
    /// that is known without a scan.
    fn held(&self, size: u64) -> u64 {
        if self.is_blank() { 0 } else { size }
    }

    /// Takes over `memory` of the same size in place of all bytes, without a copy.
    ///
    /// # Errors
    /// Returns `memory` if its bytes have to be copied instead.
    fn adopt(&mut self, memory: PrivateMemory) -> Result<(), PrivateMemory> {
        Err(memory)
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

    /// Sets the way in which large memory goes.
    fn set_release(&mut self, release: &Release) {
        let _ = release;
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
    /// A bit for each page that was written since the bytes were allocated.
    written: Vec<u64>,
    /// The log has the warning that there is no memory for the bytes.
    warned: bool,
    release: Release,
}

impl Drop for PrivateMemory {
    fn drop(&mut self) {
        self.release.give(std::mem::take(&mut self.bytes));
    }
}

impl PrivateMemory {
    /// Creates memory of `size` bytes that read zero.
    #[must_use]
    pub fn new(size: u64) -> Self {
        let mut memory = Self::default();
        memory.reset(size);
        memory
    }

    /// Copies bytes in, as [`BarMemory::write`].
    ///
    /// # Errors
    /// There is no memory for the bytes. Nothing changes.
    pub fn try_write(&mut self, offset: u64, data: &[u8]) -> Result<(), TryReserveError> {
        let Ok(start) = usize::try_from(offset) else {
            return Ok(());
        };
        let end = start.saturating_add(data.len()).min(self.size);
        if start >= end {
            return Ok(());
        }
        if self.bytes.len() < end {
            self.allocate()?;
        }
        if let Some(to) = self.bytes.get_mut(start..end) {
            to.copy_from_slice(data.get(..end - start).unwrap_or_default());
        }
        for page in start / PIECE..=(end - 1) / PIECE {
            if let Some(word) = self.written.get_mut(page / 64) {
                *word |= 1 << (page % 64);
            }
        }
        Ok(())
    }

    /// Allocates the bytes, all zero. The system provides each page when it is written.
    fn allocate(&mut self) -> Result<(), TryReserveError> {
        // The standard library has no zeroed allocation that can fail, so a failure is provoked before.
        let mut probe = Vec::<u8>::new();
        probe.try_reserve_exact(self.size)?;
        drop(black_box(probe));
        self.bytes = vec![0; self.size];
        self.written = vec![0; self.size.div_ceil(PIECE).div_ceil(64)];
        Ok(())
    }

    /// Clears the page with a number to zero.
    pub(crate) fn clear_page(&mut self, number: u64) {
        let Ok(page) = usize::try_from(number) else {
            return;
        };
        if let Some(word) = self.written.get_mut(page / 64).filter(|word| **word != 0) {
            *word &= !(1 << (page % 64));
            let start = page.saturating_mul(PIECE);
            let end = start.saturating_add(PIECE).min(self.bytes.len());
            if let Some(bytes) = self.bytes.get_mut(start..end) {
                bytes.fill(0);
            }
        }
    }

    /// Returns the number of the last page that was written.
    pub(crate) fn last_page(&self) -> Option<u64> {
        let last = self.written.iter().rposition(|word| *word != 0)?;
        let bit = self.written.get(last)?.checked_ilog2()?;
        Some(last as u64 * 64 + u64::from(bit))
    }

    /// Cuts or extends the memory to `size` bytes, if it has bytes at all.
    pub(crate) fn resize(&mut self, size: u64) {
        self.size = usize::try_from(size).unwrap_or(usize::MAX);
        if self.bytes.len() > self.size {
            self.bytes.truncate(self.size);
            self.bytes.shrink_to_fit();
        }
    }
}

impl BarMemory for PrivateMemory {
    fn read(&self, offset: u64, data: &mut [u8]) {
        read_bytes(&self.bytes, offset, data);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if let Err(error) = self.try_write(offset, data)
            && !std::mem::replace(&mut self.warned, true)
        {
            tracing::error!(size = self.size, %error, "BAR memory: writes are lost");
        }
    }

    fn is_blank(&self) -> bool {
        self.bytes.is_empty()
    }

    fn next_page(&self, from: u64) -> Option<u64> {
        let first = usize::try_from(from / PAGE).ok()?;
        let words = self.written.iter().enumerate().skip(first / 64);
        let mut seen = u64::MAX << (first % 64);
        for (index, word) in words {
            let pages = word & seen;
            if pages != 0 {
                return Some((index as u64 * 64 + u64::from(pages.trailing_zeros())) * PAGE);
            }
            seen = u64::MAX;
        }
        None
    }

    fn held(&self, size: u64) -> u64 {
        let pages: u64 = self
            .written
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum();
        (pages * PAGE).min(size)
    }

    fn adopt(&mut self, memory: PrivateMemory) -> Result<(), PrivateMemory> {
        *self = memory;
        Ok(())
    }

    fn set_release(&mut self, release: &Release) {
        self.release = release.clone();
    }

    fn reset(&mut self, size: u64) {
        self.release.give(std::mem::take(&mut self.bytes));
        self.written = Vec::new();
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

/// Reads the page at `offset` of memory with `size` bytes. Returns the offset of its first byte that is not
/// zero and the bytes up to its last one, if there are any.
pub(super) fn run<'b>(
    memory: &dyn BarMemory,
    size: u64,
    offset: u64,
    buffer: &'b mut [u8; PIECE],
) -> Option<(u64, &'b [u8])> {
    let left = size.checked_sub(offset)?;
    let len = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
    let page = buffer.get_mut(..len)?;
    memory.read(offset, page);
    let first = page.iter().position(|byte| *byte != 0)?;
    let last = page.iter().rposition(|byte| *byte != 0)?;
    Some((offset + first as u64, page.get(first..=last)?))
}

/// Calls `each` for the runs of `size` bytes that are not zero, in ascending order.
fn for_runs(memory: &dyn BarMemory, size: u64, mut each: impl FnMut(u64, &[u8])) {
    let mut buffer = [0; PIECE];
    let mut from = 0;
    while let Some(offset) = memory.next_page(from).filter(|offset| *offset < size) {
        if let Some((at, bytes)) = run(memory, size, offset, &mut buffer) {
            each(at, bytes);
        }
        from = offset + PAGE;
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
