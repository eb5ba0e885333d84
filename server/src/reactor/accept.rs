//! Accepting connections.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use crate::ratelimit::limited;

/// Connections that are accepted before others get a turn.
const ACCEPTS_PER_TURN: usize = 16;

/// A listener in the event loop.
#[derive(Debug)]
pub(super) struct Listener {
    socket: UnixListener,
    token: Token,
}

impl Listener {
    /// Has the socket watched from now on.
    pub(super) fn new(socket: UnixListener, token: Token, registry: &Registry) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        registry.register(
            &mut SourceFd(&socket.as_raw_fd()),
            token,
            Interest::READABLE,
        )?;
        Ok(Self { socket, token })
    }

    /// Passes waiting connections to `welcome`. If that were too many for one turn, the listener is
    /// heard of again.
    pub(super) fn accept(&self, registry: &Registry, mut welcome: impl FnMut(OwnedFd)) {
        for _ in 0..ACCEPTS_PER_TURN {
            match accept_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(socket) => welcome(socket),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => {
                    limited!(warn, %errno, "cannot accept a connection");
                    return;
                }
            }
        }
        let source = &mut SourceFd(&self.socket.as_raw_fd());
        if let Err(error) = registry.reregister(source, self.token, Interest::READABLE) {
            limited!(warn, %error, "cannot go on accepting connections");
        }
    }
}
