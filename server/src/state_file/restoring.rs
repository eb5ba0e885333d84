//! Reading a state file, in steps.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use pci_device_models::host::{DeviceMut, DeviceRef};
use pci_device_models::time::Time;
use rustix::fs::fstat;

use super::{FindError, Places, StateFileError};
use crate::stream::{Incoming, Restored, StreamLimits};

/// Bytes that one step reads at most.
const STEP: usize = 1 << 20;

/// A state file that is being read. The device stays as it is until all of it is known to fit.
#[derive(Debug)]
pub(crate) struct Reading {
    path: PathBuf,
    file: File,
    incoming: Incoming,
    buffer: Vec<u8>,
}

impl Reading {
    /// Opens the file in one of `places`, unless it is larger than any of the device.
    ///
    /// # Errors
    /// The file cannot be read or is too large, or [`StateFileError::Elsewhere`].
    pub(crate) fn begin(
        places: &Places,
        device: DeviceRef<'_>,
        path: &Path,
    ) -> Result<Self, StateFileError> {
        let failed = |reason| StateFileError::read(path, reason);
        let place = places.find(path).map_err(|error| match error {
            FindError::Elsewhere(error) => error,
            FindError::Folder(reason) => failed(reason),
        })?;
        let file = place.open().map_err(failed)?;
        let size = fstat(&file).map_err(|errno| failed(errno.into()))?.st_size;
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        let checked = StreamLimits::of(device).check(size);
        checked.map_err(|error| StateFileError::refused(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            incoming: Incoming::new(device),
            buffer: vec![0; STEP],
        })
    }

    /// Reads some more. Returns whether that was all.
    ///
    /// # Errors
    /// The file cannot be read or does not fit.
    pub(crate) fn step(&mut self, device: DeviceRef<'_>) -> Result<bool, StateFileError> {
        let count = match self.file.read(&mut self.buffer) {
            Ok(0) => return Ok(true),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(false),
            Err(reason) => return Err(StateFileError::read(&self.path, reason)),
        };
        let bytes = self.buffer.get(..count).unwrap_or_default();
        let taken = self.incoming.write(device, bytes);
        taken.map_err(|error| StateFileError::refused(&self.path, error))?;
        Ok(false)
    }

    /// Restores the device. It is held until its memory has been copied.
    ///
    /// # Errors
    /// The state does not fit. The device is unchanged.
    pub(crate) fn restore(
        self,
        device: &mut DeviceMut<'_>,
        now: Time,
    ) -> Result<(), StateFileError> {
        let refused = |error| StateFileError::refused(&self.path, error);
        let Restored { state, image } = self.incoming.finish_all().map_err(refused)?;
        let restored = device.restore_state(now, &state, image);
        restored.map_err(|error| refused(error.into()))
    }
}
