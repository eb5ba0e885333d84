//! A connected client: its turns, and its end.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use vfio_user_protocol::FrameError;

use super::Shared;
use super::outputs::Outputs;
use super::source::Source;
use crate::connection::{Incoming, Outgoing, Received};
use crate::memory::DmaTable;
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

/// One client of one function.
#[derive(Debug)]
pub(super) struct Client {
    socket: OwnedFd,
    token: Token,
    incoming: Incoming,
    outgoing: Outgoing,
    pub(super) session: Session,
    /// The client has closed its side; what it sent before is still served.
    closing: bool,
    /// The socket is watched for room, too.
    watches_room: bool,
}

impl Client {
    /// Has the socket watched from now on.
    pub(super) fn new(
        socket: OwnedFd,
        function: usize,
        memory: DmaTable,
        registry: &Registry,
    ) -> io::Result<Self> {
        let token = Source::Client(function).into();
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
            session: Session::new(memory),
            closing: false,
            watches_room: false,
        })
    }

    /// The socket has seen its last bytes.
    pub(super) fn set_closing(&mut self) {
        self.closing = true;
    }

    /// Serves what the client has sent.
    pub(super) fn turn(
        &mut self,
        shared: &mut Shared,
        outputs: &mut Outputs,
        cx: &mut Context<'_>,
    ) -> Turn {
        let turn = self.serve(shared, outputs, cx).and_then(|turn| {
            self.outgoing.send(&self.socket, &mut shared.replies)?;
            self.watch_room(cx.registry)?;
            Ok(turn)
        });
        self.incoming.settle(&mut shared.buffers);
        turn.unwrap_or_else(|error| {
            shared.replies.clear();
            tracing::debug!(%error, "the client cannot be served any more");
            Turn::Gone
        })
    }

    fn serve(
        &mut self,
        shared: &mut Shared,
        outputs: &mut Outputs,
        cx: &mut Context<'_>,
    ) -> io::Result<Turn> {
        self.outgoing.resume(&self.socket)?;
        // What an earlier turn left because the replies to it had to wait.
        let mut served = self.serve_received(shared, outputs, cx)?;
        for _ in 0..RECEIVES_PER_TURN {
            if self.outgoing.is_full() {
                return Ok(Turn::Served);
            }
            let more = match self.incoming.receive(&self.socket, &mut shared.buffers) {
                Received::Closed => return Ok(Turn::Gone),
                Received::Nothing => false,
                Received::Bytes { more } => more || self.closing,
            };
            served |= self.serve_received(shared, outputs, cx)?;
            if !more {
                return Ok(if served { Turn::Served } else { Turn::Idle });
            }
        }
        Ok(Turn::HasMore)
    }

    /// Serves the whole messages that have been received, until replies have to wait. Whether there
    /// was one.
    fn serve_received(
        &mut self,
        shared: &mut Shared,
        outputs: &mut Outputs,
        cx: &mut Context<'_>,
    ) -> io::Result<bool> {
        let mut any = false;
        while !self.outgoing.is_full() {
            let Some(message) = self.incoming.next_message() else {
                break;
            };
            any = true;
            match message {
                Ok(message) => {
                    self.session.handle(cx, message, &mut shared.replies);
                    outputs.perform(cx.now, cx.device, Some(&mut self.session.irqs), cx.stats);
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

    /// Ends the watch over the socket and the resample eventfd.
    pub(super) fn unwatch(&mut self, registry: &Registry, resample: Token) {
        let socket = registry.deregister(&mut SourceFd(&self.socket.as_raw_fd()));
        let resample = self.session.irqs.set_resample(registry, resample, None);
        if let Err(error) = socket.and(resample) {
            tracing::warn!(%error, "a client that is gone is still watched");
        }
    }
}
