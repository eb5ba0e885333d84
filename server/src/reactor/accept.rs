//! Accepting connections.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use super::peers::Peers;
use crate::ratelimit::limited;

/// Connections that are accepted before others get a turn.
const ACCEPTS_PER_TURN: usize = 16;

/// A listener in the event loop.
#[derive(Debug)]
pub(super) struct Listener {
    socket: UnixListener,
    token: Token,
    peers: Arc<Peers>,
    /// A reserve descriptor. When the process has no other descriptor for a connection, the server uses
    /// this one to accept the connection and close it, so that the peer does not wait in vain.
    spare: Option<OwnedFd>,
}

impl Listener {
    /// Has the socket watched from now on. Of those who connect, `peers` are let in.
    pub(super) fn new(
        socket: UnixListener,
        token: Token,
        peers: &Arc<Peers>,
        registry: &Registry,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        registry.register(
            &mut SourceFd(&socket.as_raw_fd()),
            token,
            Interest::READABLE,
        )?;
        Ok(Self {
            spare: Some(spare(&socket)?),
            socket,
            token,
            peers: Arc::clone(peers),
        })
    }

    /// Passes waiting connections to `welcome`, and says how many were closed instead. If that were
    /// too many for one turn, the listener is heard of again.
    pub(super) fn accept(&mut self, registry: &Registry, mut welcome: impl FnMut(OwnedFd)) -> u64 {
        let mut refused = 0;
        for _ in 0..ACCEPTS_PER_TURN {
            match self.next() {
                Ok(socket) => match self.peers.stranger(&socket) {
                    None => welcome(socket),
                    Some(uid) => {
                        refused += 1;
                        limited!(warn, uid, "refused a connection: the user may not connect");
                    }
                },
                Err(Errno::AGAIN) => return refused,
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno @ (Errno::MFILE | Errno::NFILE)) if self.spare.take().is_some() => {
                    refused += u64::from(self.next().is_ok());
                    self.spare = spare(&self.socket).ok();
                    limited!(warn, %errno, "refused a connection: no descriptor is left");
                }
                Err(errno) => {
                    limited!(warn, %errno, "cannot accept a connection");
                    return refused;
                }
            }
        }
        let source = &mut SourceFd(&self.socket.as_raw_fd());
        if let Err(error) = registry.reregister(source, self.token, Interest::READABLE) {
            limited!(warn, %error, "cannot go on accepting connections");
        }
        refused
    }

    fn next(&self) -> rustix::io::Result<OwnedFd> {
        accept_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
    }
}

/// Any descriptor does.
fn spare(socket: &UnixListener) -> io::Result<OwnedFd> {
    socket.as_fd().try_clone_to_owned()
}
