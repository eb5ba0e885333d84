//! The files that maps refer to, each held once no matter how many maps it has.
//!
//! A file is mapped into the server, as a whole, only if all of this holds:
//! - the profile asks for it ([`super::ClientMemory::MapSealed`]), or the client does for a map of its own;
//! - `F_SEAL_SHRINK` is set, so that the client cannot take pages away under the mapping;
//! - it lies on a tmpfs, where a page that is not there reads zero. (With huge pages a hole may
//!   have no page at all, and touching it would kill the server.)

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

use bitflags::bitflags;
use rustix::fs::{FileType, OFlags, SealFlags, fcntl_get_seals, fcntl_getfl, fstat, fstatfs};
use rustix::io::{Errno, pread, pwrite};

use crate::ratelimit::limited;
use crate::sys::Mapping;

/// `TMPFS_MAGIC` of statfs(2).
const TMPFS_MAGIC: i64 = 0x0102_1994;

bitflags! {
    /// Rights to memory.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub(super) struct Rights: u8 {
        const READ = 1 << 0;
        const WRITE = 1 << 1;
    }
}

/// The reason why a descriptor cannot be client memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FileError {
    #[error("the file is not a regular file or memfd")]
    NotRegular,
    #[error("the file descriptor allows no access to the file")]
    NoAccess,
    #[error("the file cannot be examined: {0}")]
    Examine(Errno),
    #[error("there are maps of {limit} files, the most that this server holds")]
    TooMany { limit: usize },
}

/// An error of an access to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccessError {
    /// The file ends this many bytes into the access.
    End { done: usize },
    /// The file refused the access.
    Refused(Errno),
}

/// Names a file in [`Files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId(usize);

/// Two descriptors with the same identity can stand for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Identity {
    device: u64,
    inode: u64,
    rights: Rights,
}

impl Identity {
    fn is_same_file(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

#[derive(Debug)]
struct File {
    fd: OwnedFd,
    identity: Identity,
    users: usize,
    mapping: Option<Mapping>,
}

/// Files with the number of their users.
#[derive(Debug)]
pub(super) struct Files {
    slots: Vec<Option<File>>,
    vacant: Vec<usize>,
    by_identity: HashMap<Identity, usize>,
    limit: usize,
}

impl Files {
    /// None, and never more than `limit`.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            vacant: Vec::new(),
            by_identity: HashMap::new(),
            limit,
        }
    }

    /// Takes a descriptor in and gives it its first or a further user. What the descriptor allows
    /// comes back, too. `by_mapping`: this user wants it mapped, if that is safe.
    pub(super) fn acquire(
        &mut self,
        fd: OwnedFd,
        by_mapping: bool,
    ) -> Result<(FileId, Rights), FileError> {
        let identity = identify(&fd)?;
        if let Some(&slot) = self.by_identity.get(&identity)
            && let Some(Some(file)) = self.slots.get_mut(slot)
        {
            file.users += 1;
            if by_mapping && file.mapping.is_none() {
                file.mapping = map_whole(&file.fd, identity.rights);
            }
            return Ok((FileId(slot), identity.rights));
        }
        if self.by_identity.len() >= self.limit {
            return Err(FileError::TooMany { limit: self.limit });
        }
        let mapping = if by_mapping {
            map_whole(&fd, identity.rights)
        } else {
            None
        };
        let file = Some(File {
            fd,
            identity,
            users: 1,
            mapping,
        });
        let slot = match self.vacant.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        if let Some(place) = self.slots.get_mut(slot) {
            *place = file;
        }
        self.by_identity.insert(identity, slot);
        Ok((FileId(slot), identity.rights))
    }

    /// Takes one user away. Without users the file is closed.
    pub(super) fn release(&mut self, FileId(slot): FileId) {
        let Some(place) = self.slots.get_mut(slot) else {
            return;
        };
        if let Some(file) = place {
            file.users -= 1;
            if file.users == 0 {
                self.by_identity.remove(&file.identity);
                *place = None;
                self.vacant.push(slot);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Reads from `offset` on. `by_mapping`: through the mapping if there is one.
    pub(super) fn read(
        &mut self,
        id: FileId,
        by_mapping: bool,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), AccessError> {
        let Some(file) = self.get(id) else {
            return Err(AccessError::End { done: 0 });
        };
        if by_mapping && file.through_mapping(|mapping| mapping.read(offset, data)) {
            return Ok(());
        }
        let len = data.len();
        whole(len, |done| {
            let rest = data.get_mut(done..).unwrap_or_default();
            pread(&file.fd, rest, offset.saturating_add(done as u64))
        })
    }

    /// Writes from `offset` on.
    pub(super) fn write(
        &mut self,
        id: FileId,
        by_mapping: bool,
        offset: u64,
        data: &[u8],
    ) -> Result<(), AccessError> {
        let Some(file) = self.get(id) else {
            return Err(AccessError::End { done: 0 });
        };
        if by_mapping && file.through_mapping(|mapping| mapping.write(offset, data)) {
            return Ok(());
        }
        // A write beyond the end would make the file grow instead of coming out short.
        let size = fstat(&file.fd).map_err(AccessError::Refused)?.st_size;
        let room = u64::try_from(size)
            .unwrap_or_default()
            .saturating_sub(offset);
        let inside = data.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        whole(inside, |done| {
            let rest = data.get(done..inside).unwrap_or_default();
            pwrite(&file.fd, rest, offset.saturating_add(done as u64))
        })?;
        if inside == data.len() {
            Ok(())
        } else {
            Err(AccessError::End { done: inside })
        }
    }

    /// Copies between two places of files that are both mapped. `false`, and nothing is copied, if
    /// they are not, not as far, or if the places may overlap.
    pub(super) fn copy_mapped(
        &self,
        (from, from_offset): (FileId, u64),
        (to, to_offset): (FileId, u64),
        len: usize,
    ) -> bool {
        let file = |FileId(slot): FileId| self.slots.get(slot)?.as_ref();
        let (Some(from), Some(to)) = (file(from), file(to)) else {
            return false;
        };
        let apart = from_offset.abs_diff(to_offset) >= len as u64
            || !from.identity.is_same_file(to.identity);
        let (Some(source), Some(destination)) = (&from.mapping, &to.mapping) else {
            return false;
        };
        apart && source.copy(from_offset, destination, to_offset, len)
    }

    fn get(&mut self, FileId(slot): FileId) -> Option<&mut File> {
        self.slots.get_mut(slot)?.as_mut()
    }

    #[cfg(test)]
    pub(super) fn mapped_files(&self) -> usize {
        let files = self.slots.iter().flatten();
        files.filter(|file| file.mapping.is_some()).count()
    }

    #[cfg(test)]
    pub(super) fn open_files(&self) -> usize {
        self.slots.iter().flatten().count()
    }
}

impl File {
    /// Runs `access` on the mapping, which follows the file's growth. Returns whether it succeeded.
    fn through_mapping(&mut self, mut access: impl FnMut(&Mapping) -> bool) -> bool {
        let Some(mapping) = &self.mapping else {
            return false;
        };
        if access(mapping) {
            return true;
        }
        let grown = fstat(&self.fd)
            .is_ok_and(|stat| usize::try_from(stat.st_size).is_ok_and(|size| size > mapping.len()));
        if !grown {
            return false;
        }
        self.mapping = map_whole(&self.fd, self.identity.rights);
        self.mapping.as_ref().is_some_and(access)
    }
}

fn identify(fd: &OwnedFd) -> Result<Identity, FileError> {
    let stat = fstat(fd).map_err(FileError::Examine)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(FileError::NotRegular);
    }
    let flags = fcntl_getfl(fd).map_err(FileError::Examine)?;
    let rights = match flags & OFlags::ACCMODE {
        _ if flags.contains(OFlags::PATH) => Rights::empty(),
        OFlags::RDONLY => Rights::READ,
        OFlags::WRONLY => Rights::WRITE,
        OFlags::RDWR => Rights::all(),
        _ => Rights::empty(),
    };
    if rights.is_empty() {
        return Err(FileError::NoAccess);
    }
    Ok(Identity {
        device: stat.st_dev,
        inode: stat.st_ino,
        rights,
    })
}

/// Maps the whole file if that is safe; see the module.
fn map_whole(fd: &OwnedFd, rights: Rights) -> Option<Mapping> {
    let sealed = fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(SealFlags::SHRINK));
    let on_tmpfs = fstatfs(fd).is_ok_and(|fs| fs.f_type == TMPFS_MAGIC);
    if !sealed || !on_tmpfs || !rights.contains(Rights::READ) {
        return None;
    }
    let size = usize::try_from(fstat(fd).ok()?.st_size).ok()?;
    if size == 0 {
        return None;
    }
    match Mapping::new(fd.as_fd(), size, rights.contains(Rights::WRITE)) {
        Ok(mapping) => Some(mapping),
        Err(error) => {
            limited!(warn, %error, size, "cannot map client memory, using file I/O");
            None
        }
    }
}

/// Repeats a transfer that may come out short until all of `len` bytes are done.
fn whole(
    len: usize,
    mut transfer: impl FnMut(usize) -> rustix::io::Result<usize>,
) -> Result<(), AccessError> {
    let mut done = 0;
    while done < len {
        match transfer(done) {
            Ok(0) => return Err(AccessError::End { done }),
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(AccessError::Refused(errno)),
        }
    }
    Ok(())
}
