//! Reading a state file, in steps.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use pci_device_models::host::{DeviceMut, FunctionState};
use pci_device_models::slot::FunctionNumber;
use pci_device_models::snapshot::RestoreError;
use pci_device_models::time::Time;
use rustix::fs::fstat;

use super::{FindError, Places, StateFileError};
use crate::stream::{Incoming, Restored, StreamError, StreamLimits};

/// Bytes that one step reads at most.
const STEP: usize = 1 << 20;

/// A state file that is being read. The functions stay as they are until all of it is known to fit.
#[derive(Debug)]
pub(crate) struct Reading {
    path: PathBuf,
    file: File,
    /// The functions of the slot whose streams have not begun, the next one last.
    next: Vec<FunctionNumber>,
    /// The streams that have begun. Only the last one is not complete.
    begun: Vec<(FunctionNumber, Incoming)>,
    buffer: Vec<u8>,
}

impl Reading {
    /// Opens the file in one of `places`, unless it is larger than any of the device's slot.
    ///
    /// # Errors
    /// The file cannot be read or is too large, or [`StateFileError::Elsewhere`].
    pub(crate) fn begin(
        places: &Places,
        device: &mut DeviceMut<'_>,
        path: &Path,
    ) -> Result<Self, StateFileError> {
        let failed = |reason| StateFileError::read(path, reason);
        let place = places.find(path).map_err(|error| match error {
            FindError::Elsewhere(error) => error,
            FindError::Folder(reason) => failed(reason),
        })?;
        let file = place.open().map_err(failed)?;
        let size = fstat(&file).map_err(|errno| failed(errno.into()))?.st_size;
        let bytes = u64::try_from(size).unwrap_or(u64::MAX);
        let mut next = device.members();
        let limits = next.iter().filter_map(|number| {
            device.with_member(*number, |device| StreamLimits::of(device.as_ref()).bytes())
        });
        let limit = limits.fold(0, u64::saturating_add);
        if bytes > limit {
            let error = StreamError::TooLong { bytes, limit };
            return Err(StateFileError::refused(path, error));
        }
        next.reverse();
        let mut reading = Self {
            path: path.to_owned(),
            file,
            next,
            begun: Vec::new(),
            buffer: vec![0; STEP],
        };
        reading.begin_next(device);
        Ok(reading)
    }

    /// Expects the stream of the next function. Returns whether there is one.
    fn begin_next(&mut self, device: &mut DeviceMut<'_>) -> bool {
        let next = self.next.pop().and_then(|number| {
            let incoming = |device: DeviceMut<'_>| Incoming::new(device.as_ref());
            Some((number, device.with_member(number, incoming)?))
        });
        let begins = next.is_some();
        self.begun.extend(next);
        begins
    }

    /// Reads some more. Returns whether that was all.
    ///
    /// # Errors
    /// The file cannot be read or does not fit.
    pub(crate) fn step(&mut self, device: &mut DeviceMut<'_>) -> Result<bool, StateFileError> {
        let count = match self.file.read(&mut self.buffer) {
            Ok(0) => return Ok(true),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(false),
            Err(reason) => return Err(StateFileError::read(&self.path, reason)),
        };
        let buffer = std::mem::take(&mut self.buffer);
        let taken = self.take(device, buffer.get(..count).unwrap_or_default());
        self.buffer = buffer;
        taken.map_err(|error| StateFileError::refused(&self.path, error))?;
        Ok(false)
    }

    fn take(&mut self, device: &mut DeviceMut<'_>, bytes: &[u8]) -> Result<(), StreamError> {
        let mut rest = bytes;
        while let Some((number, incoming)) = self.begun.last_mut() {
            let write = |device: DeviceMut<'_>| incoming.write_some(device.as_ref(), rest);
            let left = match device.with_member(*number, write).transpose()? {
                Some(taken) if taken.left > 0 => taken.left,
                _ => return Ok(()),
            };
            if !self.begin_next(device) {
                let reason =
                    format!("{left} bytes follow the state of the last function of this slot");
                return Err(RestoreError::part("the saved state", reason).into());
            }
            rest = rest.get(rest.len() - left..).unwrap_or_default();
        }
        Ok(())
    }

    /// Restores the functions. They are held until their memory has been copied.
    ///
    /// # Errors
    /// The state does not fit. The functions are unchanged.
    pub(crate) fn restore(
        self,
        device: &mut DeviceMut<'_>,
        now: Time,
    ) -> Result<(), StateFileError> {
        let refused = |error| StateFileError::refused(&self.path, error);
        let mut functions = Vec::new();
        for (number, incoming) in self.begun {
            let Restored { state, image } = incoming.finish_all().map_err(refused)?;
            functions.push(FunctionState {
                number,
                state,
                image,
            });
        }
        let restored = device.restore_members(now, functions);
        restored.map_err(|error| refused(error.into()))
    }
}
