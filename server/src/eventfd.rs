//! Eventfds that the server shares with a client. Either side may have created them.

mod identity;

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{CWD, readlinkat_raw};
use rustix::io::{Errno, ReadWriteFlags, preadv2, write};

pub(crate) use identity::prepare;

/// Name that the kernel gives every eventfd.
const EVENTFD_NAME: &[u8] = b"anon_inode:[eventfd]";

/// The client's descriptor is no eventfd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file descriptor is no eventfd; make one with eventfd(2)")]
pub struct NotAnEventFd;

/// An eventfd that a client has, too.
///
/// The file description is shared with the client and may be in blocking mode. `O_NONBLOCK` belongs
/// to the description, so setting it would change the client's own reads and writes; every
/// operation here asks for non-blocking behaviour by itself instead.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// Takes the descriptor over if it is an eventfd.
    ///
    /// The kernel tells kinds of anonymous files apart by name only. Without /proc there is no way
    /// to ask, and the descriptor is believed to be what it should be.
    ///
    /// # Errors
    /// [`NotAnEventFd`]; the descriptor is closed.
    pub fn new(fd: OwnedFd) -> Result<Self, NotAnEventFd> {
        let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
        // One byte more than the name of an eventfd, so that a longer name is a different one. The
        // sandbox refuses to read more of a link.
        let mut name = [0; EVENTFD_NAME.len() + 1];
        match readlinkat_raw(CWD, link, &mut name) {
            Ok(len) if name.get(..len) != Some(EVENTFD_NAME) => Err(NotAnEventFd),
            Ok(_) | Err(_) => Ok(Self(fd)),
        }
    }

    /// A new one, to be handed to a client.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn make() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(eventfd(0, flags)?))
    }

    /// A descriptor of the same eventfd.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn try_clone(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }

    /// Returns whether both are the same eventfd, as far as that can be found out: signalling one then
    /// signals the other.
    pub(crate) fn is(&self, other: &Self) -> bool {
        identity::same_file(&self.0, &other.0)
    }

    /// Adds 1 to the counter. A counter that is full stays so: its reader has been told already.
    ///
    /// Asking for room first keeps a full counter from blocking. Only a client that fills its own
    /// counter between the two system calls could make the write wait, until it reads it again.
    pub fn signal(&self) {
        let mut fds = [PollFd::new(&self.0, PollFlags::OUT)];
        let ready = poll(&mut fds, Some(&Timespec::default()));
        if ready.is_ok_and(|ready| ready > 0) && fds[0].revents().contains(PollFlags::OUT) {
            // Room for it was there; whatever else may fail has no remedy here.
            let _ = write(&self.0, &1_u64.to_ne_bytes());
        }
    }

    /// Takes the counter back to zero. Whether it was above.
    pub fn drain(&self) -> bool {
        let mut count = [0; 8];
        loop {
            let buffers = &mut [IoSliceMut::new(&mut count)];
            match preadv2(&self.0, buffers, u64::MAX, ReadWriteFlags::NOWAIT) {
                Ok(read) => return read == count.len(),
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::read;

    use super::*;

    fn blocking() -> EventFd {
        EventFd::new(eventfd(0, EventfdFlags::CLOEXEC).unwrap()).unwrap()
    }

    #[test]
    fn signals_add_up_and_are_drained() {
        let event = blocking();
        assert!(!event.drain());
        event.signal();
        event.signal();
        let mut count = [0; 8];
        read(&event, &mut count).unwrap();
        assert_eq!(u64::from_ne_bytes(count), 2);
        event.signal();
        assert!(event.drain());
        assert!(!event.drain());
    }

    #[test]
    fn a_full_counter_does_not_block() {
        let event = blocking();
        write(&event, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        event.signal();
        assert!(event.drain());
    }

    #[test]
    fn other_files_are_refused() {
        let (a, _b) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(matches!(EventFd::new(a.into()), Err(NotAnEventFd)));
        let file = tempfile::tempfile().unwrap();
        assert!(matches!(EventFd::new(file.into()), Err(NotAnEventFd)));
    }
}
