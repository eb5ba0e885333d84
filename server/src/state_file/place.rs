//! The folders in which control clients have files written and read, and files in them.
//!
//! A file is reached through its folder, which is opened once: whatever becomes of the path meanwhile,
//! the file is read, written and replaced in that folder. Its own name is never followed if it is a
//! symbolic link.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::StateFileError;

/// Folders above a file that are looked at. A path has at most 4096 bytes, but links make it longer.
const MAX_DEPTH: usize = 4096;

/// A folder that nothing is read from or written to directly.
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Places in which control clients may have files written and read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Places {
    /// All places that the server itself can reach.
    #[default]
    Anywhere,
    /// These folders and their subfolders, as absolute paths. A control client names a file by one of
    /// them, without `..`.
    In(Vec<PathBuf>),
}

impl Places {
    /// Checks that `file` lies in one of the places.
    ///
    /// # Errors
    /// Returns [`StateFileError::Elsewhere`] if it does not.
    pub fn check(&self, file: &Path) -> Result<(), StateFileError> {
        match self.find(file) {
            // Using the file fails for the same reason.
            Ok(_) | Err(FindError::Folder(_)) => Ok(()),
            Err(FindError::Elsewhere(error)) => Err(error),
        }
    }

    /// Returns `file` in its folder.
    ///
    /// # Errors
    /// The file is in none of the places, or its folder cannot be opened.
    pub(crate) fn find(&self, file: &Path) -> Result<StatePlace, FindError> {
        let Self::In(folders) = self else {
            return StatePlace::new(file).map_err(FindError::Folder);
        };
        let elsewhere = || {
            FindError::Elsewhere(StateFileError::Elsewhere {
                path: file.to_owned(),
                folders: folders.clone(),
            })
        };
        // By name first: what is elsewhere is not even looked up. (Without folders, the sandbox
        // forbids to ask for the current one.)
        if folders.is_empty() || file.components().any(|part| part == Component::ParentDir) {
            return Err(elsewhere());
        }
        let named = std::path::absolute(file).map_err(FindError::Folder)?;
        let holds = |folder: &&PathBuf| named.starts_with(folder) && named != **folder;
        let roots: Vec<&PathBuf> = folders.iter().filter(holds).collect();
        if roots.is_empty() {
            return Err(elsewhere());
        }
        let place = StatePlace::new(&named).map_err(FindError::Folder)?;
        // A symbolic link on the way may have led out.
        match place.is_beneath(&roots) {
            Ok(true) => Ok(place),
            Ok(false) | Err(_) => Err(elsewhere()),
        }
    }
}

/// The reason why a file is not found in its place.
#[derive(Debug)]
pub(crate) enum FindError {
    /// It is in none of the places.
    Elsewhere(StateFileError),
    /// Its folder cannot be opened.
    Folder(io::Error),
}

/// A file by its name in a folder. It need not exist.
#[derive(Debug)]
pub(crate) struct StatePlace {
    folder: OwnedFd,
    name: OsString,
}

impl StatePlace {
    /// Opens the folder of `file`.
    ///
    /// # Errors
    /// The folder cannot be opened, or the path names no file.
    pub(crate) fn new(file: &Path) -> io::Result<Self> {
        let name = file.file_name().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "the path does not end in a name",
            )
        })?;
        let parent = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        Ok(Self {
            folder: openat(CWD, parent, FOLDER, Mode::empty())?,
            name: name.to_owned(),
        })
    }

    /// Opens the file for reading. It must be a regular file: a device or FIFO may have no end, or block
    /// the open.
    ///
    /// # Errors
    /// The file cannot be opened, or is of another kind. A symbolic link gives ELOOP.
    pub(crate) fn open(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.open_as(&self.name, flags)?;
        if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(file)
    }

    /// Creates the file's replacement, which is empty and has a name of its own beside it. What a
    /// server left behind under that name is removed.
    ///
    /// # Errors
    /// The replacement cannot be created.
    pub(crate) fn replace(&self) -> io::Result<Replacement> {
        let mut part = self.name.clone();
        part.push(".part");
        match unlinkat(&self.folder, &part, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        Ok(Replacement {
            file: self.open_as(&part, flags)?,
            place: Self {
                folder: self.folder.try_clone()?,
                name: self.name.clone(),
            },
            part: Some(part),
        })
    }

    fn open_as(&self, name: &OsStr, flags: OFlags) -> io::Result<File> {
        let mode = Mode::from_raw_mode(0o666);
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(openat(&self.folder, name, flags, mode)?))
    }

    /// Returns whether the file's folder is one of `roots` or in one of them.
    fn is_beneath(&self, roots: &[&PathBuf]) -> io::Result<bool> {
        let identity = |fd: &OwnedFd| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
        let roots = roots
            .iter()
            .map(|root| identity(&openat(CWD, *root, FOLDER, Mode::empty())?))
            .collect::<Result<Vec<_>, Errno>>()?;
        let mut folder = self.folder.as_fd().try_clone_to_owned()?;
        for _ in 0..MAX_DEPTH {
            let here = identity(&folder)?;
            if roots.contains(&here) {
                return Ok(true);
            }
            folder = openat(&folder, "..", FOLDER, Mode::empty())?;
            if identity(&folder)? == here {
                break;
            }
        }
        Ok(false)
    }
}

/// A new file that takes the place of another once it is complete. Unless it does, it is removed.
#[derive(Debug)]
pub(crate) struct Replacement {
    place: StatePlace,
    part: Option<OsString>,
    /// The file, open for writing.
    pub(crate) file: File,
}

impl Replacement {
    /// Gives the file its name, in place of an older one.
    ///
    /// # Errors
    /// There is a folder of that name, or the system refuses; the new file is removed.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        if let Some(part) = &self.part {
            let StatePlace { folder, name } = &self.place;
            renameat(folder, part, folder, name)?;
            self.part = None;
        }
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            // Nothing can report an error here, and the next save removes what is left.
            let _ = unlinkat(&self.place.folder, part, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests;
