//! Files with the saved state of a device: its tree as JSON.
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
//! state_file::save(devices.first(), Time::ZERO, file)?;
//! state_file::restore(&mut devices.first_mut(), Time::ZERO, file)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod place;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use pci_device_models::host::{DeviceMut, DeviceRef};
use pci_device_models::snapshot::RestoreError;
use pci_device_models::time::Time;
use thiserror::Error;

use place::FindError;
pub use place::Places;

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
    /// The file is not JSON.
    #[error("{}: this is not a saved state: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Cause.
        reason: serde_json::Error,
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

fn listed(folders: &[PathBuf]) -> String {
    if folders.is_empty() {
        return "no files".to_owned();
    }
    let folders: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
    format!("files in {} only, named without '..'", folders.join(", "))
}

/// Saves the device. Replaces an existing file; the file gets its name once it is complete.
///
/// # Errors
/// Returns [`StateFileError::Write`].
pub fn save(device: DeviceRef<'_>, now: Time, path: &Path) -> Result<(), StateFileError> {
    save_in(&Places::Anywhere, device, now, path)
}

/// Saves the device to a file in one of `places`.
///
/// # Errors
/// Returns [`StateFileError::Elsewhere`] or [`StateFileError::Write`].
pub(crate) fn save_in(
    places: &Places,
    device: DeviceRef<'_>,
    now: Time,
    path: &Path,
) -> Result<(), StateFileError> {
    let failed = |reason| StateFileError::Write {
        path: path.to_owned(),
        reason,
    };
    let place = places.find(path).map_err(|error| match error {
        FindError::Elsewhere(error) => error,
        FindError::Folder(reason) => failed(reason),
    })?;
    let text = format!("{:#}\n", device.save(now));
    let write = || {
        let mut new = place.replace()?;
        new.file.write_all(text.as_bytes())?;
        new.commit()
    };
    write().map_err(failed)
}

/// Restores the device.
///
/// # Errors
/// Fails if the file cannot be read or does not fit; the device is then unchanged.
pub fn restore(device: &mut DeviceMut<'_>, now: Time, path: &Path) -> Result<(), StateFileError> {
    restore_from(&Places::Anywhere, device, now, path)
}

/// Restores the device from a file in one of `places`.
///
/// # Errors
/// As [`restore`], and returns [`StateFileError::Elsewhere`].
pub(crate) fn restore_from(
    places: &Places,
    device: &mut DeviceMut<'_>,
    now: Time,
    path: &Path,
) -> Result<(), StateFileError> {
    let failed = |reason| StateFileError::Read {
        path: path.to_owned(),
        reason,
    };
    let place = places.find(path).map_err(|error| match error {
        FindError::Elsewhere(error) => error,
        FindError::Folder(reason) => failed(reason),
    })?;
    let mut text = Vec::new();
    place
        .open()
        .and_then(|mut file| file.read_to_end(&mut text))
        .map_err(failed)?;
    let tree = serde_json::from_slice(&text).map_err(|reason| StateFileError::Malformed {
        path: path.to_owned(),
        reason,
    })?;
    device
        .restore(now, &tree)
        .map_err(|reason| StateFileError::Restore {
            path: path.to_owned(),
            reason,
        })
}
