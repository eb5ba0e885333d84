//! A device that is stopped for migration: its state and its time stand still, and nothing leaves
//! it except the results of a client's own requests for interrupts.
//!
//! Requests are served without waking it. Reads return data where that changes nothing, writes are
//! lost, and features that would change something are refused. The server stops the device's clock,
//! and restores a saved state into it.

use std::sync::Arc;

use vfio_user_protocol::messages::device_feature::Request;
use vfio_user_protocol::vfio::{Operation, RegionIndex};

use super::error::HostError;
use super::region;
use super::{Device, DeviceMut};

/// Keeps a device stopped; see [`DeviceMut::hold`].
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "it exists, which is all")] Arc<()>);

impl Device {
    pub(super) fn is_frozen(&self) -> bool {
        self.frozen || self.is_held()
    }

    pub(super) fn is_held(&self) -> bool {
        self.fill.is_some() || self.held.strong_count() > 0
    }
}

impl DeviceMut<'_> {
    /// Stops the device. Work that is due but not done is done when the device continues.
    pub fn freeze(&mut self) {
        self.state.frozen = true;
    }

    /// Lets the device continue.
    pub fn thaw(&mut self) {
        self.state.frozen = false;
    }

    /// Returns whether the device is stopped, for migration or because it is held.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.state.is_frozen()
    }

    /// Stops the device until the hold is dropped, for work on its whole state that takes several
    /// steps. A server lets requests wait meanwhile, rather than serve them as those of a stopped
    /// device.
    #[must_use]
    pub fn hold(&mut self) -> Hold {
        let hold = Arc::new(());
        self.state.held = Arc::downgrade(&hold);
        Hold(hold)
    }

    /// Returns whether the device is held, or has restored memory that is still to be copied.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.state.is_held()
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

    /// Refuses a feature request on a stopped device, except a probe for the features that it has.
    pub(super) fn check_frozen(&self, request: &Request<'_>) -> Result<(), HostError> {
        if self.state.is_frozen() && !request.operation.contains(Operation::PROBE) {
            return Err(HostError::Stopped);
        }
        Ok(())
    }
}
