//! Accesses reach the function as on a bus: every access inside a region returns data.

use vfio_user_protocol::vfio::RegionIndex;

use crate::host::error::HostError;
use crate::host::{DeviceMut, region};
use crate::time::Time;

impl DeviceMut<'_> {
    pub(in crate::host) fn hardware_read(
        &mut self,
        now: Time,
        region: RegionIndex,
        offset: u64,
        data: &mut [u8],
    ) -> Result<usize, HostError> {
        region::check(self.slot.function(), region, offset, data.len())?;
        region::read(self.slot.function_mut(), now, region, offset, data);
        Ok(data.len())
    }

    pub(in crate::host) fn hardware_write(
        &mut self,
        now: Time,
        region: RegionIndex,
        offset: u64,
        data: &[u8],
    ) -> Result<usize, HostError> {
        region::check(self.slot.function(), region, offset, data.len())?;
        region::write(self.slot.function_mut(), now, region, offset, data);
        Ok(data.len())
    }
}
