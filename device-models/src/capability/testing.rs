//! Helpers for the tests of all capabilities.

use proptest::prelude::*;

use super::Capability;
use crate::config::ConfigEffect;
use crate::register::split;

/// Writes `data` at byte `offset` of the capability and returns the effects.
pub(crate) fn write(
    capability: &mut dyn Capability,
    offset: u64,
    data: &[u8],
) -> Vec<ConfigEffect> {
    let mut effects = Vec::new();
    for piece in split(offset, data.len()) {
        capability.write(piece.offset as usize / 4, piece.write(data), &mut effects);
    }
    effects
}

/// Returns the DWORDs of the capability, starting with its header, as software reads them.
pub(crate) fn dwords(capability: &dyn Capability) -> Vec<u32> {
    (0..capability.registers().len())
        .map(|index| capability.read(index))
        .collect()
}

/// Returns the DWORD at byte `offset`, which is a multiple of four.
pub(crate) fn read(capability: &dyn Capability, offset: usize) -> u32 {
    capability.read(offset / 4)
}

/// Writes ones and then zeros to every bit, and asserts that nothing changes.
pub(crate) fn assert_read_only(capability: &mut dyn Capability) {
    let before = dwords(capability);
    for byte in [0xff, 0x00] {
        let data = vec![byte; 4 * before.len()];
        assert_eq!(write(capability, 0, &data), [], "effects of {byte:#x}");
        assert_eq!(dwords(capability), before, "after {byte:#x}");
    }
}

/// Returns a strategy for a few writes of one to eight bytes within the first `size` bytes of a
/// structure.
pub(crate) fn any_writes(size: u64) -> impl Strategy<Value = Vec<(u64, Vec<u8>)>> {
    let write = (0..size, prop::collection::vec(any::<u8>(), 1..=8));
    prop::collection::vec(write, 1..40)
}
