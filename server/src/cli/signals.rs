//! Signals as a file descriptor.
//!
//! | signal | effect |
//! |---|---|
//! | SIGTERM, SIGINT | the server ends cleanly: clients are let go, sockets removed, exit code 0 |
//! | SIGHUP | none: there is nothing to read again, and a closed terminal does not end a server |
//! | SIGPIPE | none (the Rust runtime ignores it); a peer that is gone is an error of its connection |
//! | SIGXFSZ | none: a file that may not grow is an error of the write |

use std::ffi::c_int;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::{flag, low_level::pipe};

/// Returns a descriptor that becomes readable when SIGTERM or SIGINT arrives. Call it once.
///
/// # Errors
/// Fails if a socket pair cannot be created or a signal handler cannot be installed.
pub fn shutdown_fd() -> io::Result<OwnedFd> {
    let (read, write) = UnixStream::pair()?;
    pipe::register(SIGTERM, write.try_clone()?)?;
    pipe::register(SIGINT, write)?;
    ignore(SIGHUP)?;
    Ok(read.into())
}

/// Makes a write beyond RLIMIT_FSIZE fail with EFBIG instead of ending the process.
///
/// # Errors
/// Fails if the signal handler cannot be installed.
pub fn survive_file_limit() -> io::Result<()> {
    ignore(SIGXFSZ)
}

/// Sets a flag that is never read, which is the safe way to ignore a signal.
fn ignore(signal: c_int) -> io::Result<()> {
    flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    Ok(())
}
