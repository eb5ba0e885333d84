//! A connected client: its turns, and its end.

use std::os::fd::{AsRawFd, OwnedFd};
use std::{io, mem};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use pci_device_models::host::Wait;
use pci_device_models::time::Time;
use vfio_user_protocol::FrameError;

use super::Shared;
use super::source::{ClientId, Source};
use crate::connection::{Incoming, Outgoing, Received};
use crate::session::{self, Context, Session};

/// Times that a client's socket is read before others get a turn.
const RECEIVES_PER_TURN: usize = 16;
/// Bytes of replies that are gathered before they leave.
const GATHERED_REPLIES: usize = 256 * 1024;

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The client had nothing to say.
    Idle,
    /// It was served. The next thing it does makes its socket ready anew.
    Served,
    /// It was served, but has more to say than one turn is for.
    HasMore,
    /// It is gone, or has to go.
    Gone,
}

/// How far a client has closed its socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closed {
    /// Not as far as known.
    #[default]
    No,
    /// It sends nothing more; what it sent before is still served.
    Sending,
    /// It takes nothing more either, so that nothing has to wait for its sake.
    Wholly,
}

/// A reply that is held back until the time has passed that its request took.
#[derive(Debug)]
struct Parked {
    wait: Wait,
    reply: Vec<u8>,
    fds: Vec<OwnedFd>,
}

/// One client of one function.
#[derive(Debug)]
pub(super) struct Client {
    socket: OwnedFd,
    token: Token,
    incoming: Incoming,
    outgoing: Outgoing,
    session: Session,
    closed: Closed,
    /// While there is one, nothing that the client sends is looked at.
    parked: Option<Parked>,
    /// The last turn ended with [`Turn::HasMore`].
    has_more: bool,
    /// The socket is watched for room, too.
    watches_room: bool,
}

impl Client {
    /// Has the socket watched from now on.
    /// `number` is one that no other client of the function has or had.
    pub(super) fn new(
        socket: OwnedFd,
        id: ClientId,
        number: u64,
        registry: &Registry,
    ) -> io::Result<Self> {
        let token = Source::Client(id).into();
        registry.register(
            &mut SourceFd(&socket.as_raw_fd()),
            token,
            Interest::READABLE,
        )?;
        Ok(Self {
            socket,
            token,
            incoming: Incoming::new(session::limits()),
            outgoing: Outgoing::default(),
            session: Session::new(number),
            closed: Closed::No,
            parked: None,
            has_more: false,
            watches_room: false,
        })
    }

    /// Its number.
    pub(super) const fn number(&self) -> u64 {
        self.session.client()
    }

    /// Sends a command of the server's.
    pub(super) fn send(&mut self, command: &mut Vec<u8>, registry: &Registry) -> io::Result<()> {
        self.outgoing.send(&self.socket, command)?;
        self.watch_room(registry)
    }

    /// The socket is closed so far.
    pub(super) fn note_closed(&mut self, closed: Closed) {
        self.closed = self.closed.max(closed);
    }

    /// Whether it wants another turn without being heard.
    pub(super) const fn has_more(&self) -> bool {
        self.has_more
    }

    /// When it wants a turn because a reply is due.
    pub(super) fn due(&self) -> Option<Time> {
        self.parked.as_ref().map(|parked| parked.wait.until)
    }

    /// Serves what the client has sent.
    pub(super) fn turn(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> Turn {
        let turn = self.serve(shared, cx).and_then(|turn| {
            self.outgoing.send(&self.socket, &mut shared.replies)?;
            self.watch_room(cx.registry)?;
            Ok(turn)
        });
        self.incoming.settle(&mut shared.buffers);
        let turn = turn.unwrap_or_else(|error| {
            shared.replies.clear();
            tracing::debug!(%error, "the client cannot be served any more");
            Turn::Gone
        });
        self.has_more = turn == Turn::HasMore;
        turn
    }

    fn serve(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> io::Result<Turn> {
        self.outgoing.resume(&self.socket)?;
        let mut served = self.unpark(shared, cx)?;
        // What an earlier turn left because replies had to wait.
        served |= self.serve_received(shared, cx)?;
        for _ in 0..RECEIVES_PER_TURN {
            if !self.is_heard() {
                return Ok(if served { Turn::Served } else { Turn::Idle });
            }
            let more = match self.incoming.receive(&self.socket, &mut shared.buffers) {
                Received::Closed => return Ok(Turn::Gone),
                Received::Nothing => false,
                Received::Bytes { more } => more || self.closed > Closed::No,
            };
            // Those that the client rang before it sent this come first.
            cx.answer_doorbells();
            served |= self.serve_received(shared, cx)?;
            if !more {
                return Ok(if served { Turn::Served } else { Turn::Idle });
            }
        }
        Ok(Turn::HasMore)
    }

    /// Whether more requests may be looked at now.
    fn is_heard(&self) -> bool {
        self.parked.is_none() && !self.outgoing.is_full()
    }

    /// Serves the whole messages that have been received, until replies have to wait. Whether there
    /// was one.
    fn serve_received(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut any = false;
        while self.is_heard() {
            let Some(message) = self.incoming.next_message() else {
                break;
            };
            any = true;
            match message {
                Ok(message) => {
                    let start = shared.replies.len();
                    self.session.handle(cx, message, &mut shared.replies);
                    cx.perform();
                    let wait = cx.device.take_wait(cx.now);
                    let fds = mem::take(&mut cx.reply_fds);
                    if let Some(wait) = wait.filter(|_| self.closed < Closed::Wholly) {
                        let reply = shared.replies.split_off(start);
                        self.parked = Some(Parked { wait, reply, fds });
                    } else {
                        if !fds.is_empty() {
                            let reply = shared.replies.split_off(start);
                            self.send_with_fds(shared, &reply, fds)?;
                        }
                        cx.settle();
                    }
                }
                Err(invalid) => {
                    Session::refuse(cx, &invalid, &mut shared.replies);
                    if matches!(invalid.error, FrameError::SizeAboveLimit { .. }) {
                        self.outgoing.send(&self.socket, &mut shared.replies)?;
                        return Err(io::Error::other(invalid.error));
                    }
                }
            }
            if shared.replies.len() > GATHERED_REPLIES {
                self.outgoing.send(&self.socket, &mut shared.replies)?;
            }
        }
        Ok(any)
    }

    /// Lets a reply go that is due, or that nobody waits for any more. Whether there was one.
    fn unpark(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> io::Result<bool> {
        let over = self.closed == Closed::Wholly;
        let due = |parked: &mut Parked| over || parked.wait.until <= cx.now;
        let Some(Parked { wait, reply, fds }) = self.parked.take_if(due) else {
            return Ok(false);
        };
        if fds.is_empty() {
            shared.replies.extend_from_slice(&reply);
        } else {
            self.send_with_fds(shared, &reply, fds)?;
        }
        drop(wait);
        cx.settle();
        Ok(true)
    }

    /// Sends a reply that descriptors travel with, after those that wait to leave. Where no reply is
    /// wanted there is nothing for them to travel with.
    fn send_with_fds(
        &mut self,
        shared: &mut Shared,
        reply: &[u8],
        fds: Vec<OwnedFd>,
    ) -> io::Result<()> {
        self.outgoing.send(&self.socket, &mut shared.replies)?;
        if reply.is_empty() {
            return Ok(());
        }
        self.outgoing.send_with_fds(&self.socket, reply, fds)
    }

    /// Has the socket watched for room exactly as long as replies wait for it: a client that reads
    /// a reply makes room each time, which is nothing to wake up for.
    fn watch_room(&mut self, registry: &Registry) -> io::Result<()> {
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

    /// Ends the connection, and the use that a held back reply makes of the device.
    pub(super) fn end(self, registry: &Registry) {
        if let Err(error) = registry.deregister(&mut SourceFd(&self.socket.as_raw_fd())) {
            tracing::warn!(%error, "a client that is gone is still watched");
        }
    }
}
