//! The event loop.
//!
//! One turn of the loop: what is due is done; then the server waits, unless somebody has unfinished
//! business; then whoever made himself heard gets a turn of limited length, and so does every
//! unfinished transfer. Nothing ever waits for one client alone, and an idle server makes no system
//! calls at all: there is no timer but the next deadline of a device.

mod accept;
mod channel;
mod client;
mod control;
mod controls;
mod deferred;
mod function;
mod rail;
mod source;
mod spin;

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{io, mem};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Waker};
use pci_device_models::time::Time;

use crate::clock::Clock;
use crate::connection::BufferPool;
use crate::control::{self as language, ControlAction, ControlContext};
use crate::dma::BounceBuffer;
use crate::server::ServedFunction;
use crate::settings::Settings;
use client::{Closed, Turn};
use control::ControlClient;
use controls::Controls;
use function::{Function, Limits};
use source::{ClientId, Source};
use spin::Spin;

/// Events that one poll reports at most.
const EVENTS: usize = 256;
/// Turns of one client in a row before everything else is looked at, if it is the only client and
/// if it is not.
const TURNS_OF_ONLY_CLIENT: u32 = 64;
const TURNS_OF_ONE_AMONG_MANY: u32 = 4;
/// Lines of one control client that are carried out in a row.
const CONTROL_LINES_PER_TURN: u32 = 64;
/// Looks at one client in vain between looks at everybody else.
const LOOKS_BETWEEN_POLLS: u32 = 16;

/// What all connections use in turn.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// For messages to be received into.
    pub(crate) buffers: BufferPool,
    /// Replies of the present turn, or a command.
    pub(crate) replies: Vec<u8>,
    /// For copies within client memory.
    pub(crate) bounce: BounceBuffer,
}

/// What came of a poll.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    /// Something happened.
    anything: bool,
    /// A client asked for something.
    request: bool,
}

/// All that is served and waited for.
#[derive(Debug)]
pub(crate) struct Reactor {
    poll: Poll,
    events: Events,
    functions: Vec<Function>,
    /// The next deadline of each function.
    deadlines: Vec<Option<Time>>,
    /// Functions that have something to do without being woken. Each is listed once.
    busy: Vec<usize>,
    controls: Controls,
    shared: Shared,
    clock: Clock,
    limits: Limits,
    spin: Spin,
    /// The client that was served last.
    hot: Option<ClientId>,
    /// When a client was last looked at, and when one was last served.
    looked: Instant,
    served: Instant,
    /// Turns of one client since everything else was looked at.
    turns_since_poll: u32,
    /// Clients that are connected.
    clients: usize,
    /// Descriptors that end the server.
    shutdown_fds: Vec<OwnedFd>,
    stop: Arc<AtomicBool>,
}

impl Reactor {
    pub(crate) fn new(settings: Settings, stop: Arc<AtomicBool>) -> io::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            functions: Vec::new(),
            deadlines: Vec::new(),
            busy: Vec::new(),
            controls: Controls::default(),
            shared: Shared::default(),
            clock: settings.clock,
            limits: Limits {
                once: settings.once,
                max_dma_maps: settings.max_dma_maps,
                dma_timeout: settings.dma_timeout,
            },
            spin: Spin::new(settings.poll.window()),
            hot: None,
            looked: now,
            served: now,
            turns_since_poll: 0,
            clients: 0,
            shutdown_fds: Vec::new(),
            stop,
        })
    }

    /// What ends a wait from another thread.
    pub(crate) fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), Source::Waker.into())
    }

    pub(crate) fn watch_shutdown_fd(&mut self, fd: OwnedFd) -> io::Result<()> {
        let token = Source::Shutdown.into();
        let source = &mut SourceFd(&fd.as_raw_fd());
        self.poll
            .registry()
            .register(source, token, Interest::READABLE)?;
        self.shutdown_fds.push(fd);
        Ok(())
    }

    pub(crate) fn add(&mut self, mut served: ServedFunction) -> io::Result<()> {
        let number = self.functions.len();
        let registry = self.poll.registry();
        if let Some(listener) = served.control.take() {
            self.controls.listen(number, listener, registry)?;
        }
        let function = Function::new(number, served, self.limits, registry, self.clock.now())?;
        self.functions.push(function);
        self.deadlines.push(None);
        self.count_clients();
        self.after(number);
        Ok(())
    }

    pub(crate) fn run(&mut self) -> io::Result<()> {
        while !self.is_finished() {
            self.do_what_is_due();
            self.wait()?;
            if !self.is_stopped() {
                self.go_on();
            }
        }
        Ok(())
    }

    /// Whether the server has been told to end. From then on nothing more is served: the state of a
    /// device may have been saved with that.
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn is_finished(&self) -> bool {
        self.is_stopped() || self.functions.iter().all(Function::is_finished)
    }

    fn do_what_is_due(&mut self) {
        if self.deadlines.iter().all(Option::is_none) {
            return;
        }
        let now = self.clock.now();
        for number in 0..self.functions.len() {
            let due = self.deadlines.get(number).copied().flatten();
            if due.is_some_and(|deadline| deadline <= now) {
                if let Some(function) = self.functions.get_mut(number) {
                    function.advance(&mut self.shared, self.poll.registry(), now);
                }
                self.after(number);
            }
        }
    }

    /// How long to sleep at most.
    fn timeout(&self) -> Option<Duration> {
        if !self.busy.is_empty() {
            return Some(Duration::ZERO);
        }
        let next = self.deadlines.iter().flatten().min();
        next.and_then(|deadline| self.clock.until(*deadline))
    }

    /// Waits for something to happen and deals with it.
    fn wait(&mut self) -> io::Result<()> {
        let timeout = self.timeout();
        if self.busy.is_empty()
            && let (Some(hot), Some(window)) = (self.hot, self.spin.window())
            && self.look(hot, timeout.map_or(window, |left| left.min(window)))?
        {
            return Ok(());
        }
        let before = self.served;
        if self.poll(timeout)?.request {
            self.spin.waited(self.served.duration_since(before));
        }
        Ok(())
    }

    /// Looks for the next request of a client again and again for up to `window`. Whether anything
    /// was found.
    fn look(&mut self, hot: ClientId, window: Duration) -> io::Result<bool> {
        let turns = if self.clients > 1 {
            TURNS_OF_ONE_AMONG_MANY
        } else {
            TURNS_OF_ONLY_CLIENT
        };
        let mut looks = 0;
        while self.turns_since_poll < turns {
            match self.client_ready(hot, Closed::No) {
                Turn::Idle => {}
                Turn::Served | Turn::HasMore => {
                    self.turns_since_poll += 1;
                    self.spin.hit();
                    return Ok(true);
                }
                Turn::Gone => return Ok(true),
            }
            looks += 1;
            if looks % LOOKS_BETWEEN_POLLS == 0 && self.poll(Some(Duration::ZERO))?.anything {
                return Ok(true);
            }
            if self.looked.duration_since(self.served) >= window {
                self.spin.miss();
                return Ok(false);
            }
        }
        self.poll(Some(Duration::ZERO))?;
        Ok(true)
    }

    /// Sleeps until something happens, and deals with all that has.
    fn poll(&mut self, timeout: Option<Duration>) -> io::Result<Heard> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Err(_) => return Ok(Heard::default()),
            Ok(()) => {}
        }
        let mut heard = Heard::default();
        self.turns_since_poll = 0;
        // Not to be borrowed while they are dealt with. Room for no events allocates nothing.
        let events = mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            heard.anything = true;
            heard.request |= self.deal_with(event);
            if self.is_stopped() {
                break;
            }
        }
        self.events = events;
        Ok(heard)
    }

    /// Deals with one event. Whether it was a request of a client.
    fn deal_with(&mut self, event: &Event) -> bool {
        match Source::from(event.token()) {
            // What it announces is looked at in every turn of the loop.
            Source::Waker => {}
            Source::Shutdown => self.stop.store(true, Ordering::Release),
            Source::Client(id) => {
                let closed = if event.is_write_closed() || event.is_error() {
                    Closed::Wholly
                } else if event.is_read_closed() {
                    Closed::Sending
                } else {
                    Closed::No
                };
                let turn = self.client_ready(id, closed);
                return matches!(turn, Turn::Served | Turn::HasMore);
            }
            Source::Twin(id) => {
                if let Some(function) = self.functions.get_mut(id.function) {
                    function.note_twin(id.slot);
                }
                self.client_ready(id, Closed::No);
            }
            Source::Listener(number) => {
                let now = self.clock.now();
                if let Some(function) = self.functions.get_mut(number) {
                    function.accept(&mut self.shared, self.poll.registry(), now);
                }
                self.count_clients();
                self.after(number);
            }
            Source::Resample(number) => {
                let now = self.clock.now();
                if let Some(function) = self.functions.get_mut(number) {
                    function.resample_ready(now);
                }
                self.after(number);
            }
            Source::Doorbells(number) => {
                let now = self.clock.now();
                if let Some(function) = self.functions.get_mut(number) {
                    function.answer_doorbells(now);
                }
                self.after(number);
            }
            Source::ControlListener(number) => {
                self.controls.accept(number, self.poll.registry());
            }
            Source::Control(number) => self.control_ready(number),
            Source::RailListener(number) => {
                if let Some(function) = self.functions.get_mut(number) {
                    function.rail_accept(self.poll.registry());
                }
            }
            Source::Rail(number) => {
                let now = self.clock.now();
                if let Some(function) = self.functions.get_mut(number) {
                    function.rail_ready(now);
                }
                self.after(number);
            }
        }
        false
    }

    /// Gives a client a turn.
    fn client_ready(&mut self, id: ClientId, closed: Closed) -> Turn {
        let Some(function) = self.functions.get_mut(id.function) else {
            return Turn::Idle;
        };
        self.looked = Instant::now();
        let now = self.clock.at(self.looked);
        let registry = self.poll.registry();
        let turn = function.client_ready(id.slot, &mut self.shared, registry, now, closed);
        match turn {
            Turn::Idle => return turn,
            Turn::Served | Turn::HasMore => {
                self.hot = Some(id);
                self.served = self.looked;
            }
            Turn::Gone => {
                self.hot = None;
                self.count_clients();
            }
        }
        self.after(id.function);
        turn
    }

    fn count_clients(&mut self) {
        self.clients = self.functions.iter().map(Function::connected).sum();
    }

    /// Carries out what a control client says, line by line: what a line caused is told before the
    /// next one is looked at.
    fn control_ready(&mut self, number: usize) {
        for lines in 1.. {
            let Some(mut client) = self.controls.take(number) else {
                return;
            };
            let touched = client.function;
            let done = self.control_line(&mut client).and_then(|done| {
                let enough = !done && lines == CONTROL_LINES_PER_TURN;
                if enough {
                    client.ask_again(self.poll.registry())?;
                }
                Ok(done || enough)
            });
            match &done {
                Ok(_) => self.controls.put(number, client),
                Err(error) => {
                    tracing::debug!(%error, "control client lost");
                    if let Some(function) = self.functions.get_mut(touched) {
                        function.outputs.subscribers -= usize::from(client.subscribed);
                    }
                }
            }
            self.after(touched);
            if done.unwrap_or(true) {
                return;
            }
        }
    }

    /// Carries out the next line of a control client. Whether there was none.
    fn control_line(&mut self, client: &mut ControlClient) -> io::Result<bool> {
        client.resume()?;
        let Some(line) = client.next_line()? else {
            return Ok(true);
        };
        let Some(function) = self.functions.get_mut(client.function) else {
            return Ok(true);
        };
        let now = self.clock.now();
        function.answer_doorbells(now);
        let now = function.own_time(now);
        let mut cx = ControlContext {
            name: &function.name,
            device: &mut function.device,
            now,
            clock: &mut self.clock,
            stats: &function.stats,
        };
        let reply = language::execute(&line, &mut cx);
        // The line may have moved time, or made something due at once.
        let now = self.clock.now();
        function.advance(&mut self.shared, self.poll.registry(), now);
        match reply.action {
            Some(ControlAction::Shutdown) => self.stop.store(true, Ordering::Release),
            Some(ControlAction::Subscribe) if !client.subscribed => {
                client.subscribed = true;
                function.outputs.subscribers += 1;
            }
            Some(ControlAction::Subscribe) | None => {}
        }
        client.send(reply.text.into_bytes())?;
        Ok(false)
    }

    /// Gives everybody who has unfinished business a turn.
    fn go_on(&mut self) {
        for _ in 0..self.busy.len() {
            let number = self.busy.remove(0);
            let now = self.clock.now();
            if let Some(function) = self.functions.get_mut(number) {
                function.go_on(&mut self.shared, self.poll.registry(), now);
            }
            self.after(number);
            self.count_clients();
        }
    }

    /// Takes note of what a function has to do next and tells its subscribers what happened. To be
    /// called whenever anything was done with it.
    fn after(&mut self, number: usize) {
        let Some(function) = self.functions.get_mut(number) else {
            return;
        };
        for (at, event) in function.outputs.events.drain(..) {
            let dropped = self.controls.publish(number, at, &event);
            function.outputs.subscribers -= dropped;
        }
        if let Some(deadline) = self.deadlines.get_mut(number) {
            *deadline = function.next_deadline();
        }
        if function.is_busy() && !self.busy.contains(&number) {
            self.busy.push(number);
        }
    }
}
