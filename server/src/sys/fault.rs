//! Faults in mapped files, as errors of the copy that meets them.
//!
//! The kernel sends SIGBUS when it cannot provide a page of a mapping: the file has become shorter, there
//! is no memory for the page, or the memory is broken. The thread that copies says which bytes it copies.
//! If the fault lies there, the handler puts a page in the place of the missing one, so that the copy comes
//! to its end, and notes that it is worth nothing. That page exists from the start: where the kernel has
//! none to give, it would not give another one either. Every other SIGBUS goes to the handler that was there
//! before, which by default ends the process.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, compiler_fence};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

use super::Copied;

/// The bytes that this thread copies from and to mappings.
struct Copying {
    /// Addresses of their beginnings, 0 if there are none.
    starts: [AtomicUsize; 2],
    len: AtomicUsize,
    faulted: AtomicBool,
}

thread_local! {
    // Without a destructor and lazy initialisation, a signal handler may use it.
    static COPYING: Copying = const {
        Copying {
            starts: [AtomicUsize::new(0), AtomicUsize::new(0)],
            len: AtomicUsize::new(0),
            faulted: AtomicBool::new(false),
        }
    };
}

/// The action for SIGBUS before [`catch_faults`].
struct Before(UnsafeCell<MaybeUninit<libc::sigaction>>);

// SAFETY: it is written once, before the handler that reads it is installed.
unsafe impl Sync for Before {}

static BEFORE: Before = Before(UnsafeCell::new(MaybeUninit::zeroed()));
static INSTALLED: Once = Once::new();
/// Address of the page that takes the place of missing ones; 0 if there is none.
static SPARE: AtomicUsize = AtomicUsize::new(0);
/// Bytes of a page.
static PAGE: AtomicUsize = AtomicUsize::new(4096);

/// Has faults during copies from and to mappings be errors of these from now on, in the whole process.
pub(crate) fn catch_faults() {
    INSTALLED.call_once(|| {
        let page = rustix::param::page_size();
        PAGE.store(page, Ordering::Relaxed);
        SPARE.store(spare(page).unwrap_or(0), Ordering::Relaxed);
        // SAFETY: all bytes zero is a valid `sigaction`, and so is what is set in it; the handler has the
        // type that SA_SIGINFO asks for and calls nothing that a handler may not call. Nobody reads
        // `BEFORE` before the handler is installed by the second call.
        unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            libc::sigaction(libc::SIGBUS, ptr::null(), (*BEFORE.0.get()).as_mut_ptr());
            let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_fault;
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut());
        }
    });
}

/// Runs a copy of `len` bytes at each of the addresses that are not null, which lie in mappings.
pub(super) fn guarded(at: [*mut u8; 2], len: usize, copy: impl FnOnce()) -> Copied {
    COPYING.with(|copying| {
        for (start, at) in copying.starts.iter().zip(at) {
            start.store(at as usize, Ordering::Relaxed);
        }
        copying.len.store(len, Ordering::Relaxed);
        // The handler runs on this thread.
        compiler_fence(Ordering::SeqCst);
        copy();
        compiler_fence(Ordering::SeqCst);
        copying.len.store(0, Ordering::Relaxed);
        if copying.faulted.load(Ordering::Relaxed) {
            copying.faulted.store(false, Ordering::Relaxed);
            return Copied::Faulted;
        }
        Copied::All
    })
}

/// Returns the address of a page of its own kind: shared memory, of which further mappings cost no page.
fn spare(page: usize) -> io::Result<usize> {
    // SAFETY: without MAP_FIXED the kernel chooses an address range that nothing else uses. It stays mapped
    // for good, and nothing but the writes of copies that are worth nothing reaches it after this one.
    unsafe {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let start = mmap_anonymous(ptr::null_mut(), page, protection, MapFlags::SHARED)?;
        start.cast::<u8>().write_volatile(0);
        Ok(start as usize)
    }
}

/// The handler. It calls nothing but mremap(2) and sigaction(2).
extern "C" fn on_fault(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel gives the handler of a SIGBUS that it sends itself a valid address here; one that
    // a process sent has another number in its place, which is compared and nothing else.
    let address = unsafe { (*info).si_addr() } as usize;
    if COPYING.with(|copying| replace(copying, address)) {
        return;
    }
    // The access is repeated and faults again, now with the old action.
    // SAFETY: `BEFORE` holds what sigaction(2) has written.
    unsafe { libc::sigaction(libc::SIGBUS, (*BEFORE.0.get()).as_ptr(), ptr::null_mut()) };
}

/// Puts the spare page in the place of the missing one, if the fault lies in what is copied. Returns
/// whether it did.
fn replace(copying: &Copying, address: usize) -> bool {
    let page = PAGE.load(Ordering::Relaxed);
    let spare = SPARE.load(Ordering::Relaxed);
    let len = copying.len.load(Ordering::Relaxed);
    let is_copied = |start: &AtomicUsize| {
        let start = start.load(Ordering::Relaxed);
        start != 0 && (start..start.saturating_add(len)).contains(&address)
    };
    if spare == 0 || !copying.starts.iter().any(is_copied) {
        return false;
    }
    // SAFETY: the page is one of a mapping of this process that the present copy touches: its owner is
    // borrowed for the copy, and does not use the mapping any more after a fault. The spare page is mapped
    // for good; with no bytes to move, the call maps it once more.
    let placed = unsafe {
        libc::mremap(
            spare as *mut c_void,
            0,
            page,
            libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
            (address & !(page - 1)) as *mut c_void,
        )
    };
    if placed == libc::MAP_FAILED {
        return false;
    }
    copying.faulted.store(true, Ordering::Relaxed);
    true
}
