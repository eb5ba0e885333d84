//! The table of maps from bus addresses to file ranges, or to the client that owns the memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::fd::OwnedFd;

use pci_device_models::dma::DmaError;
use vfio_user_protocol::Errno;
use vfio_user_protocol::messages::dma_map::{self, DmaMapFlags};
use vfio_user_protocol::messages::dma_unmap::Target;

use super::file::{AccessError, FileError, FileId, Files, Rights};
use super::{AddressSpace, ClientMemory, DirtyLog, Owner};
use crate::budget::Budget;
use crate::closer::Closer;
use crate::ratelimit::limited;

/// Addresses and sizes of maps are multiples of this.
pub(crate) const PAGE_SIZE: u64 = 4096;

/// An error of mapping or unmapping a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MapError {
    #[error("{address:#x} + {size:#x}: both must be multiples of {PAGE_SIZE:#x}")]
    Unaligned { address: u64, size: u64 },
    #[error("{address:#x} + {size:#x} overlaps the map at {other:#x}; unmap that first")]
    Overlap { address: u64, size: u64, other: u64 },
    #[error("there are {limit} maps, the most that this server holds")]
    Full { limit: usize },
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{address:#x} + {size:#x} cuts the map at {other:#x} in two; unmap whole maps")]
    Cut { address: u64, size: u64, other: u64 },
}

impl MapError {
    /// Returns the errno for the reply. The kernel's IOMMU driver gives ENOSPC at its limit of mappings; a
    /// process with too many open files gets EMFILE.
    pub(crate) fn errno(self) -> Errno {
        match self {
            Self::Unaligned { .. } | Self::Cut { .. } => Errno::EINVAL,
            Self::Overlap { .. } => Errno::EEXIST,
            Self::Full { .. } => Errno::ENOSPC,
            Self::File(FileError::NotRegular) => Errno::EINVAL,
            Self::File(FileError::NoAccess) => Errno::EACCES,
            Self::File(FileError::Examine(errno)) => Errno(errno.raw_os_error()),
            Self::File(FileError::TooMany { .. }) => Errno::EMFILE,
        }
    }
}

/// A range of addresses; its first is the key under which it is kept.
#[derive(Clone, Copy, Debug)]
struct Map {
    first: u64,
    last: u64,
    rights: Rights,
    /// Number of the client that made it.
    client: u64,
    backing: Backing,
}

/// The memory behind a map.
#[derive(Clone, Copy, Debug)]
enum Backing {
    File(FileRange),
    /// Memory that only this client reaches.
    Owner(Owner),
}

/// The start of a map in a file.
#[derive(Clone, Copy, Debug)]
struct FileRange {
    file: FileId,
    offset: u64,
    by_mapping: bool,
}

/// The part of an access that lies in one map.
struct Piece {
    map: Map,
    len: usize,
}

/// The extent to which an access was performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To its end.
    All,
    /// `done` bytes far: the next `len` are in a map without a file, so `owner` has to be asked.
    Ask {
        done: usize,
        len: usize,
        owner: Owner,
    },
}

impl Reach {
    /// Bytes of the `len` asked for that were done.
    pub(crate) const fn done(self, len: usize) -> usize {
        match self {
            Self::All => len,
            Self::Ask { done, .. } => done,
        }
    }
}

/// The DMA maps of a function.
#[derive(Debug)]
pub(crate) struct DmaTable {
    maps: BTreeMap<u64, Map>,
    files: Files,
    /// Access to files for which the client requests none.
    access: ClientMemory,
    /// Devices go through memory in order, so the map of the last access is often that of the next.
    /// A copy goes back and forth between two.
    last_read: Option<Map>,
    last_written: Option<Map>,
    limit: usize,
    /// The pages that the device wrote, in any memory.
    pub(crate) log: DirtyLog,
}

impl DmaTable {
    /// A table for at most `limit` maps.
    pub(crate) fn new(access: ClientMemory, limit: usize) -> Self {
        Self {
            maps: BTreeMap::new(),
            files: Files::new(usize::MAX, AddressSpace::default(), Closer::default()),
            access,
            last_read: None,
            last_written: None,
            limit,
            log: DirtyLog::default(),
        }
    }

    /// The same for maps of at most `limit` different files, which are mapped into `space` and
    /// closed by `closer`.
    pub(crate) fn with_file_limit(
        mut self,
        limit: usize,
        space: AddressSpace,
        closer: Closer,
    ) -> Self {
        self.files = Files::new(limit, space, closer);
        self
    }

    /// Number of maps.
    pub(crate) fn len(&self) -> usize {
        self.maps.len()
    }

    /// Adds a map of `owner`, whose range is known not to be empty nor to wrap around. Without a file, the
    /// owner is asked for its memory.
    pub(crate) fn map(
        &mut self,
        request: &dma_map::Request,
        file: Option<OwnedFd>,
        owner: Owner,
    ) -> Result<(), MapError> {
        let (address, size) = (request.address, request.size);
        if !address.is_multiple_of(PAGE_SIZE) || !size.is_multiple_of(PAGE_SIZE) {
            return Err(MapError::Unaligned { address, size });
        }
        let last = request.last_address();
        if let Some(other) = self
            .last_at_or_below(last)
            .filter(|map| map.last >= address)
        {
            return Err(MapError::Overlap {
                address,
                size,
                other: other.first,
            });
        }
        if self.maps.len() >= self.limit {
            return Err(MapError::Full { limit: self.limit });
        }
        let mut rights = Rights::empty();
        rights.set(Rights::READ, request.flags.contains(DmaMapFlags::READ));
        rights.set(Rights::WRITE, request.flags.contains(DmaMapFlags::WRITE));
        let backing = match file {
            Some(file) => {
                let by_mapping = self.maps_file(request.flags);
                let (file, allowed) = self.files.acquire(file, by_mapping)?;
                rights &= allowed;
                Backing::File(FileRange {
                    file,
                    offset: request.offset,
                    by_mapping,
                })
            }
            None => Backing::Owner(owner),
        };
        let map = Map {
            first: address,
            last,
            rights,
            client: owner.client,
            backing,
        };
        self.maps.insert(address, map);
        Ok(())
    }

    /// Returns whether a map asks for its file to be mapped: the client's flags override the profile. The
    /// server reads and writes a file that it cannot map safely; the client sees no difference.
    fn maps_file(&self, flags: DmaMapFlags) -> bool {
        flags.contains(DmaMapFlags::ACCESS_MMAP)
            || (self.access == ClientMemory::MapSealed
                && !flags.contains(DmaMapFlags::ACCESS_FILE_IO))
    }

    /// Removes every map inside the range. None there is success, too: clients with an IOMMU of
    /// their own take back whole address spaces. A map that is inside only in part is an error, and
    /// nothing is removed.
    #[cfg(test)]
    pub(crate) fn unmap(&mut self, target: Target) -> Result<(), MapError> {
        self.check_unmap(target)?;
        while !self.unmap_some(target, &mut Budget::new(None)) {}
        Ok(())
    }

    /// Checks that no map is inside the range only in part.
    pub(crate) fn check_unmap(&self, target: Target) -> Result<(), MapError> {
        match target {
            Target::All => Ok(()),
            Target::Range { address, size } => {
                let last = address.saturating_add(size.saturating_sub(1));
                self.check_uncut(address, last, size)
            }
        }
    }

    /// Removes maps inside a range that has been checked, until there are none or the budget is spent.
    /// Returns whether there are none. None to begin with is success, too: clients with an IOMMU of their
    /// own take back whole address spaces.
    pub(crate) fn unmap_some(&mut self, target: Target, budget: &mut Budget) -> bool {
        let (first, last) = match target {
            Target::All => (0, u64::MAX),
            Target::Range { address, size } => {
                (address, address.saturating_add(size.saturating_sub(1)))
            }
        };
        (self.last_read, self.last_written) = (None, None);
        while let Some(key) = self.maps.range(first..=last).next().map(|(&key, _)| key) {
            if budget.is_spent() {
                return false;
            }
            if let Some(Backing::File(range)) = self.maps.remove(&key).map(|map| map.backing) {
                self.files.release(range.file);
            }
            budget.spend(1);
        }
        true
    }

    /// Removes the maps of a client that is gone.
    pub(crate) fn remove_client(&mut self, client: u64) {
        (self.last_read, self.last_written) = (None, None);
        let files = &mut self.files;
        self.maps.retain(|_, map| {
            let stays = map.client != client;
            if !stays && let Backing::File(range) = map.backing {
                files.release(range.file);
            }
            stays
        });
    }

    fn check_uncut(&self, address: u64, last: u64, size: u64) -> Result<(), MapError> {
        let before = address
            .checked_sub(1)
            .and_then(|end| self.last_at_or_below(end));
        let at_start = before.filter(|map| map.last >= address);
        let at_end = self.last_at_or_below(last).filter(|map| map.last > last);
        match at_start.or(at_end) {
            Some(other) => Err(MapError::Cut {
                address,
                size,
                other: other.first,
            }),
            None => Ok(()),
        }
    }

    /// Reads client memory, as far as there are files. The range may span maps that adjoin.
    ///
    /// # Errors
    /// [`DmaError::Unmapped`] and [`DmaError::NotPermitted`]; the bytes before the address that the
    /// error names have been read.
    pub(crate) fn read(&mut self, address: u64, data: &mut [u8]) -> Result<Reach, DmaError> {
        self.access(address, data.len(), Rights::READ, |files, range, part| {
            let data = data.get_mut(part).unwrap_or_default();
            files.read(range.file, range.by_mapping, range.offset, data)
        })
    }

    /// Writes client memory; otherwise as [`Self::read`].
    pub(crate) fn write(&mut self, address: u64, data: &[u8]) -> Result<Reach, DmaError> {
        self.access(address, data.len(), Rights::WRITE, |files, range, part| {
            let data = data.get(part).unwrap_or_default();
            files.write(range.file, range.by_mapping, range.offset, data)
        })
    }

    /// Copies from one address to another, as far as both are in one map each and the files of both
    /// are mapped. Bytes copied, of `len`; none if it takes [`Self::read`] and [`Self::write`], or
    /// if the two may overlap.
    pub(crate) fn copy_mapped(&mut self, from: u64, to: u64, len: usize) -> usize {
        let Ok(source) = self.piece(from, len, Rights::READ) else {
            return 0;
        };
        let Ok(destination) = self.piece(to, source.len, Rights::WRITE) else {
            return 0;
        };
        let len = destination.len;
        let place = |map: Map, at| match map.backing {
            Backing::File(range) if range.by_mapping => {
                Some((range.file, range.offset.saturating_add(at - map.first)))
            }
            Backing::File(_) | Backing::Owner(_) => None,
        };
        let (Some(source), Some(destination)) =
            (place(source.map, from), place(destination.map, to))
        else {
            return 0;
        };
        if !self.files.copy_mapped(source, destination, len) {
            return 0;
        }
        self.log.mark(to, len);
        len
    }

    /// Has every part of an access moved that lies in one map, until one lies in no file.
    fn access(
        &mut self,
        address: u64,
        len: usize,
        right: Rights,
        mut move_part: impl FnMut(&mut Files, FileRange, Range<usize>) -> Result<(), AccessError>,
    ) -> Result<Reach, DmaError> {
        let mut done = 0;
        while done < len {
            let at = offset(address, done)?;
            let piece = self.piece(at, len - done, right)?;
            match piece.map.backing {
                Backing::File(range) => {
                    let range = FileRange {
                        offset: range.offset.saturating_add(at - piece.map.first),
                        ..range
                    };
                    let part = done..done + piece.len;
                    let moved = move_part(&mut self.files, range, part);
                    let is_write = right == Rights::WRITE;
                    if is_write {
                        self.log.mark(at, reached(&moved, piece.len));
                    }
                    moved.map_err(|error| dma_error(error, at, is_write))?;
                }
                Backing::Owner(owner) => {
                    let len = piece.len;
                    return Ok(Reach::Ask { done, len, owner });
                }
            }
            done += piece.len;
        }
        Ok(Reach::All)
    }

    /// Returns the client that owns the memory at `address`, if the map there has no file.
    pub(crate) fn owner(&self, address: u64) -> Option<Owner> {
        match self
            .last_at_or_below(address)
            .filter(|map| map.last >= address)?
            .backing
        {
            Backing::Owner(owner) => Some(owner),
            Backing::File(_) => None,
        }
    }

    /// The part of an access of `len` bytes that lies in the map at `address`.
    fn piece(&mut self, address: u64, len: usize, right: Rights) -> Result<Piece, DmaError> {
        let map = self
            .find(address, right)
            .ok_or(DmaError::Unmapped { address })?;
        if !map.rights.contains(right) {
            let write = right == Rights::WRITE;
            return Err(DmaError::NotPermitted { address, write });
        }
        // One less than the bytes that are left in the map, which may be 2^64.
        let left = usize::try_from(map.last - address).unwrap_or(usize::MAX - 1);
        Ok(Piece {
            map,
            len: len.min(left.saturating_add(1)),
        })
    }

    fn find(&mut self, address: u64, right: Rights) -> Option<Map> {
        let holds = |map: &Map| map.first <= address && address <= map.last;
        let last_hit = if right == Rights::WRITE {
            self.last_written
        } else {
            self.last_read
        };
        if let Some(map) = last_hit.filter(holds) {
            return Some(map);
        }
        let hit = self.last_at_or_below(address).filter(holds);
        if right == Rights::WRITE {
            self.last_written = hit;
        } else {
            self.last_read = hit;
        }
        hit
    }

    /// The last map that begins at or below `address`.
    fn last_at_or_below(&self, address: u64) -> Option<Map> {
        self.maps.range(..=address).next_back().map(|(_, map)| *map)
    }

    #[cfg(test)]
    pub(super) fn mapped_files(&self) -> usize {
        self.files.mapped_files()
    }

    #[cfg(test)]
    pub(super) fn open_files(&self) -> usize {
        self.files.open_files()
    }
}

/// The address `done` bytes into an access. Nothing is mapped beyond the last address.
pub(crate) fn offset(address: u64, done: usize) -> Result<u64, DmaError> {
    address
        .checked_add(done as u64)
        .ok_or(DmaError::Unmapped { address: 0 })
}

/// Bytes of the `len` of an access to a file that may have been done. How far one came that was
/// refused is not known.
const fn reached(moved: &Result<(), AccessError>, len: usize) -> usize {
    match *moved {
        Err(AccessError::End { done }) => done,
        Ok(()) | Err(AccessError::Refused(_)) => len,
    }
}

fn dma_error(error: AccessError, address: u64, write: bool) -> DmaError {
    match error {
        AccessError::End { done } => DmaError::Unmapped {
            address: address.saturating_add(done as u64),
        },
        AccessError::Refused(errno) => {
            limited!(
                warn,
                address = format_args!("{address:#x}"),
                write,
                %errno,
                "the client's memory file refuses the access"
            );
            DmaError::Unmapped { address }
        }
    }
}

#[cfg(test)]
mod tests;
