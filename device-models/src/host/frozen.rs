//! A device that is stopped for migration: nothing happens to it, no time passes, and nothing leaves
//! it but what a client does to interrupts of its own accord.
//!
//! Requests are served without waking it. Reads show what they can without changing anything, writes
//! are lost, and features that would change something are refused. The server keeps its clock still,
//! and restores a saved state into it.

use vfio_user_protocol::messages::device_feature::Request;
use vfio_user_protocol::vfio::{Operation, RegionIndex};

use super::DeviceMut;
use super::error::HostError;
use super::region;

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
        region: RegionIndex,
        offset: u64,
        data: &mut [u8],
    ) -> Result<usize, HostError> {
        let function = self.slot.function();
        region::check(function, region, offset, data.len())?;
        match region::target(region) {
            Some(target) => function.peek(target, offset, data),
            None => function.peek_config(offset, data),
        }
        Ok(data.len())
    }

    pub(super) fn frozen_write(
        &self,
        region: RegionIndex,
        offset: u64,
        data: &[u8],
    ) -> Result<usize, HostError> {
        region::check(self.slot.function(), region, offset, data.len())?;
        Ok(data.len())
    }

    /// A stopped device can only be asked what features it has.
    pub(super) const fn check_frozen(&self, request: &Request<'_>) -> Result<(), HostError> {
        if self.state.frozen && !request.operation.contains(Operation::PROBE) {
            return Err(HostError::Stopped);
        }
        Ok(())
    }
}
