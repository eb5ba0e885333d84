//! Resources that a client creates for its server: eventfds and memory.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, ftruncate, memfd_create};
use rustix::io::{Errno, pread, pwrite, read, write};

/// Returns whether `fd` becomes readable, or its other end closes, within `wait`.
///
/// # Errors
/// The descriptor cannot be polled.
pub fn readable(fd: BorrowedFd<'_>, wait: Duration) -> io::Result<bool> {
    ready(fd, PollFlags::IN, wait)
}

/// Returns whether `fd` becomes writable within `wait`.
///
/// # Errors
/// The descriptor cannot be polled.
pub fn writable(fd: BorrowedFd<'_>, wait: Duration) -> io::Result<bool> {
    ready(fd, PollFlags::OUT, wait)
}

fn ready(fd: BorrowedFd<'_>, flags: PollFlags, wait: Duration) -> io::Result<bool> {
    let wait = Timespec {
        tv_sec: wait.as_secs() as i64,
        tv_nsec: i64::from(wait.subsec_nanos()),
    };
    Ok(poll(&mut [PollFd::from_borrowed_fd(fd, flags)], Some(&wait))? != 0)
}

/// An eventfd.
#[derive(Debug)]
pub struct Event(OwnedFd);

impl Event {
    /// Creates an eventfd that has not been signalled.
    ///
    /// # Errors
    /// There are no file descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?))
    }

    /// Returns the number of signals since the last call.
    ///
    /// # Errors
    /// The eventfd cannot be read.
    pub fn take(&self) -> io::Result<u64> {
        let mut count = [0; 8];
        match read(&self.0, &mut count) {
            Ok(_) => Ok(u64::from_ne_bytes(count)),
            Err(Errno::AGAIN) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for a signal, at most for `wait`, and returns the number of signals; see
    /// [`Self::take`].
    ///
    /// # Errors
    /// The eventfd cannot be polled or read.
    pub fn take_within(&self, wait: Duration) -> io::Result<u64> {
        readable(self.as_fd(), wait)?;
        self.take()
    }

    /// Signals the eventfd once.
    ///
    /// # Errors
    /// The eventfd cannot be written.
    pub fn signal(&self) -> io::Result<()> {
        write(&self.0, &1_u64.to_ne_bytes())?;
        Ok(())
    }
}

impl From<OwnedFd> for Event {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Memory that is shared with the server: a memfd.
#[derive(Debug)]
pub struct Memory(OwnedFd);

impl Memory {
    /// Creates `size` bytes of zeroes that can shrink while the server uses them.
    ///
    /// # Errors
    /// There is no more memory or file descriptor.
    pub fn new(size: u64) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = Self(memfd_create("client-memory", flags)?);
        memory.resize(size)?;
        Ok(memory)
    }

    /// Creates `size` bytes of zeroes that are sealed against a change of size, as QEMU's memory
    /// is.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub fn sealed(size: u64) -> io::Result<Self> {
        let memory = Self::new(size)?;
        fcntl_add_seals(
            &memory.0,
            SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
        )?;
        Ok(memory)
    }

    /// Returns the size in bytes.
    ///
    /// # Errors
    /// The size cannot be read.
    pub fn size(&self) -> io::Result<u64> {
        Ok(fstat(&self.0)?.st_size as u64)
    }

    /// Sets the size in bytes.
    ///
    /// # Errors
    /// The memory is sealed, or there is no more.
    pub fn resize(&self, size: u64) -> io::Result<()> {
        Ok(ftruncate(&self.0, size)?)
    }

    /// Reads `len` bytes at `offset`.
    ///
    /// # Errors
    /// The memory is shorter than that.
    pub fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut data = vec![0; len];
        let count = pread(&self.0, &mut data[..], offset)?;
        if count == len {
            Ok(data)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Writes `data` at `offset`.
    ///
    /// # Errors
    /// The memory is sealed and shorter than that.
    pub fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let count = pwrite(&self.0, data, offset)?;
        if count == data.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }
}

impl From<OwnedFd> for Memory {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for Memory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
