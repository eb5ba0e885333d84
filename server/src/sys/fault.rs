//! Faults in mapped files, as errors of the copy that meets them.
//!
//! The kernel sends SIGBUS when it cannot provide a page of a mapping: the file has become shorter, there
//! is no memory for the page, or the memory is broken. The thread that copies says which bytes it copies.
//! If the fault lies there, the handler puts anonymous memory in their place, so that the copy comes to
//! its end, and notes that it is worth nothing. Every other SIGBUS goes to the handler that was there
//! before, which by default ends the process.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, compiler_fence};

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
/// Bytes of a page.
static PAGE: AtomicUsize = AtomicUsize::new(4096);

/// Has faults during copies from and to mappings be errors of these from now on, in the whole process.
pub(crate) fn catch_faults() {
    INSTALLED.call_once(|| {
        PAGE.store(rustix::param::page_size(), Ordering::Relaxed);
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

/// The handler. It calls nothing but mmap(2) and sigaction(2).
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

/// Puts anonymous memory in the place of all that is still to be copied, if the fault lies there. Returns
/// whether it did.
fn replace(copying: &Copying, address: usize) -> bool {
    let page = PAGE.load(Ordering::Relaxed);
    let len = copying.len.load(Ordering::Relaxed);
    for start in &copying.starts {
        let start = start.load(Ordering::Relaxed);
        if start == 0 || address < start || address - start >= len {
            continue;
        }
        // A copy whose ends overlap may go backwards.
        let first = start & !(page - 1);
        let end = (start + len).next_multiple_of(page);
        // SAFETY: the pages are those of a mapping of this process that the present copy touches: its
        // owner is borrowed for the copy, and does not use the mapping any more after a fault.
        let placed = unsafe {
            libc::mmap(
                first as *mut c_void,
                end - first,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        if placed == libc::MAP_FAILED {
            return false;
        }
        copying.faulted.store(true, Ordering::Relaxed);
        return true;
    }
    false
}
