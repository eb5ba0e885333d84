//! Migration: the state of the device, and the stream of its data.

use vfio_user_protocol::Command;
use vfio_user_protocol::messages::device_feature::mig_device_state::MigDeviceState;
use vfio_user_protocol::messages::{mig_data, precopy_info};
use vfio_user_protocol::vfio::{DeviceState, Feature, MigrationFlags};

use super::{Client, ClientError, Memory};

impl<M: Memory> Client<M> {
    /// Returns the kinds of migration that the device has.
    ///
    /// # Errors
    /// It does not migrate, or another [`ClientError`].
    pub fn migration_kinds(&mut self) -> Result<MigrationFlags, ClientError> {
        let data = self.feature_get(Feature::Migration.number(), &[], 8)?;
        Ok(MigrationFlags::parse(&data)?)
    }

    /// Returns the state of migration.
    ///
    /// # Errors
    /// The device does not migrate, or another [`ClientError`].
    pub fn device_state(&mut self) -> Result<DeviceState, ClientError> {
        let data = self.feature_get(Feature::MigDeviceState.number(), &[], 8)?;
        Ok(MigDeviceState::parse(&data)?.state)
    }

    /// Moves the device to a state of migration.
    ///
    /// # Errors
    /// There is no way to that state, or another [`ClientError`].
    pub fn set_device_state(&mut self, state: DeviceState) -> Result<(), ClientError> {
        let mut data = Vec::new();
        MigDeviceState { state, data_fd: 0 }.encode(&mut data);
        let feature = Feature::MigDeviceState.number();
        self.feature_set(feature, &data, None).map(drop)
    }

    /// Takes up to `size` bytes of the device's data; fewer are the end of the stream. At most
    /// [`max_transfer`](Self::max_transfer) bytes are asked for.
    ///
    /// # Errors
    /// The device gives no data in its state, or another [`ClientError`].
    pub fn read_migration_data(&mut self, size: u32) -> Result<Vec<u8>, ClientError> {
        let command = Command::MigDataRead;
        let request = mig_data::ReadRequest {
            size: size.min(self.max_transfer()),
        };
        let answer = self.request(command, &[], |body| request.encode(body))?;
        let data = mig_data::ReadReply::parse(&answer.payload)?.data;
        if data.len() > request.size as usize {
            return Err(ClientError::Mismatch { command });
        }
        Ok(data.to_vec())
    }

    /// Gives the device data of its stream, in pieces of at most [`max_transfer`](Self::max_transfer)
    /// bytes.
    ///
    /// # Errors
    /// The device takes no data in its state, or another [`ClientError`].
    pub fn write_migration_data(&mut self, data: &[u8]) -> Result<(), ClientError> {
        for data in data.chunks(self.max_transfer() as usize) {
            let request = mig_data::WriteRequest { data };
            self.request(Command::MigDataWrite, &[], |body| request.encode(body))?;
        }
        Ok(())
    }

    /// Returns how much there is still to copy while the device runs.
    ///
    /// # Errors
    /// The device does not copy while it runs, or another [`ClientError`].
    pub fn precopy_info(&mut self) -> Result<precopy_info::Reply, ClientError> {
        let request = precopy_info::Request { argsz: 24 };
        let answer = self.request(Command::GetPrecopyInfo, &[], |body| request.encode(body))?;
        Ok(precopy_info::Reply::parse(&answer.payload)?)
    }
}
