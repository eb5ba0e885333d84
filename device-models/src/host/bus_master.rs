//! `VFIO_DEVICE_FEATURE_BUS_MASTER`: a client switches bus mastering without a config write.
//!
//! Of Linux's drivers only `vfio-cdx` has it; `vfio-pci` answers ENOTTY, and so does its view.

use super::error::HostError;
use super::feature::SET;
use super::{DeviceMut, FeatureCall, FeatureReply, View};
use crate::time::Time;

/// `VFIO_DEVICE_FEATURE_BUS_MASTER`.
const BUS_MASTER: u16 = 10;
/// Bytes of `struct vfio_device_feature_bus_master`.
const SIZE: u32 = 4;
/// `VFIO_DEVICE_FEATURE_CLEAR_MASTER`.
const CLEAR_MASTER: u32 = 0;
/// `VFIO_DEVICE_FEATURE_SET_MASTER`.
const SET_MASTER: u32 = 1;

/// The Command register and its Bus Master Enable bit (PCIe Base §7.5.1.1.3).
const COMMAND: u64 = 0x04;
const BUS_MASTER_ENABLE: u16 = 1 << 2;

impl DeviceMut<'_> {
    /// A feature that has nothing to do with low power.
    pub(super) fn other_feature(
        &mut self,
        now: Time,
        call: &FeatureCall<'_>,
    ) -> Result<FeatureReply, HostError> {
        match (call.feature(), self.state.options.view) {
            (BUS_MASTER, View::Hardware) => self.switch_bus_master(now, call),
            (feature, _) => Err(HostError::NoSuchFeature { feature }),
        }
    }

    /// `vfio_cdx_bm_ctrl`.
    fn switch_bus_master(
        &mut self,
        now: Time,
        call: &FeatureCall<'_>,
    ) -> Result<FeatureReply, HostError> {
        if !call.check(SET, SIZE)? {
            return Ok(FeatureReply::Done);
        }
        let operation = call.word(0)?;
        let function = self.slot.function_mut();
        let mut command = [0; 2];
        function.config_read(now, COMMAND, &mut command);
        let command = u16::from_le_bytes(command);
        let command = match operation {
            CLEAR_MASTER => command & !BUS_MASTER_ENABLE,
            SET_MASTER => command | BUS_MASTER_ENABLE,
            _ => {
                return Err(HostError::Feature {
                    what: "op is neither 0, clear, nor 1, set",
                });
            }
        };
        function.config_write(now, COMMAND, &command.to_le_bytes());
        Ok(FeatureReply::Done)
    }
}
