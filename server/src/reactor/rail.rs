//! The rail socket: a connected peer sends bytes, `N` for on and `F` for off. Firmware in a guest does so
//! through a character device of its virtual machine.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::accept::Listener;
use super::peers::Peers;
use super::source::{Kind, Source};
use crate::ratelimit::limited;

/// Bytes that one read takes.
const READ_SIZE: usize = 64;

/// The rail socket of a slot.
#[derive(Debug)]
pub(super) struct Rail {
    listener: Listener,
    /// Token of the connection.
    token: Token,
    /// The present connection.
    socket: Option<OwnedFd>,
}

impl Rail {
    /// Has the listener watched from now on.
    pub(super) fn listen(
        listener: UnixListener,
        slot: usize,
        peers: &Arc<Peers>,
        registry: &Registry,
    ) -> io::Result<Self> {
        let token = Source::new(Kind::RailListener, slot).into();
        Ok(Self {
            listener: Listener::new(listener, token, peers, registry)?,
            token: Source::new(Kind::Rail, slot).into(),
            socket: None,
        })
    }

    /// Accepts pending connections. The newest connection replaces the previous one: a restarted virtual
    /// machine must not wait for the end of its predecessor. Returns the number of refused
    /// connections.
    pub(super) fn accept(&mut self, registry: &Registry) -> u64 {
        let (token, newest) = (self.token, &mut self.socket);
        self.listener.accept(registry, |socket| {
            let fd = socket.as_raw_fd();
            match registry.register(&mut SourceFd(&fd), token, Interest::READABLE) {
                // Closing the socket before ends the watch over it.
                Ok(()) => *newest = Some(socket),
                Err(error) => limited!(warn, %error, "cannot watch the power rail's switch"),
            }
        })
    }

    /// Takes what has been sent and passes on, in order, whether the rail is to be on. Bytes that
    /// mean nothing, such as the ends of lines, are skipped.
    pub(super) fn take(&mut self, mut switch: impl FnMut(bool)) {
        while let Some(socket) = &self.socket {
            let mut bytes = [0; READ_SIZE];
            match recv(socket, &mut bytes, RecvFlags::DONTWAIT) {
                Ok((_, count)) if count > 0 => {
                    for byte in bytes.get(..count).unwrap_or_default() {
                        match byte {
                            b'N' => switch(true),
                            b'F' => switch(false),
                            _ => {}
                        }
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // The rail stays as it is.
                Ok(_) | Err(_) => self.socket = None,
            }
        }
    }
}
