//! A device that is stopped for migration: nothing happens to it, no time passes, and nothing leaves
//! it but what a client does to interrupts of its own accord.
//!
//! Requests are served without waking it. Reads show what they can without changing anything, writes
//! are lost, and features that would change something are refused. The server keeps its clock still,
//! and restores a saved state into it.

use super::DeviceMut;
use super::error::HostError;
use super::feature::{FeatureCall, PROBE};
use super::region::{self, region_index};
use crate::function::Target;

impl DeviceMut<'_> {
    /// Stops the device. What is due and not done is done when it goes on.
    pub fn freeze(&mut self) {
        self.state.frozen = true;
    }

    /// Lets the device go on.
    pub fn thaw(&mut self) {
        self.state.frozen = false;
    }

    /// Whether the device is stopped.
    #[must_use]
    pub const fn is_frozen(&self) -> bool {
        self.state.frozen
    }

    pub(super) fn frozen_read(
        &self,
        index: u32,
        offset: u64,
        data: &mut [u8],
    ) -> Result<usize, HostError> {
        let function = self.slot.function();
        region::check(function, index, offset, data.len())?;
        match index {
            region_index::CONFIG => function.look_at_config(offset, data),
            region_index::ROM => function.look(Target::Rom, offset, data),
            bar => function.look(Target::Bar(bar as u8), offset, data),
        }
        Ok(data.len())
    }

    pub(super) fn frozen_write(
        &self,
        index: u32,
        offset: u64,
        data: &[u8],
    ) -> Result<usize, HostError> {
        region::check(self.slot.function(), index, offset, data.len())?;
        Ok(data.len())
    }

    /// A stopped device can only be asked what features it has.
    pub(super) const fn check_frozen(&self, call: &FeatureCall<'_>) -> Result<(), HostError> {
        if self.state.frozen && !call.has(PROBE) {
            return Err(HostError::Stopped);
        }
        Ok(())
    }
}
