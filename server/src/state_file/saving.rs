//! Writing a state file, in steps.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use pci_device_models::host::DeviceMut;
use pci_device_models::slot::FunctionNumber;
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
    /// The streams of the functions that are not complete, in order.
    streams: VecDeque<(FunctionNumber, Outgoing)>,
}

impl Saving {
    /// Begins a file in one of `places` for the state that all functions of the device's slot have now. They
    /// must not change before the end.
    ///
    /// # Errors
    /// [`StateFileError::Elsewhere`] or [`StateFileError::Write`].
    pub(crate) fn begin(
        places: &Places,
        closer: &Closer,
        device: &mut DeviceMut<'_>,
        now: Time,
        path: &Path,
    ) -> Result<Self, StateFileError> {
        let failed = |reason| StateFileError::write(path, reason);
        let place = places.find(path).map_err(|error| match error {
            FindError::Elsewhere(error) => error,
            FindError::Folder(reason) => failed(reason),
        })?;
        let members = device.members().into_iter();
        let streams = members.filter_map(|number| {
            let stream = |device: DeviceMut<'_>| Outgoing::of_stopped(device.as_ref(), now);
            Some((number, device.with_member(number, stream)?))
        });
        Ok(Self {
            path: path.to_owned(),
            streams: streams.collect(),
            file: Some(place.replace(closer).map_err(failed)?),
        })
    }

    /// Writes some more. Returns whether the file is complete and has its name.
    ///
    /// # Errors
    /// [`StateFileError::Write`]; then nothing is left of it.
    pub(crate) fn step(&mut self, device: &mut DeviceMut<'_>) -> Result<bool, StateFileError> {
        let Some((number, stream)) = self.streams.front_mut() else {
            return Ok(true);
        };
        let Some(file) = &mut self.file else {
            return Ok(true);
        };
        let write = |device: DeviceMut<'_>| match stream.read(device.as_ref(), STEP) {
            Piece::Bytes(bytes) => {
                file.write_all(bytes)?;
                Ok(bytes.len() < STEP)
            }
            Piece::Waits => Ok(false),
        };
        let written = device.with_member(*number, write).unwrap_or(Ok(true));
        let written = written.and_then(|is_last| {
            if is_last {
                self.streams.pop_front();
            }
            match self.file.take() {
                Some(file) if self.streams.is_empty() => file.commit().map(|()| true),
                file => {
                    self.file = file;
                    Ok(false)
                }
            }
        });
        written.map_err(|reason| {
            self.file = None;
            StateFileError::write(&self.path, reason)
        })
    }
}
