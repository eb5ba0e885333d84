//! A process forked from this one.

use std::io;
use std::os::fd::RawFd;

/// Runs `child` in a new process, which ends with it, even if it panics.
///
/// # Errors
/// There are too many processes, or there is too little memory.
pub(crate) fn fork(child: impl FnOnce()) -> io::Result<()> {
    /// Ends the process when it goes out of scope.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            // SAFETY: it ends the process without running anything else of it.
            unsafe { libc::_exit(0) }
        }
    }
    // SAFETY: the child has a copy of this thread and of all memory. It runs `child` and never returns
    // from here. Other threads do not exist in it, so what they hold stays held; the C library makes
    // its own allocator usable in the child.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let _end = End;
            child();
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Blocks every signal that can be blocked, in the calling thread.
pub(crate) fn block_signals() {
    let mut all = std::mem::MaybeUninit::uninit();
    // SAFETY: `sigfillset` initializes the set, which the second call reads.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), std::ptr::null_mut());
    }
}

/// Closes all descriptors but those in `kept`, which is in ascending order. Only a process that ends
/// without using what it closes here may call it.
pub(crate) fn close_all_but(kept: &[RawFd]) {
    let mut first = 0;
    for number in kept.iter().copied().filter_map(|fd| u32::try_from(fd).ok()) {
        if first < number {
            close_range(first, number - 1);
        }
        first = number + 1;
    }
    close_range(first, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: the call takes numbers only. Owners of the descriptors exist, but the caller promises that
    // they are not used.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if closed == 0 {
        return;
    }
    // A kernel before 5.9 knows no ranges.
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most = most.and_then(|most| u32::try_from(most).ok());
    for number in first..last.min(most.unwrap_or(1 << 20)) {
        // SAFETY: as above.
        unsafe { libc::close(number.cast_signed()) };
    }
}
