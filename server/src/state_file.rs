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

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use pci_device_models::host::{DeviceMut, DeviceRef};
use pci_device_models::snapshot::RestoreError;
use pci_device_models::time::Time;
use rustix::fs::OFlags;
use thiserror::Error;

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
    /// The file is outside the folders that the server may use.
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
    format!("files in {} only", folders.join(", "))
}

/// Places in which control clients may have files written and read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Places {
    /// All places that the server itself can reach.
    #[default]
    Anywhere,
    /// These folders and their subfolders, as absolute paths without symbolic links.
    In(Vec<PathBuf>),
}

impl Places {
    /// Checks that `file` lies in one of the places.
    ///
    /// # Errors
    /// Returns [`StateFileError::Elsewhere`] if it does not.
    pub fn check(&self, file: &Path) -> Result<(), StateFileError> {
        let Self::In(folders) = self else {
            return Ok(());
        };
        let parent = match file.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => file,
        };
        // Without folders there is nothing to resolve, and the sandbox forbids it.
        let inside = !folders.is_empty()
            && match parent.canonicalize() {
                Ok(parent) => folders.iter().any(|folder| parent.starts_with(folder)),
                // Opening the file fails for the same reason, which the reply then tells.
                Err(_) => true,
            };
        if inside {
            return Ok(());
        }
        Err(StateFileError::Elsewhere {
            path: file.to_owned(),
            folders: folders.clone(),
        })
    }
}

/// Saves the device. Replaces an existing file; the file gets its name once it is complete.
///
/// # Errors
/// Returns [`StateFileError::Write`].
pub fn save(device: DeviceRef<'_>, now: Time, path: &Path) -> Result<(), StateFileError> {
    let text = format!("{:#}\n", device.save(now));
    let mut beside = OsString::from(path);
    beside.push(".part");
    fs::write(&beside, text)
        .and_then(|()| fs::rename(&beside, path))
        .map_err(|reason| {
            // Removes the partial file, if there is one.
            fs::remove_file(&beside).ok();
            let path = path.to_owned();
            StateFileError::Write { path, reason }
        })
}

/// Restores the device.
///
/// # Errors
/// Fails if the file cannot be read or does not fit; the device is then unchanged.
pub fn restore(device: &mut DeviceMut<'_>, now: Time, path: &Path) -> Result<(), StateFileError> {
    let file = || path.to_owned();
    let text = read(path).map_err(|reason| StateFileError::Read {
        path: file(),
        reason,
    })?;
    let tree = serde_json::from_slice(&text).map_err(|reason| StateFileError::Malformed {
        path: file(),
        reason,
    })?;
    device
        .restore(now, &tree)
        .map_err(|reason| StateFileError::Restore {
            path: file(),
            reason,
        })
}

/// Reads a regular file. A device or FIFO may have no end, or block the open.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}
