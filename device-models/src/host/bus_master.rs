//! `VFIO_DEVICE_FEATURE_BUS_MASTER`: a client switches bus mastering without a config write.
//!
//! Of Linux's drivers only `vfio-cdx` has it. `vfio-pci` answers ENOTTY, and so does the vfio-pci
//! view.

use vfio_user_protocol::messages::device_feature::Request;
use vfio_user_protocol::messages::device_feature::bus_master::BusMaster;
use vfio_user_protocol::vfio::{BusMasterOperation, Feature, Operation};

use super::error::HostError;
use super::{DeviceMut, FeatureReply, View};
use crate::config::Command;
use crate::pci::header::COMMAND;
use crate::time::Time;

impl DeviceMut<'_> {
    /// Performs a feature request that does not concern low power.
    pub(super) fn other_feature(
        &mut self,
        now: Time,
        request: &Request<'_>,
    ) -> Result<FeatureReply, HostError> {
        match (
            Feature::from_number(request.feature),
            self.state.options.view,
        ) {
            (Some(Feature::BusMaster), View::Hardware) => self.switch_bus_master(now, request),
            _ => Err(HostError::NoSuchFeature {
                feature: request.feature,
            }),
        }
    }

    /// Switches bus mastering (`vfio_cdx_bm_ctrl`).
    fn switch_bus_master(
        &mut self,
        now: Time,
        request: &Request<'_>,
    ) -> Result<FeatureReply, HostError> {
        if !request.wants(Operation::SET, BusMaster::SIZE)? {
            return Ok(FeatureReply::Done);
        }
        let enable = match BusMaster::parse(request.data)?.operation {
            BusMasterOperation::Clear => false,
            BusMasterOperation::Set => true,
        };
        let function = self.slot.function_mut();
        let mut command = [0; 2];
        function.config_read(now, COMMAND as u64, &mut command);
        let command = Command::from(u16::from_le_bytes(command)).with_bus_master_enable(enable);
        let command = u16::from(command).to_le_bytes();
        function.config_write(now, COMMAND as u64, &command);
        Ok(FeatureReply::Done)
    }
}
