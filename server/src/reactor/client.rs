//! A connected client: its turns, and its end.

use std::os::fd::OwnedFd;
use std::{io, mem};

use mio::Registry;
use pci_device_models::host::Wait;
use pci_device_models::time::Time;
use vfio_user_protocol::FrameError;

use super::Shared;
use super::channel::Channel;
use super::deferred::Deferred;
use super::source::{ClientId, Kind, Source};
use crate::connection::Received;
use crate::session::{Context, Session, Unfinished, answers_dma};
use crate::settings::ClientLimits;

/// Times that a client's socket is read before others get a turn.
const RECEIVES_PER_TURN: usize = 16;
/// Bytes of replies that are gathered before they leave.
const GATHERED_REPLIES: usize = 256 * 1024;

/// The result of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The client had nothing to say.
    Idle,
    /// It was served. The next thing it does makes its socket ready anew.
    Served,
    /// It was served, but has sent more than one turn handles.
    HasMore,
    /// It has disconnected, or the server must disconnect it.
    Gone,
}

/// The directions in which a client has closed its socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closed {
    /// None, as far as known.
    #[default]
    No,
    /// It sends nothing more; the server still serves earlier requests.
    Sending,
    /// It receives nothing more either, so nothing waits for it.
    Wholly,
}

/// A deferred reply: the server sends it when the time that the request takes has passed and BAR
/// memory is where the request wanted it.
#[derive(Debug)]
struct Parked {
    wait: Option<Wait>,
    reply: Vec<u8>,
    fds: Vec<OwnedFd>,
}

/// One client of one function.
#[derive(Debug)]
pub(super) struct Client {
    id: ClientId,
    limits: ClientLimits,
    channel: Channel,
    /// The twin socket for the server's commands, if the client negotiated one.
    twin: Option<Channel>,
    /// There may be something to be read from it.
    twin_ready: bool,
    session: Session,
    closed: Closed,
    /// While there is one, nothing that the client sends is served but replies to DMA commands.
    parked: Option<Parked>,
    /// The first of what is deferred has been tried and is not finished. What follows it waits.
    unfinished: Option<Unfinished>,
    /// It is to have a turn when BAR memory is where it should be.
    waits_for_bars: bool,
    /// The wait that an unfinished request has caused so far.
    carried: Option<Wait>,
    /// Messages that arrived meanwhile.
    deferred: Deferred,
    /// The last turn ended with [`Turn::HasMore`].
    has_more: bool,
}

impl Client {
    /// Has the socket watched from now on.
    /// `number` is one that no other client of the function has or had.
    pub(super) fn new(
        socket: OwnedFd,
        id: ClientId,
        number: u64,
        limits: ClientLimits,
        registry: &Registry,
    ) -> io::Result<Self> {
        let session = Session::new(number);
        Ok(Self {
            id,
            limits,
            channel: Channel::new(
                socket,
                Source::of_client(Kind::Client, id),
                session.limits(limits.transfer),
                registry,
            )?,
            twin: None,
            twin_ready: false,
            session,
            closed: Closed::No,
            parked: None,
            unfinished: None,
            waits_for_bars: false,
            carried: None,
            deferred: Deferred::default(),
            has_more: false,
        })
    }

    /// Defers the reply to its first message, because opening the device takes time.
    pub(super) fn wait_first(&mut self, wait: Wait) {
        self.parked = Some(Parked {
            wait: Some(wait),
            reply: Vec::new(),
            fds: Vec::new(),
        });
    }

    /// Its number.
    pub(super) const fn number(&self) -> u64 {
        self.session.client()
    }

    /// Sends a command of the server's.
    pub(super) fn send(&mut self, command: &mut Vec<u8>, registry: &Registry) -> io::Result<()> {
        let channel = self.twin.as_mut().unwrap_or(&mut self.channel);
        channel.send(command)?;
        channel.watch_room(registry)
    }

    /// Something happened on the twin socket, which the next turn has to look at.
    pub(super) fn note_twin(&mut self) {
        self.twin_ready = true;
    }

    /// The socket is closed so far.
    pub(super) fn note_closed(&mut self, closed: Closed) {
        self.closed = self.closed.max(closed);
    }

    /// Has it get a turn later, whatever happens until then.
    pub(super) const fn postpone(&mut self) {
        self.has_more = true;
    }

    /// Returns whether it has closed its socket, even if the event loop has not noticed.
    pub(super) fn is_abandoned(&self) -> bool {
        self.channel.is_abandoned()
    }

    /// Returns whether it needs another turn without a further event.
    pub(super) const fn has_more(&self) -> bool {
        self.has_more || self.twin_ready
    }

    /// Returns whether it needs a turn when transfers have come to rest.
    pub(super) fn waits(&self) -> bool {
        self.unfinished == Some(Unfinished::UntilRest) && !self.channel.is_full(self.limits.pending)
    }

    /// Returns whether it needs a turn when BAR memory is where it should be.
    pub(super) const fn waits_for_bars(&self) -> bool {
        self.waits_for_bars
    }

    /// When it wants a turn because a reply is due.
    pub(super) fn due(&self) -> Option<Time> {
        let wait = self.parked.as_ref()?.wait.as_ref()?;
        Some(wait.until)
    }

    /// Serves what the client has sent.
    pub(super) fn turn(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> Turn {
        let turn = self.serve(shared, cx).and_then(|turn| {
            let waits = shared.together.gathers() && turn != Turn::Gone;
            if waits && self.channel.hold(&mut shared.replies) {
                shared.together.add(self.id);
                return Ok(turn);
            }
            self.channel.send(&mut shared.replies)?;
            self.channel.watch_room(cx.registry)?;
            Ok(turn)
        });
        self.channel
            .settle(&mut shared.buffers, &mut shared.replies);
        let turn = turn.unwrap_or_else(|error| {
            shared.replies.clear();
            tracing::debug!(%error, "the client cannot be served any more");
            Turn::Gone
        });
        self.has_more = turn == Turn::HasMore;
        turn
    }

    /// Sends what a turn has left to leave together with others' replies.
    ///
    /// # Errors
    /// The client is gone.
    pub(super) fn deliver(&mut self, registry: &Registry) -> io::Result<()> {
        self.channel.resume()?;
        self.channel.watch_room(registry)
    }

    fn serve(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> io::Result<Turn> {
        if self.unfinished.is_some() && self.closed == Closed::Wholly {
            return Ok(Turn::Gone);
        }
        // The rest of a request may want them elsewhere again.
        self.waits_for_bars = self.closed < Closed::Wholly
            && self.unfinished.is_none()
            && !cx.device.bars_are_settled();
        if self.waits_for_bars {
            return Ok(Turn::Idle);
        }
        self.unfinished = self
            .unfinished
            .filter(|&unfinished| unfinished != Unfinished::UntilNextTurn);
        self.channel.resume()?;
        let mut served = self.serve_twin(shared, cx)?;
        served |= self.unpark(shared, cx)?;
        // What an earlier turn left because replies had to wait.
        if self.channel.has_received() || !self.deferred.is_empty() {
            served |= self.serve_received(shared, cx)?;
            if self.ends_turn(cx) {
                return Ok(Turn::HasMore);
            }
        }
        for receives in 0..RECEIVES_PER_TURN {
            if receives == 1 {
                // Behind a message with descriptors there is seldom another: no reply waits for that
                // to be found out.
                self.channel.send(&mut shared.replies)?;
            }
            if !self.is_heard() {
                return Ok(if served { Turn::Served } else { Turn::Idle });
            }
            let more = match self.channel.receive(&mut shared.buffers) {
                // Whoever only stopped sending gets his reply.
                Received::Closed if self.is_held() => false,
                Received::Closed => return Ok(Turn::Gone),
                Received::Nothing => false,
                Received::Bytes { more } => more || self.closed > Closed::No,
            };
            // Those that the client rang before it sent this come first.
            cx.answer_doorbells();
            served |= self.serve_received(shared, cx)?;
            if self.ends_turn(cx) {
                break;
            }
            if !more {
                return Ok(if served { Turn::Served } else { Turn::Idle });
            }
            if shared.together.is_waited_for() {
                // Others' replies wait for no more than this.
                break;
            }
        }
        Ok(Turn::HasMore)
    }

    /// Returns whether the server may handle more messages now.
    fn is_heard(&self) -> bool {
        let most = self.limits.pending;
        !self.channel.is_full(most) && (!self.is_held() || !self.deferred.is_full(most))
    }

    /// Returns whether a reply or a command is deferred.
    const fn is_held(&self) -> bool {
        self.parked.is_some() || self.unfinished.is_some()
    }

    /// Returns whether the turn is over, and another one has to continue without a further event.
    fn ends_turn(&self, cx: &Context<'_>) -> bool {
        let steps = self.unfinished == Some(Unfinished::UntilNextTurn);
        (steps || cx.budget.is_spent()) && !self.channel.is_full(self.limits.pending)
    }

    /// Serves the whole messages that have been received, until replies have to wait. Whether there
    /// was one.
    fn serve_received(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut any = false;
        let mut payload = Vec::new();
        while self.is_heard() && !cx.budget.is_spent() {
            if self.unfinished == Some(Unfinished::UntilRest) && cx.outputs.dma.is_settled() {
                self.unfinished = None;
            }
            let is_held = self.is_held();
            let kept = self.deferred.pop_if(!is_held);
            let is_kept = kept.is_some();
            let message = match kept {
                Some(kept) => kept.map(|kept| kept.into_message(&mut payload)),
                None => match self.channel.next_message() {
                    Some(message) => message,
                    None => break,
                },
            };
            any = true;
            let bytes = match &message {
                Ok(message) => message.frame.payload.len(),
                Err(_) => 0,
            };
            cx.budget.spend_message(bytes);
            if is_held {
                match message {
                    Ok(message) if answers_dma(&message.frame) => {
                        self.session.handle(cx, message, &mut shared.replies);
                    }
                    message => self.deferred.push(message),
                }
                continue;
            }
            match message {
                Ok(message) => {
                    let start = shared.replies.len();
                    let frame = message.frame;
                    self.session.handle(cx, message, &mut shared.replies);
                    if let Some(unfinished) = cx.unfinished.take() {
                        let header = frame.header;
                        let bytes = if is_kept {
                            mem::take(&mut payload)
                        } else {
                            frame.payload.to_vec()
                        };
                        self.deferred.push_front(header, bytes);
                        self.unfinished = Some(unfinished);
                        if unfinished == Unfinished::UntilNextTurn {
                            cx.perform();
                            self.carried = self.take_wait(cx);
                        }
                        continue;
                    }
                    self.channel
                        .set_limits(self.session.limits(self.limits.transfer));
                    cx.perform();
                    let bars_are_settled = cx.settle_bars();
                    let wait = self.take_wait(cx);
                    let fds = mem::take(&mut cx.reply_fds);
                    let replied = shared.replies.len() > start;
                    if let Some(socket) = cx.twin.take().filter(|_| replied) {
                        let source = Source::of_client(Kind::Twin, self.id);
                        let limits = self.session.limits(self.limits.transfer);
                        self.twin = Some(Channel::new(socket, source, limits, cx.registry)?);
                        self.session.use_twin();
                    }
                    if (wait.is_some() || !bars_are_settled) && self.closed < Closed::Wholly {
                        self.waits_for_bars = !bars_are_settled;
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
                        self.channel.send(&mut shared.replies)?;
                        return Err(io::Error::other(invalid.error));
                    }
                }
            }
            if shared.replies.len() > GATHERED_REPLIES {
                self.channel.send(&mut shared.replies)?;
            }
        }
        Ok(any)
    }

    /// Takes the wait that a request has caused, in all of its turns.
    fn take_wait(&mut self, cx: &mut Context<'_>) -> Option<Wait> {
        let carried = self.carried.take();
        match (cx.device.take_wait(cx.now), carried) {
            (Some(mut wait), Some(carried)) => {
                wait.until = wait.until.after(carried.until.since(cx.now));
                Some(wait)
            }
            (wait, carried) => wait.or(carried),
        }
    }

    /// Takes in what came over the twin socket. Whether there was something. A client that closes it
    /// is gone.
    fn serve_twin(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> io::Result<bool> {
        let Some(twin) = self.twin.as_mut().filter(|_| self.twin_ready) else {
            return Ok(false);
        };
        twin.resume()?;
        let mut any = false;
        for _ in 0..RECEIVES_PER_TURN {
            let more = match twin.receive(&mut shared.buffers) {
                Received::Closed => return Err(io::ErrorKind::ConnectionAborted.into()),
                Received::Nothing => false,
                Received::Bytes { more } => more,
            };
            while let Some(message) = twin.next_message() {
                any = true;
                self.session.handle_twin(cx, message)?;
            }
            if !more {
                self.twin_ready = false;
                break;
            }
        }
        twin.settle(&mut shared.buffers, &mut shared.replies);
        twin.watch_room(cx.registry)?;
        Ok(any)
    }

    /// Releases a deferred reply that is due, or whose client receives nothing more. Returns whether there
    /// was one.
    fn unpark(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> io::Result<bool> {
        let over = self.closed == Closed::Wholly;
        let due = |parked: &mut Parked| {
            let until = parked.wait.as_ref().map(|wait| wait.until);
            over || until.is_none_or(|until| until <= cx.now)
        };
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
        self.channel.send(&mut shared.replies)?;
        if reply.is_empty() {
            return Ok(());
        }
        self.channel.send_with_fds(reply, fds)
    }

    /// Ends the connection, and the reference that a deferred reply holds. Dropping the socket that comes
    /// back closes it.
    pub(super) fn end(self, registry: &Registry) -> OwnedFd {
        if let Some(twin) = self.twin {
            twin.end(registry);
        }
        self.channel.end(registry)
    }
}
