//! Accesses reach the function as on a bus: every access inside a region returns data.
//! In the v4 dialect PMCSR has the virtual PME as well.

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
        if region == RegionIndex::Config {
            self.show_v4_pme(now, offset, data);
        }
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
        if region == RegionIndex::Config
            && let Some(pm) = self.pm_with_v4_pme(now)
        {
            self.write_v4_pme(pm, offset, data);
        }
        region::write(self.slot.function_mut(), now, region, offset, data);
        Ok(data.len())
    }
}
