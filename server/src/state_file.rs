//! Files with the saved state of a slot: for each of its functions, in order, the same records as a
//! migration stream.
//!
//! ```
//! use dormouse::models::model::Registry;
//! use dormouse::models::profile::Profile;
//! use dormouse::models::time::Time;
//! use dormouse::state_file;
//!
//! let text = Profile::builtin("testdev").ok_or("there is no such profile")?;
//! let profile = Profile::parse("testdev", text, &[])?;
//! let mut devices = profile.device_set(&Registry::builtin())?;
//! # let folder = tempfile::tempdir()?;
//! let file = std::path::Path::new("testdev.state");
//! # let file = &folder.path().join(file);
//! state_file::save(&mut devices.first_mut(), Time::ZERO, file)?;
//! state_file::restore(&mut devices.first_mut(), Time::ZERO, file)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod place;
mod restoring;
mod saving;

use std::io;
use std::path::{Path, PathBuf};

use pci_device_models::host::DeviceMut;
use pci_device_models::snapshot::RestoreError;
use pci_device_models::time::Time;
use thiserror::Error;

use crate::closer::Closer;
use crate::stream::StreamError;
use place::FindError;
pub use place::Places;
pub(crate) use restoring::Reading;
pub(crate) use saving::Saving;

/// An error of saving a device to a file or restoring it from one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StateFileError {
    /// The file cannot be written.
    #[error("{}: the state cannot be written: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Cause.
        reason: io::Error,
    },
    /// The file cannot be read.
    #[error("{}: the state cannot be read: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        reason: io::Error,
    },
    /// The file is not a saved state.
    #[error("{}: this is not a saved state: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Cause.
        reason: String,
    },
    /// The file is outside the folders that the server may use, or its path has a `..`.
    #[error(
        "{}: this server saves and restores {}; start it with --state-dir and the folder",
        path.display(),
        listed(folders)
    )]
    Elsewhere {
        /// The file.
        path: PathBuf,
        /// Folders that the server may use.
        folders: Vec<PathBuf>,
    },
    /// The state in the file does not fit the device.
    #[error("{}: {reason}", path.display())]
    Restore {
        /// The file.
        path: PathBuf,
        /// Cause.
        reason: RestoreError,
    },
}

impl StateFileError {
    fn write(path: &Path, reason: io::Error) -> Self {
        let path = path.to_owned();
        Self::Write { path, reason }
    }

    fn read(path: &Path, reason: io::Error) -> Self {
        let path = path.to_owned();
        Self::Read { path, reason }
    }

    fn refused(path: &Path, error: StreamError) -> Self {
        let path = path.to_owned();
        match error {
            StreamError::Restore(reason) => Self::Restore { path, reason },
            error => Self::Malformed {
                path,
                reason: error.to_string(),
            },
        }
    }
}

fn listed(folders: &[PathBuf]) -> String {
    if folders.is_empty() {
        return "no files".to_owned();
    }
    let folders: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
    format!("files in {} only, named without '..'", folders.join(", "))
}

/// Saves all functions of the device's slot. Replaces an existing file; the file gets its name once it is
/// complete.
///
/// # Errors
/// Returns [`StateFileError::Write`].
pub fn save(device: &mut DeviceMut<'_>, now: Time, path: &Path) -> Result<(), StateFileError> {
    let mut saving = Saving::begin(&Places::Anywhere, &Closer::default(), device, now, path)?;
    while !saving.step(device)? {}
    Ok(())
}

/// Restores all functions of the device's slot.
///
/// # Errors
/// Fails if the file cannot be read or does not fit; the functions are then unchanged.
pub fn restore(device: &mut DeviceMut<'_>, now: Time, path: &Path) -> Result<(), StateFileError> {
    let mut reading = Reading::begin(&Places::Anywhere, device, path)?;
    while !reading.step(device)? {}
    reading.restore(device, now)?;
    while !fill_memory(device, u32::MAX) {}
    Ok(())
}

/// Copies up to `pages` pages of each function's restored memory. Returns whether none are left.
pub(crate) fn fill_memory(device: &mut DeviceMut<'_>, pages: u32) -> bool {
    let mut over = true;
    for number in device.members() {
        let filled = device.with_member(number, |mut device| device.fill_memory(pages));
        over &= filled.unwrap_or(true);
    }
    over
}
