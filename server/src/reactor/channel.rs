//! A socket of a client's that is watched, with both its directions.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vfio_user_protocol::{Invalid, Limits};

use super::source::Source;
use crate::connection::{BufferPool, Incoming, Message, Outgoing, Received};
use crate::ratelimit::limited;

/// A socket and what is on its way through it.
#[derive(Debug)]
pub(super) struct Channel {
    socket: OwnedFd,
    token: Token,
    incoming: Incoming,
    outgoing: Outgoing,
    /// The socket is watched for room, too.
    watches_room: bool,
}

impl Channel {
    /// Has the socket watched from now on, as `source`.
    pub(super) fn new(
        socket: OwnedFd,
        source: Source,
        limits: Limits,
        registry: &Registry,
    ) -> io::Result<Self> {
        let token = source.into();
        registry.register(
            &mut SourceFd(&socket.as_raw_fd()),
            token,
            Interest::READABLE,
        )?;
        Ok(Self {
            socket,
            token,
            incoming: Incoming::new(limits),
            outgoing: Outgoing::default(),
            watches_room: false,
        })
    }

    /// Changes the limits for the messages to come.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.incoming.set_limits(limits);
    }

    /// Takes what the socket has.
    pub(super) fn receive(&mut self, buffers: &mut BufferPool) -> Received {
        self.incoming.receive(&self.socket, buffers)
    }

    /// Returns whether received bytes are not yet part of a complete message.
    pub(super) const fn has_received(&self) -> bool {
        self.incoming.has_received()
    }

    /// The next whole message, or one that is refused.
    pub(super) fn next_message(&mut self) -> Option<Result<Message<'_>, Invalid>> {
        self.incoming.next_message()
    }

    /// Gives memory back that nothing is in: what was received into to `buffers`, what was sent from to
    /// `replies`.
    pub(super) fn settle(&mut self, buffers: &mut BufferPool, replies: &mut Vec<u8>) {
        self.incoming.settle(buffers);
        self.outgoing.settle(replies);
    }

    /// Sends what waits.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        self.outgoing.resume(&self.socket)
    }

    /// Sends what waits and then `bytes`, which are taken in any case.
    pub(super) fn send(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        self.outgoing.send(&self.socket, bytes)
    }

    /// Has a few `bytes` wait until [`Self::resume`], unless others do already. Whether they do now.
    pub(super) fn hold(&mut self, bytes: &mut Vec<u8>) -> bool {
        self.outgoing.hold(bytes)
    }

    /// As [`Self::send`] for one message that descriptors travel with.
    pub(super) fn send_with_fds(&mut self, message: &[u8], fds: Vec<OwnedFd>) -> io::Result<()> {
        self.outgoing.send_with_fds(&self.socket, message, fds)
    }

    /// Returns whether more than `most` bytes, or the maximum number of messages with descriptors, wait to
    /// be sent.
    pub(super) fn is_full(&self, most: usize) -> bool {
        self.outgoing.is_full(most)
    }

    /// Has the socket watched for room exactly as long as something waits for it: a client that
    /// reads makes room each time, which is nothing to wake up for.
    pub(super) fn watch_room(&mut self, registry: &Registry) -> io::Result<()> {
        let blocked = self.outgoing.is_blocked();
        if blocked != self.watches_room {
            let interest = if blocked {
                Interest::READABLE | Interest::WRITABLE
            } else {
                Interest::READABLE
            };
            registry.reregister(
                &mut SourceFd(&self.socket.as_raw_fd()),
                self.token,
                interest,
            )?;
            self.watches_room = blocked;
        }
        Ok(())
    }

    /// Returns whether the peer has closed the socket. Unread data may still be there.
    pub(super) fn is_abandoned(&self) -> bool {
        let mut socket = [PollFd::new(&self.socket, PollFlags::empty())];
        let ready = poll(&mut socket, Some(&Timespec::default()));
        // It is reported whether or not it is asked for.
        ready.is_ok_and(|ready| ready > 0)
    }

    /// Ends the watch over the socket. Dropping what comes back closes it.
    pub(super) fn end(self, registry: &Registry) -> OwnedFd {
        if let Err(error) = registry.deregister(&mut SourceFd(&self.socket.as_raw_fd())) {
            limited!(warn, %error, "a client that is gone is still watched");
        }
        self.socket
    }
}
