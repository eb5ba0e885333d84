//! Writing a state file, in steps.

use std::path::{Path, PathBuf};

use pci_device_models::host::DeviceRef;
use pci_device_models::time::Time;

use super::place::Replacement;
use super::{FindError, Places, StateFileError};
use crate::closer::Closer;
use crate::stream::{Outgoing, Piece};

/// Bytes that one step writes at most.
const STEP: usize = 1 << 20;

/// A state file that is being written. Without its end, nothing is left of it.
#[derive(Debug)]
pub(crate) struct Saving {
    path: PathBuf,
    /// The file, until it has its name.
    file: Option<Replacement>,
    stream: Outgoing,
}

impl Saving {
    /// Begins a file in one of `places` for the state that the device has now. It must not change before
    /// the end.
    ///
    /// # Errors
    /// [`StateFileError::Elsewhere`] or [`StateFileError::Write`].
    pub(crate) fn begin(
        places: &Places,
        closer: &Closer,
        device: DeviceRef<'_>,
        now: Time,
        path: &Path,
    ) -> Result<Self, StateFileError> {
        let failed = |reason| StateFileError::write(path, reason);
        let place = places.find(path).map_err(|error| match error {
            FindError::Elsewhere(error) => error,
            FindError::Folder(reason) => failed(reason),
        })?;
        Ok(Self {
            path: path.to_owned(),
            file: Some(place.replace(closer).map_err(failed)?),
            stream: Outgoing::of_stopped(device, now),
        })
    }

    /// Writes some more. Returns whether the file is complete and has its name.
    ///
    /// # Errors
    /// [`StateFileError::Write`]; then nothing is left of it.
    pub(crate) fn step(&mut self, device: DeviceRef<'_>) -> Result<bool, StateFileError> {
        let Piece::Bytes(bytes) = self.stream.read(device, STEP) else {
            return Ok(false);
        };
        let is_last = bytes.len() < STEP;
        let Some(mut file) = self.file.take() else {
            return Ok(true);
        };
        let written = file.write_all(bytes).and_then(|()| {
            if is_last {
                file.commit()
            } else {
                self.file = Some(file);
                Ok(())
            }
        });
        written.map_err(|reason| StateFileError::write(&self.path, reason))?;
        Ok(is_last)
    }
}
