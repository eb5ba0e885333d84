//! The address space that mappings of client memory may take.
//!
//! Clients name the sizes of their files, and a sparse file costs them nothing. Without a limit they could
//! take all addresses of the process, in which nothing else could be allocated then.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{io, ops};

use rustix::process::{Resource, getrlimit};

use crate::sys::Mapping;

/// An amount of address space that the functions of a server share.
#[derive(Clone, Debug)]
pub(crate) struct AddressSpace {
    limit: u64,
    used: Arc<AtomicU64>,
}

/// A mapping that takes address space while it lasts.
#[derive(Debug)]
pub(super) struct Placed {
    mapping: Mapping,
    space: AddressSpace,
}

impl AddressSpace {
    /// Creates the address space of a server: `limit` bytes, and no more than half of what the process may
    /// have (`RLIMIT_AS`).
    pub(crate) fn new(limit: u64) -> Self {
        let process = getrlimit(Resource::As).current;
        Self::of(limit.min(process.map_or(u64::MAX, |process| process / 2)))
    }

    fn of(limit: u64) -> Self {
        Self {
            limit,
            used: Arc::default(),
        }
    }

    /// Maps the first `len` bytes of a file, if there is room for them.
    pub(super) fn map(
        &self,
        file: BorrowedFd<'_>,
        len: usize,
        writable: bool,
    ) -> io::Result<Placed> {
        let fits = |used: u64| {
            used.checked_add(len as u64)
                .filter(|&used| used <= self.limit)
        };
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        if taken.is_err() {
            let limit = self.limit;
            return Err(io::Error::other(format!(
                "client memory takes {limit} bytes of address space at most (--max-dma-mapped)"
            )));
        }
        match Mapping::new(file, len, writable) {
            Ok(mapping) => Ok(Placed {
                mapping,
                space: self.clone(),
            }),
            Err(error) => {
                self.release(len);
                Err(error)
            }
        }
    }
}

impl AddressSpace {
    /// Bytes that are taken.
    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn release(&self, len: usize) {
        self.used.fetch_sub(len as u64, Ordering::Relaxed);
    }
}

impl Default for AddressSpace {
    /// As much as there is.
    fn default() -> Self {
        Self::of(u64::MAX)
    }
}

impl ops::Deref for Placed {
    type Target = Mapping;

    fn deref(&self) -> &Mapping {
        &self.mapping
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        self.space.release(self.mapping.len());
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn mappings_share_what_there_is() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 30).unwrap();
        let space = AddressSpace::of(3 << 12);
        let map = |pages: usize| space.clone().map(file.as_fd(), pages << 12, false);
        let one = map(1).unwrap();
        assert!(map(3).is_err());
        assert!(map(usize::MAX >> 12).is_err());
        let two = map(2).unwrap();
        assert!(map(1).is_err());
        drop(two);
        assert!(map(3).is_err());
        drop(one);
        assert_eq!(map(3).unwrap().len(), 3 << 12);
    }
}
