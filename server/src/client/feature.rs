//! Device features, and the low power that they control.

use std::os::fd::BorrowedFd;

use vfio_user_protocol::Command;
use vfio_user_protocol::messages::device_feature::low_power_entry_with_wakeup::LowPowerEntryWithWakeup;
use vfio_user_protocol::messages::device_feature::power_management::PowerManagement;
use vfio_user_protocol::messages::device_feature::{Reply, Request};
use vfio_user_protocol::vfio::{Feature, Operation, PowerManagementFlags};

use super::{Client, ClientError, Memory};

impl<M: Memory> Client<M> {
    /// Allows the device to sleep (LOW_POWER_ENTRY). Any access wakes it for as long as it takes.
    ///
    /// ```
    /// # use dormouse::{models::host::RuntimePmStatus, testing::Function};
    /// let mut served = Function::profile("testdev").start()?;
    /// let mut client = served.client()?;
    /// client.low_power_entry()?;
    /// assert_eq!(served.status()?.device.runtime_status, RuntimePmStatus::Suspended);
    /// client.low_power_exit()?;
    /// assert_eq!(served.status()?.device.runtime_status, RuntimePmStatus::Active);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The server refuses it, or another [`ClientError`].
    pub fn low_power_entry(&mut self) -> Result<(), ClientError> {
        let feature = Feature::LowPowerEntry.number();
        self.feature_set(feature, &[], None).map(drop)
    }

    /// Allows the device to sleep until it is woken, of which `wakeup` is signalled
    /// (LOW_POWER_ENTRY_WITH_WAKEUP).
    ///
    /// # Errors
    /// The server refuses it, or another [`ClientError`].
    pub fn low_power_entry_with_wakeup(
        &mut self,
        wakeup: BorrowedFd<'_>,
    ) -> Result<(), ClientError> {
        let entry = LowPowerEntryWithWakeup {
            wakeup_eventfd: 0,
            reserved: 0,
        };
        let mut data = Vec::new();
        entry.encode(&mut data);
        let feature = Feature::LowPowerEntryWithWakeup.number();
        self.feature_set(feature, &data, Some(wakeup)).map(drop)
    }

    /// Ends low power: the device is awake when this returns (LOW_POWER_EXIT).
    ///
    /// # Errors
    /// The device is not in low power or does not wake, or another [`ClientError`].
    pub fn low_power_exit(&mut self) -> Result<(), ClientError> {
        let feature = Feature::LowPowerExit.number();
        self.feature_set(feature, &[], None).map(drop)
    }

    /// Sets POWER_MANAGEMENT, the low power of the dialect `v4`.
    ///
    /// # Errors
    /// The server refuses it, or another [`ClientError`].
    pub fn set_power_management(&mut self, flags: PowerManagementFlags) -> Result<(), ClientError> {
        let mut data = Vec::new();
        PowerManagement { flags, reserved: 0 }.encode(&mut data);
        self.feature_set(Feature::V4_POWER_MANAGEMENT.number(), &data, None)
            .map(drop)
    }

    /// Returns what POWER_MANAGEMENT was last set to.
    ///
    /// # Errors
    /// The server does not have the feature, or another [`ClientError`].
    pub fn power_management(&mut self) -> Result<PowerManagementFlags, ClientError> {
        let data = self.feature_get(Feature::V4_POWER_MANAGEMENT.number(), &[], 8)?;
        Ok(PowerManagement::parse(&data)?.flags)
    }

    /// Gets a device feature, whose data is at most `room` bytes. `data` is the request's own.
    ///
    /// # Errors
    /// The server refuses it, or another [`ClientError`].
    pub fn feature_get(
        &mut self,
        feature: u16,
        data: &[u8],
        room: usize,
    ) -> Result<Vec<u8>, ClientError> {
        self.feature(&Request::get(feature, data, room), None)
    }

    /// Sets a device feature, with a descriptor if it takes one. Returns the data of the reply.
    ///
    /// # Errors
    /// The server refuses it, or another [`ClientError`].
    pub fn feature_set(
        &mut self,
        feature: u16,
        data: &[u8],
        file: Option<BorrowedFd<'_>>,
    ) -> Result<Vec<u8>, ClientError> {
        self.feature(&Request::set(feature, data), file)
    }

    /// Asks whether the server has a device feature with these operations.
    ///
    /// # Errors
    /// It has not, or another [`ClientError`].
    pub fn feature_probe(
        &mut self,
        feature: u16,
        operations: Operation,
    ) -> Result<(), ClientError> {
        self.feature(&Request::probe(feature, operations), None)
            .map(drop)
    }

    fn feature(
        &mut self,
        request: &Request<'_>,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<Vec<u8>, ClientError> {
        let command = Command::DeviceFeature;
        let answer = self.request(command, file.as_slice(), |body| request.encode(body))?;
        let reply = Reply::parse(&answer.payload)?;
        if reply.feature != request.feature {
            return Err(ClientError::Mismatch { command });
        }
        Ok(reply.data.to_vec())
    }
}
