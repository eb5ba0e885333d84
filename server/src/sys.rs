//! The one module with unsafe code: mappings of client memory, descriptors known by number only, a
//! parameter of the C library, and a forked process.
//!
//! Memory that another process can change at any time must never be seen through a reference, so a
//! [`Mapping`] hands out none: bytes are copied in and out by raw pointers. A file that
//! shrinks would kill the process when it touches the lost pages; callers therefore map only files that
//! are sealed against shrinking (`F_SEAL_SHRINK`).
#![allow(unsafe_code)]

#[cfg(feature = "sandbox")]
mod process;

use std::ffi::c_void;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::ptr::NonNull;

use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

#[cfg(feature = "sandbox")]
pub(crate) use process::{block_signals, close_all_but, fork};

/// A descriptor of its own for what an inherited descriptor number stands for, as with `--fd N`. The
/// number stays open beside it.
///
/// # Errors
/// The number is no open descriptor, or there are too many.
pub(crate) fn adopt_fd(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: the number is not -1 and is borrowed for this call only, which duplicates it and does
    // nothing else to it; if it is not open the kernel says so.
    let inherited = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(fcntl_dupfd_cloexec(inherited, 3)?)
}

/// Has large buffers go back to the system as soon as they are freed, in the whole process. By
/// itself the GNU C library begins, after the first of them, to keep what is freed in case as much is
/// wanted again, and a server would stay as large as it once was. Other libraries are left alone.
#[cfg(feature = "cli")]
pub(crate) fn return_large_buffers() {
    #[cfg(target_env = "gnu")]
    {
        /// From here on the library's buffers are mappings of their own. Its default, but a fixed one.
        const LARGE: libc::c_int = 128 * 1024;
        // SAFETY: this sets a parameter of the allocator, under the allocator's own lock, and
        // concerns no memory that is allocated already.
        let set = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
        debug_assert_eq!(set, 1, "the library knows this parameter");
    }
}

/// A shared mapping of the first `len` bytes of a file.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<c_void>,
    len: usize,
    writable: bool,
}

impl Mapping {
    /// Maps `len` bytes, which must be more than zero.
    ///
    /// # Errors
    /// Returns the errors of mmap(2).
    pub(crate) fn new(file: BorrowedFd<'_>, len: usize, writable: bool) -> io::Result<Self> {
        let write = if writable {
            ProtFlags::WRITE
        } else {
            ProtFlags::empty()
        };
        let protection = ProtFlags::READ | write;
        // SAFETY: without MAP_FIXED the kernel chooses an address range that nothing else uses.
        let base = unsafe {
            mmap(
                std::ptr::null_mut(),
                len,
                protection,
                MapFlags::SHARED,
                file,
                0,
            )?
        };
        let base = NonNull::new(base).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            base,
            len,
            writable,
        })
    }

    /// Bytes mapped.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Copies bytes out. `false`, and nothing is copied, if they are not all inside.
    pub(crate) fn read(&self, offset: u64, data: &mut [u8]) -> bool {
        let Some(source) = self.range(offset, data.len()) else {
            return false;
        };
        // SAFETY: `range` checked that the source lies inside the mapping, which lives as long as
        // `self`; the destination is a slice of its own.
        unsafe { std::ptr::copy(source, data.as_mut_ptr(), data.len()) };
        true
    }

    /// Copies bytes in. `false`, and nothing is copied, if they are not all inside or the mapping
    /// is not writable.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> bool {
        let Some(destination) = self.range(offset, data.len()).filter(|_| self.writable) else {
            return false;
        };
        // SAFETY: `range` checked that the destination lies inside the mapping, which lives as long
        // as `self` and is writable; no reference to its bytes exists anywhere.
        unsafe { std::ptr::copy(data.as_ptr(), destination, data.len()) };
        true
    }

    /// Copies bytes to another mapping, as if all were read before the first is written. `false`, and
    /// nothing is copied, if they are not all inside both or `to` is not writable.
    pub(crate) fn copy(&self, offset: u64, to: &Self, to_offset: u64, len: usize) -> bool {
        let (Some(source), Some(destination)) = (
            self.range(offset, len),
            to.range(to_offset, len).filter(|_| to.writable),
        ) else {
            return false;
        };
        // SAFETY: `range` checked that both lie inside their mappings, which live as long as `self`
        // and `to`, of which the second is writable; no reference to their bytes exists anywhere.
        unsafe { std::ptr::copy(source, destination, len) };
        true
    }

    /// Returns the address of `len` bytes at `offset`, if all of them are inside the mapping.
    fn range(&self, offset: u64, len: usize) -> Option<*mut u8> {
        let offset = usize::try_from(offset).ok()?;
        let end = offset.checked_add(len)?;
        // `wrapping_add` needs no promise, and within the mapping it is what `add` is.
        (end <= self.len).then(|| self.base.as_ptr().cast::<u8>().wrapping_add(offset))
    }
}

// SAFETY: the mapping belongs to the process, not to the thread that made it, and `Mapping` is its
// only owner.
unsafe impl Send for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: base and length are those of the mmap in `new`, and no pointer into the mapping
        // outlives a call of `read`, `write` or `copy`.
        let unmapped = unsafe { munmap(self.base.as_ptr(), self.len) };
        debug_assert!(unmapped.is_ok(), "munmap of a whole mapping does not fail");
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn copies_stay_inside() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let mapping = Mapping::new(file.as_fd(), 8192, true).unwrap();
        assert!(mapping.write(8190, &[1, 2]));
        let mut tail = [0; 2];
        file.read_exact_at(&mut tail, 8190).unwrap();
        assert_eq!(tail, [1, 2]);

        let mut data = [9; 2];
        assert!(mapping.read(8190, &mut data));
        assert_eq!(data, [1, 2]);
        for offset in [8191, 8192, u64::MAX] {
            assert!(!mapping.read(offset, &mut data));
            assert!(!mapping.write(offset, &data));
        }
        assert_eq!(mapping.len(), 8192);
    }

    #[test]
    fn a_copy_stays_inside_both() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let small = Mapping::new(file.as_fd(), 4096, true).unwrap();
        let large = Mapping::new(file.as_fd(), 8192, true).unwrap();
        assert!(small.write(4094, &[1, 2]));
        assert!(small.copy(4094, &large, 8190, 2));
        let mut data = [0; 2];
        assert!(large.read(8190, &mut data));
        assert_eq!(data, [1, 2]);
        for (from, to) in [(4095, 0), (0, 8191), (u64::MAX, 0), (0, u64::MAX)] {
            assert!(!small.copy(from, &large, to, 2));
        }
    }

    #[test]
    fn a_read_only_mapping_is_not_written() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        let mapping = Mapping::new(file.as_fd(), 4096, false).unwrap();
        assert!(!mapping.write(0, &[1]));
        assert!(!mapping.copy(0, &mapping, 8, 1));
    }
}
