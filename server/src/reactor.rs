//! The event loop.
//!
//! One turn of the loop performs everything that is due and then waits for events, unless there is
//! unfinished work. Then each ready client and each unfinished transfer gets a turn of limited length.
//! The loop never waits for a single client. An idle server makes no system calls: the only timer is
//! the next deadline of a device.

mod accept;
mod after;
mod busy_poll;
mod channel;
mod client;
mod control;
mod control_lines;
mod controls;
mod deadlines;
mod deferred;
mod peers;
mod platform;
mod rail;
mod rails;
mod refused;
mod served;
mod slot;
mod source;
mod together;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Waker};
use pci_device_models::host::DeviceRef;
use pci_device_models::time::Time;

use crate::clock::{Clock, system};
use crate::closer::Closer;
use crate::connection::BufferPool;
use crate::dma::BounceBuffer;
use crate::eventfd;
use crate::memory::AddressSpace;
use crate::served::{ServedFunction, ServedSlot};
use crate::settings::Settings;
use crate::state_file::Places;
use crate::stats::ConnectionStats;
use crate::sys::{catch_faults, return_freed_memory};
use busy_poll::BusyPoll;
use client::{Closed, Turn};
use controls::Controls;
use deadlines::Deadlines;
use peers::Peers;
use platform::Platform;
use refused::RefusedClients;
use served::{Limits, Served};
use slot::{Seat, Slot};
use source::{ClientId, Kind, Source};
use together::Together;

/// Events that one poll reports at most.
const EVENTS: usize = 256;
/// Turns of one client in a row before everything else is polled, if it is the only client and
/// if it is not.
const TURNS_OF_ONLY_CLIENT: u32 = 64;
const TURNS_OF_ONE_AMONG_MANY: u32 = 4;
/// Time after which everything else is polled, however few turns the client had.
const LONGEST_SPELL: Duration = Duration::from_millis(1);
/// Polls of one client in vain between polls of everybody.
const TRIES_BETWEEN_POLLS: u32 = 64;

/// State that all connections use in turn.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Receive buffers.
    pub(crate) buffers: BufferPool,
    /// Replies of the present turn, or a command.
    pub(crate) replies: Vec<u8>,
    /// Clients whose replies wait for those of others.
    together: Together,
    /// Clients that are refused.
    refused: RefusedClients,
    /// For copies within client memory.
    pub(crate) bounce: BounceBuffer,
    /// The beginning of the next turn of a client, on the system's clock, if it is known.
    turn_begun: Option<Time>,
}

impl Shared {
    /// Frees the room that a client needed who is gone.
    fn give_back(&mut self) {
        self.replies.shrink_to_fit();
        self.bounce = BounceBuffer::default();
        return_freed_memory();
    }
}

/// The result of a poll.
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
    /// Room for events, unless they are being dealt with.
    events: Option<Events>,
    slots: Vec<Slot>,
    functions: Vec<Served>,
    deadlines: Deadlines,
    /// Functions that have something to do without being woken. Each is listed once.
    busy: Vec<usize>,
    controls: Controls,
    /// The platform controller, if one is served.
    platform: Option<Platform>,
    peers: Arc<Peers>,
    shared: Shared,
    clock: Clock,
    limits: Limits,
    state_places: Places,
    closer: Closer,
    busy_poll: BusyPoll,
    /// The client that was served last.
    hot: Option<ClientId>,
    /// When a client was last polled, and when one was last served, on the system's clock.
    polled: Time,
    served: Time,
    /// Turns of one client since everything else was polled, and when the first of them began.
    turns_since_poll: u32,
    spell: Time,
    /// Clients that are connected.
    clients: usize,
    /// Descriptors that end the server.
    shutdown_fds: Vec<OwnedFd>,
    stop: Arc<AtomicBool>,
}

impl Reactor {
    pub(crate) fn new(settings: Settings, stop: Arc<AtomicBool>) -> io::Result<Self> {
        let now = system();
        eventfd::prepare();
        catch_faults();
        Ok(Self {
            poll: Poll::new()?,
            events: Some(Events::with_capacity(EVENTS)),
            slots: Vec::new(),
            functions: Vec::new(),
            deadlines: Deadlines::default(),
            busy: Vec::new(),
            controls: Controls::new(settings.max_control_clients),
            platform: None,
            peers: Arc::new(Peers::new(settings.allowed_uids)),
            shared: Shared::default(),
            clock: settings.clock,
            limits: Limits {
                once: settings.once,
                client: settings.client,
                max_dma_maps: settings.max_dma_maps,
                max_dma_files: settings.max_dma_files,
                space: AddressSpace::new(settings.max_dma_mapped),
                closer: settings.closer.clone(),
                dma_timeout: settings.dma_timeout,
            },
            state_places: settings.state_places,
            closer: settings.closer.clone(),
            busy_poll: BusyPoll::new(settings.poll.window()),
            hot: None,
            polled: now,
            served: now,
            turns_since_poll: 0,
            spell: now,
            clients: 0,
            shutdown_fds: Vec::new(),
            stop,
        })
    }

    /// Returns a waker that ends a wait from another thread.
    pub(crate) fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), Source::new(Kind::Waker, 0).into())
    }

    pub(crate) fn watch_shutdown_fd(&mut self, fd: OwnedFd) -> io::Result<()> {
        let token = Source::new(Kind::Shutdown, 0).into();
        let source = &mut SourceFd(&fd.as_raw_fd());
        self.poll
            .registry()
            .register(source, token, Interest::READABLE)?;
        self.shutdown_fds.push(fd);
        Ok(())
    }

    pub(crate) fn add(&mut self, slot: ServedSlot) -> io::Result<()> {
        let name = slot.name().to_owned();
        let ServedSlot {
            devices,
            functions,
            rail,
            name: _,
        } = slot;
        let place = self.slots.len();
        let registry = self.poll.registry();
        self.slots.push(Slot::new(
            place,
            name,
            devices,
            rail,
            &self.peers,
            registry,
        )?);
        functions
            .into_iter()
            .try_for_each(|function| self.add_function(place, function))
    }

    fn add_function(&mut self, slot: usize, mut function: ServedFunction) -> io::Result<()> {
        let number = self.functions.len();
        let registry = self.poll.registry();
        let shared = self.slots.get_mut(slot);
        let Some(mut seat) = shared.and_then(|slot| slot.claim(function.number, number)) else {
            return Err(io::Error::other(format!(
                "its slot has no function {} with a host driver",
                function.number
            )));
        };
        if let Some(listener) = function.control.take() {
            self.controls
                .listen(number, listener, &self.peers, registry)?;
        }
        let now = self.clock.now();
        let function = Served::new(
            (number, slot),
            function,
            &mut seat,
            self.limits.clone(),
            &self.peers,
            registry,
            now,
        )?;
        self.functions.push(function);
        // Each is listed once, so a turn that is cut short never allocates.
        self.busy.reserve(self.functions.len());
        self.deadlines.push();
        self.count_clients();
        self.after(number);
        Ok(())
    }

    pub(crate) fn run(&mut self) -> io::Result<()> {
        while !self.is_finished() {
            self.turn(None)?;
        }
        self.hang_up();
        Ok(())
    }

    /// Disconnects everybody. The memory goes later: the system needs a while to take much of it back.
    fn hang_up(&mut self) {
        self.controls = Controls::new(0);
        self.functions.iter_mut().for_each(Served::hang_up);
    }

    /// One turn of the loop, which waits no longer than `most`. Whether there was anything to do, or
    /// still is.
    pub(crate) fn turn(&mut self, most: Option<Duration>) -> io::Result<bool> {
        self.shared.refused.expire();
        self.do_what_is_due();
        self.control_waiting();
        if self.is_stopped() {
            return Ok(true);
        }
        let heard = self.wait(most)?;
        if !self.is_stopped() {
            self.go_on();
        }
        Ok(heard || self.has_work())
    }

    /// The functions in the order in which they were added, each with its counters.
    pub(crate) fn functions(&self) -> impl Iterator<Item = (DeviceRef<'_>, &ConnectionStats)> {
        self.functions.iter().filter_map(|function| {
            let devices = &self.slots.get(function.slot)?.devices;
            Some((devices.device(function.number)?, &function.stats))
        })
    }

    /// Returns whether the server must end. It serves nothing after that, since the verb that stopped it may
    /// have saved the state of a device.
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn is_finished(&self) -> bool {
        self.is_stopped() || self.functions.iter().all(Served::is_finished)
    }

    fn do_what_is_due(&mut self) {
        if self.deadlines.first().is_none() {
            return;
        }
        let now = self.clock.now();
        let mut number = 0;
        while let Some(due) = self.deadlines.next_due(number, now) {
            if let Some((function, mut seat)) = served(&mut self.functions, &mut self.slots, due) {
                function.advance(&mut seat, &mut self.shared, self.poll.registry(), now);
            }
            self.after(due);
            number = due + 1;
        }
    }

    /// Returns whether there is work that no event triggers.
    fn has_work(&self) -> bool {
        !self.busy.is_empty() || self.controls.is_waited_for()
    }

    /// Returns the maximum time to sleep.
    fn timeout(&self) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        let first = self.deadlines.first();
        let first = first.and_then(|deadline| self.clock.until(deadline));
        let refused = self.shared.refused.until();
        first.into_iter().chain(refused).min()
    }

    /// Waits for something to happen, no longer than `most`, and deals with it. Whether anything
    /// did.
    fn wait(&mut self, most: Option<Duration>) -> io::Result<bool> {
        let timeout = match (self.timeout(), most) {
            (Some(timeout), Some(most)) => Some(timeout.min(most)),
            (timeout, most) => timeout.or(most),
        };
        if !self.has_work()
            && let (Some(hot), Some(window)) = (self.hot, self.busy_poll.window())
            && self.busy_poll_client(hot, timeout.map_or(window, |left| left.min(window)))?
        {
            return Ok(true);
        }
        let before = self.served;
        let heard = self.poll(timeout)?;
        if heard.request {
            self.busy_poll.waited(self.served.since(before));
        }
        Ok(heard.anything)
    }

    /// Polls a client again and again for its next request, for up to `window`. Returns whether anything
    /// was found.
    fn busy_poll_client(&mut self, hot: ClientId, window: Duration) -> io::Result<bool> {
        let turns = if self.clients > 1 {
            TURNS_OF_ONE_AMONG_MANY
        } else {
            TURNS_OF_ONLY_CLIENT
        };
        let mut tries = 0;
        while self.turns_since_poll < turns
            && (self.turns_since_poll == 0 || self.polled.since(self.spell) < LONGEST_SPELL)
        {
            match self.client_ready(hot, Closed::No) {
                Turn::Idle => {}
                Turn::Served | Turn::HasMore => {
                    if self.turns_since_poll == 0 {
                        self.spell = self.polled;
                    }
                    self.turns_since_poll += 1;
                    self.busy_poll.hit();
                    return Ok(true);
                }
                Turn::Gone => return Ok(true),
            }
            tries += 1;
            if tries % TRIES_BETWEEN_POLLS == 0 && self.poll(Some(Duration::ZERO))?.anything {
                return Ok(true);
            }
            if self.polled.since(self.served) >= window {
                self.busy_poll.miss();
                return Ok(false);
            }
        }
        self.poll(Some(Duration::ZERO))?;
        Ok(true)
    }

    /// Sleeps until something happens, and deals with all that has.
    fn poll(&mut self, timeout: Option<Duration>) -> io::Result<Heard> {
        let events = self.events.take();
        let mut events = events.unwrap_or_else(|| Events::with_capacity(EVENTS));
        let polled = self.poll.poll(&mut events, timeout);
        let mut heard = Heard::default();
        if polled.is_ok() {
            self.turns_since_poll = 0;
            let several = events.iter().nth(1).is_some();
            if several {
                self.shared.together.gather(true);
            }
            for event in &events {
                heard.anything = true;
                heard.request |= self.deal_with(event);
                if self.is_stopped() {
                    break;
                }
            }
            if several {
                self.shared.together.gather(false);
                self.deliver();
            }
        }
        self.events = Some(events);
        match polled {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(heard),
        }
    }

    /// Deals with one event. Whether it was a request of a client.
    fn deal_with(&mut self, event: &Event) -> bool {
        let source = Source::from(event.token());
        let together = &self.shared.together;
        if together.is_waited_for() && (together.is_full() || source.kind != Kind::Client) {
            self.deliver();
        }
        match source.kind {
            // Every turn of the loop reads the flag that it announces.
            Kind::Waker => {}
            Kind::Shutdown => self.stop.store(true, Ordering::Release),
            Kind::Client => {
                let closed = if event.is_write_closed() || event.is_error() {
                    Closed::Wholly
                } else if event.is_read_closed() {
                    Closed::Sending
                } else {
                    Closed::No
                };
                let turn = self.client_ready(source.client(), closed);
                return matches!(turn, Turn::Served | Turn::HasMore);
            }
            Kind::Twin => {
                let id = source.client();
                if let Some(function) = self.functions.get_mut(id.function) {
                    function.note_twin(id.index);
                }
                self.client_ready(id, Closed::No);
            }
            Kind::Refused => self.shared.refused.ready(source.number),
            Kind::Control => self.control_ready(source.number),
            Kind::ControlListener => {
                let refused = self.controls.accept(source.number, self.poll.registry());
                if let Some(function) = self.functions.get_mut(source.number) {
                    function.stats.refused += refused;
                }
            }
            Kind::RailListener | Kind::Rail => self.rail_ready(source),
            Kind::Listener
            | Kind::Resample
            | Kind::Doorbells
            | Kind::BackendListener
            | Kind::Backend => self.function_ready(source),
        }
        false
    }

    /// Something of a function's own is ready.
    fn function_ready(&mut self, source: Source) {
        let now = self.clock.now();
        let number = source.number;
        if let Some((function, mut seat)) = served(&mut self.functions, &mut self.slots, number) {
            let registry = self.poll.registry();
            function.ready(source.kind, &mut seat, &mut self.shared, registry, now);
        }
        if source.kind == Kind::Listener {
            self.count_clients();
        }
        self.after(number);
    }

    /// Gives a client a turn.
    fn client_ready(&mut self, id: ClientId, closed: Closed) -> Turn {
        let Some((function, mut seat)) = served(&mut self.functions, &mut self.slots, id.function)
        else {
            return Turn::Idle;
        };
        self.polled = system();
        self.shared.turn_begun = Some(self.polled);
        let now = self.clock.at(self.polled);
        let registry = self.poll.registry();
        let turn =
            function.client_ready(&mut seat, id.index, &mut self.shared, registry, now, closed);
        match turn {
            Turn::Idle => return turn,
            Turn::Served | Turn::HasMore => {
                self.hot = Some(id);
                self.served = self.polled;
            }
            Turn::Gone => {
                self.hot = None;
                self.count_clients();
            }
        }
        self.after(id.function);
        turn
    }

    /// Sends the replies that have waited for each other.
    fn deliver(&mut self) {
        while let Some(id) = self.shared.together.next() {
            let now = self.clock.at(self.polled);
            if let Some((function, mut seat)) =
                served(&mut self.functions, &mut self.slots, id.function)
                && !function.deliver(&mut seat, id.index, self.poll.registry(), now)
            {
                self.hot = None;
                self.count_clients();
                self.after(id.function);
            }
        }
    }

    fn count_clients(&mut self) {
        let before = self.clients;
        self.clients = self.functions.iter().map(Served::connected).sum();
        if self.clients < before {
            self.shared.give_back();
        }
    }

    /// Gives everybody who has unfinished business a turn.
    fn go_on(&mut self) {
        for _ in 0..self.busy.len() {
            let number = self.busy.remove(0);
            let now = self.clock.now();
            if let Some((function, mut seat)) = served(&mut self.functions, &mut self.slots, number)
            {
                function.go_on(&mut seat, &mut self.shared, self.poll.registry(), now);
            }
            self.after(number);
            self.count_clients();
        }
    }
}

/// A served function, and what it has of its slot.
fn served<'r>(
    functions: &'r mut [Served],
    slots: &'r mut [Slot],
    number: usize,
) -> Option<(&'r mut Served, Seat<'r>)> {
    let function = functions.get_mut(number)?;
    let seat = slots.get_mut(function.slot)?.seat(function.number)?;
    Some((function, seat))
}

#[cfg(test)]
mod tests;
