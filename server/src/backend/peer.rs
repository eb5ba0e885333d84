//! The other end of a back end that is a stream: a socket, a pseudo-terminal, a file.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::listen::SocketFile;
use crate::ratelimit::limited;

/// The connection to the other end, if there is one.
#[derive(Debug)]
pub(super) struct Peer {
    end: End,
    fd: Option<OwnedFd>,
    /// There may be something to read, or room to write.
    readable: bool,
    writable: bool,
}

#[derive(Debug)]
pub(super) enum End {
    /// The terminal is kept open, so that its users can come and go.
    Pty {
        _terminal: OwnedFd,
        /// Removed when it is dropped.
        link: Option<SocketFile>,
    },
    /// Nothing is read from it.
    File,
    /// The listener, until somebody watches it.
    Listener(Option<UnixListener>),
    /// A socket that is connected once and for all, or nothing.
    Socket,
}

impl Peer {
    /// An end with who is there already. The descriptor never blocks, unless it is a file.
    pub(super) fn new(end: End, fd: Option<OwnedFd>) -> Self {
        Self {
            readable: !matches!(end, End::File),
            writable: true,
            end,
            fd,
        }
    }

    pub(super) fn take_link(&mut self) -> Option<SocketFile> {
        match &mut self.end {
            End::Pty { link, .. } => link.take(),
            _ => None,
        }
    }

    pub(super) fn watch(
        &mut self,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Option<UnixListener>> {
        match &mut self.end {
            End::File => Ok(None),
            End::Pty { .. } | End::Socket => {
                let watched = self.fd.as_ref().map(|fd| watch(registry, fd, token));
                watched.transpose().map(|_| None)
            }
            End::Listener(listener) => Ok(listener.take()),
        }
    }

    /// Somebody has connected. Returns whether there was nobody yet; if there was, the socket is
    /// closed.
    pub(super) fn connect(&mut self, socket: OwnedFd, registry: &Registry, token: Token) -> bool {
        if self.fd.is_some() {
            return false;
        }
        match watch(registry, &socket, token) {
            Ok(()) => {
                self.fd = Some(socket);
                self.ready();
                true
            }
            Err(error) => {
                limited!(warn, %error, "cannot watch the peer of a back end");
                false
            }
        }
    }

    pub(super) fn ready(&mut self) {
        self.writable = true;
        self.readable = !matches!(self.end, End::File);
    }

    pub(super) fn is_there(&self) -> bool {
        self.fd.is_some()
    }

    /// Reads what has come, if anything has, into `room`. Returns how many bytes.
    pub(super) fn read(&mut self, room: &mut [u8]) -> usize {
        while let (Some(fd), true) = (&self.fd, self.readable) {
            let read = match self.end {
                End::Pty { .. } | End::File => rustix::io::read(fd, &mut *room),
                End::Listener(_) | End::Socket => {
                    recv(fd, &mut *room, RecvFlags::empty()).map(|(count, _)| count)
                }
            };
            match read {
                Ok(0) => self.hang_up(Errno::PIPE.into()),
                Ok(count) => return count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.readable = false,
                Err(errno) => self.hang_up(errno.into()),
            }
        }
        0
    }

    /// Writes what there is room for. Returns how many bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        while let (Some(fd), true) = (&self.fd, self.writable && !bytes.is_empty()) {
            let written = match self.end {
                End::Pty { .. } | End::File => rustix::io::write(fd, bytes),
                End::Listener(_) | End::Socket => send(fd, bytes, SendFlags::NOSIGNAL),
            };
            match written {
                Ok(count) => return count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.writable = false,
                Err(errno) => self.hang_up(errno.into()),
            }
        }
        0
    }

    /// Nobody is at the other end any more. Files and terminals do not hang up; if they fail, the
    /// back end is dead.
    pub(super) fn hang_up(&mut self, error: io::Error) {
        if !matches!(self.end, End::Listener(_)) {
            limited!(warn, %error, "the peer of a back end is lost");
        }
        self.fd = None;
    }
}

fn watch(registry: &Registry, peer: &impl AsFd, token: Token) -> io::Result<()> {
    let fd = peer.as_fd().as_raw_fd();
    registry.register(
        &mut SourceFd(&fd),
        token,
        Interest::READABLE | Interest::WRITABLE,
    )
}
