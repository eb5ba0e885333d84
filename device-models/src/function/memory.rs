//! Memory behind a BAR.

use std::fmt;

/// The bytes behind a BAR with content "ram".
///
/// Accesses lie inside; whatever does not is cut off.
pub trait BarMemory: fmt::Debug + Send {
    /// Copies bytes out.
    fn read(&self, offset: u64, data: &mut [u8]);

    /// Copies bytes in.
    fn write(&mut self, offset: u64, data: &[u8]);

    /// The contents are lost and the size is this from now on: every byte reads zero.
    fn reset(&mut self, size: u64);

    /// Whether others who have the memory mapped may touch it. What [`Self::read`] and
    /// [`Self::write`] see is the same either way.
    fn set_visible(&mut self, visible: bool) {
        let _ = visible;
    }
}

/// Memory that nobody else sees. It is taken when something is stored, since many functions never
/// touch theirs.
#[derive(Debug, Default)]
pub struct PrivateMemory {
    bytes: Vec<u8>,
    size: usize,
}

impl PrivateMemory {
    /// `size` bytes of zero.
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

    fn reset(&mut self, size: u64) {
        self.bytes = Vec::new();
        self.size = usize::try_from(size).unwrap_or(usize::MAX);
    }
}

/// Reads from `memory` at `offset`; what lies beyond its end reads zero.
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
