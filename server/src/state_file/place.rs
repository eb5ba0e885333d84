//! The folders in which control clients have files written and read, and files in them.
//!
//! A file is reached through its folder, which is opened once: whatever becomes of the path meanwhile,
//! the file is read, written and replaced in that folder. Its own name is never followed if it is a
//! symbolic link.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, fstat, openat, renameat, renameat_with,
    unlinkat,
};
use rustix::io::Errno;

use super::StateFileError;
use crate::closer::Closer;

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
    pub(crate) fn replace(&self, closer: &Closer) -> io::Result<Replacement> {
        let mut part = self.name.clone();
        part.push(".part");
        self.remove(&part, closer)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        Ok(Replacement {
            file: Some(self.open_as(&part, flags)?),
            closer: closer.clone(),
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

    /// Removes a file of the folder, if there is one of that name. `closer` waits for the end of a large one.
    fn remove(&self, name: &OsStr, closer: &Closer) -> io::Result<()> {
        // Whoever closes it last does the work. Without this it is whoever removes the name.
        let file = self.open_path(name);
        match unlinkat(&self.folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        if let Ok(file) = file {
            closer.close(file, drop);
        }
        Ok(())
    }

    /// Opens a file for its identity only.
    fn open_path(&self, name: &OsStr) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.folder, name, flags, Mode::empty())
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
    file: Option<File>,
    closer: Closer,
}

impl Replacement {
    /// Appends to the file.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file
            .as_mut()
            .map_or(Ok(()), |file| file.write_all(bytes))
    }

    /// Gives the file its name, in place of an older one.
    ///
    /// # Errors
    /// There is a folder of that name, or the system refuses; the new file is removed.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        let Some(part) = self.part.take() else {
            return Ok(());
        };
        let moved = self.move_into_place(&part);
        if moved.is_err() {
            self.part = Some(part);
        }
        moved
    }

    /// An older file changes its name with the new one before it goes. If it went by the change of names
    /// alone, the file system would do all the work for its end, and for the beginning of the new one, then.
    fn move_into_place(&self, part: &OsStr) -> io::Result<()> {
        let StatePlace { folder, name } = &self.place;
        if let Ok(old) = self.place.open_path(name) {
            if FileType::from_raw_mode(fstat(&old)?.st_mode) == FileType::Directory {
                return Err(Errno::ISDIR.into());
            }
            match renameat_with(folder, part, folder, name, RenameFlags::EXCHANGE) {
                Ok(()) => {
                    // The new file has its name. What is left of the old one, the next save removes.
                    let _ = self.place.remove(part, &self.closer);
                    return Ok(());
                }
                // The file system cannot do that.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(renameat(folder, part, folder, name)?)
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            // Nothing can report an error here, and the next save removes what is left.
            let _ = self.place.remove(part, &self.closer);
        }
        let file = self.file.take();
        self.closer.close(file, drop);
    }
}

#[cfg(test)]
mod tests;
