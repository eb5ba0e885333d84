//! The files that maps refer to, each held once no matter how many maps it has.
//!
//! A file is mapped into the server, as a whole, only if all of this holds:
//! - there is room for it in the [`AddressSpace`];
//! - the profile asks for it ([`super::ClientMemory::MapSealed`]), or the client does for a map of its own;
//! - `F_SEAL_SHRINK` is set, so that the client cannot take pages away under the mapping;
//! - it lies on a tmpfs, where a page that is not there reads zero. (With huge pages a hole may
//!   have no page at all.)
//!
//! A page may be missing nevertheless, if there is no memory for it. A mapping in which one was is given
//! up, and from then on the file is read and written, which fails with an error where a mapping faults.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

use bitflags::bitflags;
use rustix::fs::{FileType, OFlags, SealFlags, fcntl_get_seals, fcntl_getfl, fstat, fstatfs};
use rustix::io::{Errno, pread, pwrite};

use super::space::{AddressSpace, Placed};
use crate::closer::Closer;
use crate::ratelimit::limited;
use crate::sys::{Copied, Mapping};

/// `TMPFS_MAGIC` of statfs(2).
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// Size in bytes from which on closing a file, or taking its mapping back, may take the larger part of a
/// millisecond.
const LARGE: i64 = 4 << 20;

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
    mapping: Option<Placed>,
    /// A page of its mapping was missing, so it is not mapped any more.
    faulted: bool,
    /// Closing it may take long.
    is_large: bool,
}

/// Files with the number of their users.
#[derive(Debug)]
pub(super) struct Files {
    slots: Vec<Option<File>>,
    vacant: Vec<usize>,
    by_identity: HashMap<Identity, usize>,
    limit: usize,
    space: AddressSpace,
    closer: Closer,
}

impl Files {
    /// None, and never more than `limit`, whose mappings take their place in `space`. `closer` closes
    /// those that are large.
    pub(super) fn new(limit: usize, space: AddressSpace, closer: Closer) -> Self {
        Self {
            slots: Vec::new(),
            vacant: Vec::new(),
            by_identity: HashMap::new(),
            limit,
            space,
            closer,
        }
    }

    /// Takes a descriptor in and gives it its first or a further user. What the descriptor allows
    /// comes back, too. `by_mapping`: this user wants it mapped, if that is safe.
    pub(super) fn acquire(
        &mut self,
        fd: OwnedFd,
        by_mapping: bool,
    ) -> Result<(FileId, Rights), FileError> {
        let (identity, size) = identify(&fd)?;
        if let Some(&slot) = self.by_identity.get(&identity)
            && let Some(Some(file)) = self.slots.get_mut(slot)
        {
            file.users += 1;
            if by_mapping && file.mapping.is_none() && !file.faulted {
                file.mapping = map_whole(&file.fd, identity.rights, &self.space);
            }
            return Ok((FileId(slot), identity.rights));
        }
        if self.by_identity.len() >= self.limit {
            return Err(FileError::TooMany { limit: self.limit });
        }
        let mapping = if by_mapping {
            map_whole(&fd, identity.rights, &self.space)
        } else {
            None
        };
        let file = Some(File {
            fd,
            identity,
            users: 1,
            mapping,
            faulted: false,
            is_large: size >= LARGE,
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
                if let Some(file) = place.take() {
                    file.close(&self.closer);
                }
                self.vacant.push(slot);
            }
        }
    }

    /// Reads from `offset` on. `by_mapping`: through the mapping if there is one.
    pub(super) fn read(
        &mut self,
        id: FileId,
        by_mapping: bool,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), AccessError> {
        let place = self.slots.get_mut(id.0);
        let (Some(file), space) = (place.and_then(Option::as_mut), &self.space) else {
            return Err(AccessError::End { done: 0 });
        };
        if by_mapping && file.through_mapping(space, &self.closer, |map| map.read(offset, data)) {
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
        let place = self.slots.get_mut(id.0);
        let (Some(file), space) = (place.and_then(Option::as_mut), &self.space) else {
            return Err(AccessError::End { done: 0 });
        };
        if by_mapping && file.through_mapping(space, &self.closer, |map| map.write(offset, data)) {
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

    /// Copies between two places of files that are both mapped. `false` if they are not, not as far, or
    /// if the places may overlap. If a page is missing as well; then some bytes may be copied.
    pub(super) fn copy_mapped(
        &mut self,
        (from, from_offset): (FileId, u64),
        (to, to_offset): (FileId, u64),
        len: usize,
    ) -> bool {
        let file = |FileId(slot): FileId| self.slots.get(slot)?.as_ref();
        let (Some(source), Some(destination)) = (file(from), file(to)) else {
            return false;
        };
        let apart = from_offset.abs_diff(to_offset) >= len as u64
            || !source.identity.is_same_file(destination.identity);
        let (Some(source), Some(destination)) = (&source.mapping, &destination.mapping) else {
            return false;
        };
        let copied = if apart {
            source.copy(from_offset, destination, to_offset, len)
        } else {
            Copied::Outside
        };
        if copied == Copied::Faulted {
            // Which of them it was does not matter.
            for id in [from, to] {
                if let Some(Some(file)) = self.slots.get_mut(id.0) {
                    file.give_mapping_up(&self.closer);
                }
            }
        }
        copied == Copied::All
    }

    #[cfg(test)]
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
    /// Closes the file and takes its mapping back.
    fn close(self, closer: &Closer) {
        if self.is_large {
            closer.close(self, |file| {
                if let Some(mapping) = &file.mapping {
                    mapping.empty();
                }
            });
        }
    }

    /// Takes its mapping back.
    fn unmap(&mut self, closer: &Closer) {
        if let Some(mapping) = self.mapping.take()
            && self.is_large
        {
            closer.close(mapping, |mapping| mapping.empty());
        }
    }

    /// Runs `access` on the mapping, which follows the file's growth. Returns whether it succeeded.
    fn through_mapping(
        &mut self,
        space: &AddressSpace,
        closer: &Closer,
        mut access: impl FnMut(&Mapping) -> Copied,
    ) -> bool {
        let Some(mapping) = &self.mapping else {
            return false;
        };
        let mut copied = access(mapping);
        if copied == Copied::Outside {
            let len = mapping.len();
            let grown = fstat(&self.fd)
                .is_ok_and(|stat| usize::try_from(stat.st_size).is_ok_and(|size| size > len));
            if !grown {
                return false;
            }
            self.unmap(closer);
            self.mapping = map_whole(&self.fd, self.identity.rights, space);
            self.is_large = true;
            copied = self.mapping.as_deref().map_or(Copied::Outside, access);
        }
        if copied == Copied::Faulted {
            self.give_mapping_up(closer);
        }
        copied == Copied::All
    }

    /// Ends a mapping that must not be used any more.
    fn give_mapping_up(&mut self, closer: &Closer) {
        self.unmap(closer);
        self.faulted = true;
        limited!(warn, "a page of client memory is missing, using file I/O");
    }
}

/// Returns the identity of a file and its size in bytes.
fn identify(fd: &OwnedFd) -> Result<(Identity, i64), FileError> {
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
    let identity = Identity {
        device: stat.st_dev,
        inode: stat.st_ino,
        rights,
    };
    Ok((identity, stat.st_size))
}

/// Maps the whole file if that is safe; see the module.
fn map_whole(fd: &OwnedFd, rights: Rights, space: &AddressSpace) -> Option<Placed> {
    let sealed = fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(SealFlags::SHRINK));
    let on_tmpfs = fstatfs(fd).is_ok_and(|fs| fs.f_type == TMPFS_MAGIC);
    if !sealed || !on_tmpfs || !rights.contains(Rights::READ) {
        return None;
    }
    let size = usize::try_from(fstat(fd).ok()?.st_size).ok()?;
    if size == 0 {
        return None;
    }
    match space.map(fd.as_fd(), size, rights.contains(Rights::WRITE)) {
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

#[cfg(test)]
mod tests {
    use std::fs::File as StdFile;

    use rustix::fs::{MemfdFlags, fcntl_add_seals, memfd_create};

    use super::*;
    use crate::closer::tests::blocked;
    use crate::sys::catch_faults;

    const LEN: u64 = 4 * 4096;

    /// A file that is mapped, through a mapping of one that has been cut to nothing.
    fn faulting(files: &mut Files) -> FileId {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = StdFile::from(memfd_create("client", flags).unwrap());
        file.set_len(LEN).unwrap();
        fcntl_add_seals(&file, SealFlags::SHRINK).unwrap();
        let (id, _) = files.acquire(file.into(), true).unwrap();
        let cut = tempfile::tempfile().unwrap();
        cut.set_len(LEN).unwrap();
        let placed = files.space.map(cut.as_fd(), LEN as usize, true).unwrap();
        cut.set_len(0).unwrap();
        files.slots[id.0].as_mut().unwrap().mapping = Some(placed);
        id
    }

    #[test]
    fn a_large_file_is_closed_by_the_closer_and_a_small_one_at_once() {
        let (closer, unblock) = blocked();
        let space = AddressSpace::default();
        let mut files = Files::new(9, space.clone(), closer);
        let mut once_mapped = |size: i64| {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let file = StdFile::from(memfd_create("client", flags).unwrap());
            file.set_len(size.cast_unsigned()).unwrap();
            fcntl_add_seals(&file, SealFlags::SHRINK).unwrap();
            let (id, _) = files.acquire(file.into(), true).unwrap();
            assert_eq!(files.mapped_files(), 1);
            files.release(id);
        };
        once_mapped(LARGE - 4096);
        assert_eq!(space.used(), 0);
        once_mapped(3 * LARGE);
        assert_eq!(space.used(), 3 * LARGE.cast_unsigned());
        unblock.send(()).unwrap();
        while space.used() > 0 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn where_a_mapping_faults_the_file_is_used_from_then_on() {
        catch_faults();
        let mut files = Files::new(9, AddressSpace::default(), Closer::default());
        let id = faulting(&mut files);
        assert_eq!(files.write(id, true, 5, &[1, 2, 3]), Ok(()));
        assert_eq!(files.mapped_files(), 0);
        let mut data = [9; 4];
        assert_eq!(files.read(id, true, 4, &mut data), Ok(()));
        assert_eq!(data, [0, 1, 2, 3]);
        let id = faulting(&mut files);
        assert_eq!(files.read(id, true, 0, &mut data), Ok(()));
        assert_eq!(data, [0; 4]);
        // Another map of the same file does not map it again.
        let fd = files.get(id).unwrap().fd.try_clone().unwrap();
        assert_eq!(files.acquire(fd, true).unwrap().0, id);
        assert_eq!(files.mapped_files(), 0);

        let (from, to) = (faulting(&mut files), faulting(&mut files));
        assert!(!files.copy_mapped((from, 0), (to, 4096), 4096));
        assert_eq!(files.mapped_files(), 0);
    }
}
