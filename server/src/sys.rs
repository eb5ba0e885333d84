//! The one module with unsafe code: mappings of client memory, descriptors known by number only, a
//! parameter of the C library, and a forked process.
//!
//! Memory that another process can change at any time must never be seen through a reference, so a
//! [`Mapping`] hands out none: bytes are copied in and out by raw pointers. A page that the kernel cannot
//! provide would kill the process when it is touched. Callers therefore map only files that are sealed
//! against shrinking (`F_SEAL_SHRINK`), and [`fault`] makes an error of what cannot be foreseen.
#![allow(unsafe_code)]

mod fault;
#[cfg(feature = "sandbox")]
mod process;

use std::ffi::c_void;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::ptr::NonNull;
#[cfg(all(feature = "cli", target_env = "gnu"))]
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

pub(crate) use fault::catch_faults;
use fault::guarded;

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
        // Else each further thread has a heap of its own, for the little that it does.
        // SAFETY: as above.
        let set = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
        debug_assert_eq!(set, 1, "the library knows this parameter");
        RETURNS_MEMORY.store(true, Ordering::Relaxed);
    }
}

/// The process is a server's: [`return_freed_memory`] may take its time.
#[cfg(all(feature = "cli", target_env = "gnu"))]
static RETURNS_MEMORY: AtomicBool = AtomicBool::new(false);

/// Drops a large buffer, and takes its time.
pub(crate) fn drop_in_pieces(mut bytes: Vec<u8>) {
    /// The system has pages of at most this size where it was not asked for others.
    const PAGE: usize = 1 << 16;
    bytes.clear();
    let room = bytes.spare_capacity_mut();
    let skipped = room.as_ptr().align_offset(PAGE);
    let whole = room.len().saturating_sub(skipped) / PAGE * PAGE;
    let base = room.as_mut_ptr();
    in_pieces(whole, |start, len| {
        let address = base.wrapping_add(skipped + start);
        // SAFETY: the range is inside the buffer, which has no initialized bytes and is dropped next.
        unsafe { madvise(address.cast(), len, Advice::LinuxDontNeed) }.is_ok()
    });
}

/// Lets `go` let go of `len` bytes in pieces, until it returns `false`: others that change the address space
/// of the process then need not wait for all of it.
fn in_pieces(len: usize, mut go: impl FnMut(usize, usize) -> bool) {
    /// Bytes that go in about a millisecond if all pages are present.
    const PIECE: usize = 4 << 20;
    /// Most bytes of a piece. (Where no page is present it is a matter of microseconds.)
    const MOST: usize = 16 * PIECE;
    const QUICK: Duration = Duration::from_micros(100);
    let (mut start, mut piece) = (0, PIECE);
    while start < len {
        let size = piece.min(len - start);
        let begun = Instant::now();
        if !go(start, size) {
            return;
        }
        piece = if begun.elapsed() < QUICK {
            (2 * piece).min(MOST)
        } else {
            PIECE
        };
        start += size;
    }
}

/// Returns to the system the memory that has been freed, after [`return_large_buffers`]: the GNU C
/// library keeps small pieces of it by itself. Takes time in proportion to the memory that the process
/// has allocated; to be called when much may have been freed, not for each request.
pub(crate) fn return_freed_memory() {
    #[cfg(all(feature = "cli", target_env = "gnu"))]
    if RETURNS_MEMORY.load(Ordering::Relaxed) {
        // SAFETY: this concerns only memory that nobody has, under the allocator's own lock.
        unsafe { libc::malloc_trim(0) };
    }
}

/// The outcome of a copy from or to a [`Mapping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copied {
    /// All bytes are copied.
    All,
    /// None is copied, as they are not all inside, or not writable.
    Outside,
    /// The kernel could not provide a page. Some bytes may be copied. The mapping must not be used any
    /// more: others may have taken the place of its pages.
    Faulted,
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

    /// Lets go of all pages, which the mapping still reaches, and takes its time.
    pub(crate) fn empty(&self) {
        in_pieces(self.len, |start, len| {
            let address = self.base.as_ptr().cast::<u8>().wrapping_add(start);
            // SAFETY: the range is inside the mapping. Its pages are those of a file, which keeps their
            // content, and come back when they are touched.
            unsafe { madvise(address.cast(), len, Advice::LinuxDontNeed) }.is_ok()
        });
    }

    /// Bytes mapped.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Copies bytes out. Nothing is copied if they are not all inside.
    pub(crate) fn read(&self, offset: u64, data: &mut [u8]) -> Copied {
        let Some(source) = self.range(offset, data.len()) else {
            return Copied::Outside;
        };
        guarded([source, std::ptr::null_mut()], data.len(), || {
            // SAFETY: `range` checked that the source lies inside the mapping, which lives as long as
            // `self`; the destination is a slice of its own.
            unsafe { std::ptr::copy(source, data.as_mut_ptr(), data.len()) };
        })
    }

    /// Copies bytes in. Nothing is copied if they are not all inside or the mapping is not writable.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> Copied {
        let Some(destination) = self.range(offset, data.len()).filter(|_| self.writable) else {
            return Copied::Outside;
        };
        guarded([destination, std::ptr::null_mut()], data.len(), || {
            // SAFETY: `range` checked that the destination lies inside the mapping, which lives as long
            // as `self` and is writable; no reference to its bytes exists anywhere.
            unsafe { std::ptr::copy(data.as_ptr(), destination, data.len()) };
        })
    }

    /// Copies bytes to another mapping, as if all were read before the first is written. Nothing is
    /// copied if they are not all inside both or `to` is not writable.
    pub(crate) fn copy(&self, offset: u64, to: &Self, to_offset: u64, len: usize) -> Copied {
        let (Some(source), Some(destination)) = (
            self.range(offset, len),
            to.range(to_offset, len).filter(|_| to.writable),
        ) else {
            return Copied::Outside;
        };
        guarded([source, destination], len, || {
            // SAFETY: `range` checked that both lie inside their mappings, which live as long as `self`
            // and `to`, of which the second is writable; no reference to their bytes exists anywhere.
            unsafe { std::ptr::copy(source, destination, len) };
        })
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
        assert_eq!(mapping.write(8190, &[1, 2]), Copied::All);
        let mut tail = [0; 2];
        file.read_exact_at(&mut tail, 8190).unwrap();
        assert_eq!(tail, [1, 2]);

        let mut data = [9; 2];
        assert_eq!(mapping.read(8190, &mut data), Copied::All);
        assert_eq!(data, [1, 2]);
        for offset in [8191, 8192, u64::MAX] {
            assert_eq!(mapping.read(offset, &mut data), Copied::Outside);
            assert_eq!(mapping.write(offset, &data), Copied::Outside);
        }
        assert_eq!(mapping.len(), 8192);
    }

    #[test]
    fn a_copy_stays_inside_both() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let small = Mapping::new(file.as_fd(), 4096, true).unwrap();
        let large = Mapping::new(file.as_fd(), 8192, true).unwrap();
        assert_eq!(small.write(4094, &[1, 2]), Copied::All);
        assert_eq!(small.copy(4094, &large, 8190, 2), Copied::All);
        let mut data = [0; 2];
        assert_eq!(large.read(8190, &mut data), Copied::All);
        assert_eq!(data, [1, 2]);
        for (from, to) in [(4095, 0), (0, 8191), (u64::MAX, 0), (0, u64::MAX)] {
            assert_eq!(small.copy(from, &large, to, 2), Copied::Outside);
        }
    }

    #[test]
    fn a_mapping_that_lets_go_of_its_pages_keeps_what_is_in_the_file() {
        const LEN: usize = 9 << 20;
        let file = tempfile::tempfile().unwrap();
        file.set_len(LEN as u64).unwrap();
        let mapping = Mapping::new(file.as_fd(), LEN, true).unwrap();
        let resident = || {
            let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let start = format!("{:x}-", mapping.base.as_ptr() as usize);
            let (_, rest) = smaps.split_once(&start).unwrap();
            let (_, rss) = rest.split_once("Rss:").unwrap();
            rss.split_whitespace()
                .next()
                .unwrap()
                .parse::<usize>()
                .unwrap()
        };
        assert_eq!(mapping.write(0, &[5; LEN]), Copied::All);
        assert_eq!(resident(), LEN >> 10);
        mapping.empty();
        assert_eq!(resident(), 0);
        let mut last = [0];
        assert_eq!(mapping.read(LEN as u64 - 1, &mut last), Copied::All);
        assert_eq!(last, [5]);
    }

    #[test]
    fn a_read_only_mapping_is_not_written() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        let mapping = Mapping::new(file.as_fd(), 4096, false).unwrap();
        assert_eq!(mapping.write(0, &[1]), Copied::Outside);
        assert_eq!(mapping.copy(0, &mapping, 8, 1), Copied::Outside);
    }

    /// A mapping of `len` bytes of a file that has lost all but the first `left` of them.
    fn cut_off(len: usize, left: u64) -> Mapping {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len as u64).unwrap();
        let mapping = Mapping::new(file.as_fd(), len, true).unwrap();
        file.set_len(left).unwrap();
        mapping
    }

    #[test]
    fn a_fault_during_a_copy_is_its_error() {
        const LEN: usize = 1 << 20;
        catch_faults();
        let mut data = vec![1; LEN];
        let whole = || {
            let file = tempfile::tempfile().unwrap();
            file.set_len(LEN as u64).unwrap();
            Mapping::new(file.as_fd(), LEN, true).unwrap()
        };
        let healthy = whole();
        // Each fault on a mapping of its own, as it must not be used afterwards.
        assert_eq!(cut_off(LEN, 4096).read(0, &mut data), Copied::Faulted);
        assert_eq!(cut_off(LEN, 0).write(0, &data), Copied::Faulted);
        assert_eq!(cut_off(LEN, 0).write(LEN as u64 - 1, &[1]), Copied::Faulted);
        assert_eq!(cut_off(LEN, 0).copy(0, &healthy, 0, LEN), Copied::Faulted);
        assert_eq!(whole().copy(0, &cut_off(LEN, 0), 0, LEN), Copied::Faulted);
        let (from, to) = (cut_off(LEN, 0), cut_off(LEN, 0));
        assert_eq!(from.copy(5, &to, 5000, LEN - 5000), Copied::Faulted);
        // What is there is copied as ever.
        assert_eq!(cut_off(LEN, 4096).read(0, &mut data[..4096]), Copied::All);
        assert_eq!(whole().read(0, &mut data), Copied::All);
        assert!(data.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_fault_in_a_thread_concerns_no_other() {
        catch_faults();
        let threads = (0..4).map(|number| {
            std::thread::spawn(move || {
                for _ in 0..200 {
                    let left = if number % 2 == 0 { 8192 } else { 0 };
                    let copied = cut_off(8192, left).read(0, &mut [0; 8192]);
                    let expected = if left == 0 {
                        Copied::Faulted
                    } else {
                        Copied::All
                    };
                    assert_eq!(copied, expected);
                }
            })
        });
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    }
}
