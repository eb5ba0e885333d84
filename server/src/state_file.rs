//! Files that hold the saved state of a device: its tree as JSON.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use pci_device_models::host::Device;
use pci_device_models::snapshot::RestoreError;
use pci_device_models::time::Time;
use rustix::fs::OFlags;
use thiserror::Error;

/// Why a device was not saved to a file or restored from one.
#[derive(Debug, Error)]
pub enum StateFileError {
    /// The file cannot be written.
    #[error("{}: the state cannot be written: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// The file cannot be read.
    #[error("{}: the state cannot be read: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// The file is no JSON.
    #[error("{}: this is no saved state: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: serde_json::Error,
    },
    /// The file is not where a server that is shut in may go.
    #[error(
        "{}: this server saves and restores {}; start it with --state-dir and the folder",
        path.display(),
        listed(folders)
    )]
    Elsewhere {
        /// The file.
        path: PathBuf,
        /// Where it may go.
        folders: Vec<PathBuf>,
    },
    /// The device does not take what the file says.
    #[error("{}: {reason}", path.display())]
    Restore {
        /// The file.
        path: PathBuf,
        /// Why.
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

/// Where control clients may have files written and read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Places {
    /// Wherever the server may.
    #[default]
    Anywhere,
    /// In these folders and below, whose paths are absolute and without symbolic links.
    In(Vec<PathBuf>),
}

impl Places {
    /// Whether `file` lies in one of the places.
    ///
    /// # Errors
    /// [`StateFileError::Elsewhere`].
    pub fn check(&self, file: &Path) -> Result<(), StateFileError> {
        let Self::In(folders) = self else {
            return Ok(());
        };
        let parent = match file.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => file,
        };
        // Without folders there is nothing to look for, and a server that is shut in may not.
        let inside = !folders.is_empty()
            && match parent.canonicalize() {
                Ok(parent) => folders.iter().any(|folder| parent.starts_with(folder)),
                // Opening the file fails for the same reason, which is what is to be told.
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

/// Saves the device. The file is complete when it has its name; one of that name is replaced.
///
/// # Errors
/// [`StateFileError::Write`].
pub fn save(device: &Device, now: Time, path: &Path) -> Result<(), StateFileError> {
    let text = format!("{:#}\n", device.save(now));
    let mut beside = OsString::from(path);
    beside.push(".part");
    fs::write(&beside, text)
        .and_then(|()| fs::rename(&beside, path))
        .map_err(|reason| {
            // Half a file is of no use; where there is none this fails.
            fs::remove_file(&beside).ok();
            let path = path.to_owned();
            StateFileError::Write { path, reason }
        })
}

/// Restores the device.
///
/// # Errors
/// The file cannot be read or does not fit; the device is what it was before.
pub fn restore(device: &mut Device, now: Time, path: &Path) -> Result<(), StateFileError> {
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

/// The bytes of a regular file. Anything else may have no end, or keep whoever opens it waiting.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}
