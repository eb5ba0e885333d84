//! A served function: its clients, and what it still has to do.
//!
//! Interrupts and the wake-up eventfd are the function's as long as anybody has it open, whichever
//! client they came from: to the kernel these are a device's, however many have opened it. What is a
//! client's own is its conversation, the replies it waits for, and the DMA maps that it made. The device
//! uses the maps of all, and those of a client end with it.
//!
//! The device is its slot's, which hands it over as a [`Seat`] for each call. What is told the time
//! from outside is told the server's; in here it is the slot's own, which stands still while a
//! function is stopped for migration.

mod backend;
mod connections;
mod hold;
mod notice;

use std::sync::Arc;
use std::time::Duration;
use std::{io, mem};

use mio::{Registry, Token};
use pci_device_models::function::Release;
use pci_device_models::slot::FunctionNumber;
use pci_device_models::time::{Time, earliest};
use vfio_user_protocol::messages::dma_unmap::Target;

use super::Shared;
use super::accept::Listener;
use super::client::{Client, Closed, Turn};
use super::peers::Peers;
use super::slot::Seat;
use super::source::{Kind, Source};
use crate::backend::Backend;
use crate::bar_memory::{STEP, SharedMemory};
use crate::budget::Budget;
use crate::closer::Closer;
use crate::doorbells::Doorbells;
use crate::endpoint::Endpoint;
use crate::memory::{AddressSpace, ClientMemory, DmaTable};
use crate::migration::{FILL_STEP, Migration, Subject};
use crate::outputs::Outputs;
use crate::ratelimit::limited;
use crate::served::ServedFunction;
use crate::session::Context;
use crate::settings::ClientLimits;
use crate::stats::ConnectionStats;
use crate::sys::{drop_in_pieces, return_freed_memory};

/// A function with its sockets.
#[derive(Debug)]
pub(super) struct Served {
    /// Place in the reactor's list.
    place: usize,
    /// Place of its slot in the reactor's list, and its number there.
    pub(super) slot: usize,
    pub(super) number: FunctionNumber,
    pub(super) name: String,
    pub(super) stats: ConnectionStats,
    pub(super) outputs: Outputs,
    client_memory: ClientMemory,
    limits: Limits,
    memory: DmaTable,
    /// The maps of former clients, which are dropped in steps. None of the tables is empty.
    old_memory: Vec<DmaTable>,
    doorbells: Doorbells,
    migration: Migration,
    listener: Option<Listener>,
    backend: Option<Backend>,
    /// The back end has more to move than fitted in its last turn.
    backend_has_more: bool,
    /// The listener for peers of the back end.
    backend_listener: Option<Listener>,
    /// Clients by their index.
    clients: Vec<Option<Client>>,
    /// Number of the last client.
    last_client: u64,
    /// The function was held when that was last looked at.
    was_held: bool,
    /// Connections may be waiting to be accepted.
    accepts_later: bool,
}

/// Work of a function that no event of a socket triggers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agenda {
    /// When [`Served::advance`] has something to do.
    pub(super) due: Option<Time>,
    /// [`Served::go_on`] has something to do.
    pub(super) busy: bool,
}

/// The limits that functions share.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// Nobody is served after the last client has gone.
    pub(super) once: bool,
    pub(super) client: ClientLimits,
    pub(super) max_dma_maps: usize,
    pub(super) max_dma_files: usize,
    /// The address space for client memory.
    pub(super) space: AddressSpace,
    pub(super) closer: Closer,
    pub(super) dma_timeout: Duration,
}

impl Limits {
    /// An empty table of DMA maps.
    fn table(&self, access: ClientMemory) -> DmaTable {
        DmaTable::new(access, self.max_dma_maps).with_file_limit(
            self.max_dma_files,
            self.space.clone(),
            self.closer.clone(),
        )
    }
}

impl Served {
    /// Disconnects all clients for good.
    pub(super) fn hang_up(&mut self) {
        self.listener = None;
        self.clients.clear();
    }

    /// Takes the function over, but for its control listener, and watches its sockets.
    pub(super) fn new(
        (place, slot): (usize, usize),
        served: ServedFunction,
        seat: &mut Seat<'_>,
        limits: Limits,
        peers: &Arc<Peers>,
        registry: &Registry,
        now: Time,
    ) -> io::Result<Self> {
        let ServedFunction {
            number,
            name,
            client_memory,
            endpoint,
            control: _,
            mut backend,
        } = served;
        let mappable_bars = seat.device.slot().function().mappable_bars().to_vec();
        let hidden = seat.device.options().view.into();
        for mappable in mappable_bars {
            let memory = SharedMemory::new(&mappable, hidden);
            seat.device.share_bar(mappable.bar, Box::new(memory));
        }
        let closer = limits.closer.clone();
        let release = Release::new(move |bytes| closer.close(bytes, drop_in_pieces));
        seat.device.set_release(release);
        let backend_listener = match &mut backend {
            Some(backend) => backend.watch(registry, Source::new(Kind::Backend, place).into())?,
            None => None,
        };
        let backend_listener = backend_listener.map(|listener| {
            let token = Source::new(Kind::BackendListener, place).into();
            Listener::new(listener, token, peers, registry)
        });
        let doorbells = seat.device.slot().function().doorbells();
        let mut function = Self {
            place,
            slot,
            number,
            outputs: Outputs::new(name.clone(), limits.dma_timeout),
            doorbells: Doorbells::new(doorbells, Source::new(Kind::Doorbells, place).into()),
            name,
            stats: ConnectionStats::default(),
            client_memory,
            memory: limits.table(client_memory),
            old_memory: Vec::new(),
            limits,
            migration: Migration::default(),
            listener: None,
            backend,
            backend_has_more: false,
            backend_listener: backend_listener.transpose()?,
            clients: Vec::new(),
            last_client: 0,
            was_held: false,
            accepts_later: false,
        };
        match endpoint {
            Endpoint::Listener(listener) => {
                let token = Source::new(Kind::Listener, place).into();
                let listener = Listener::new(listener, token, peers, registry)?;
                function.listener = Some(listener);
            }
            Endpoint::Connected(stream) => {
                // A function that is new has room, so a client is refused only if it cannot be opened.
                drop(function.connect(seat, stream.into(), registry, now)?);
            }
        }
        Ok(function)
    }

    /// Something of the function's own is ready.
    pub(super) fn ready(
        &mut self,
        kind: Kind,
        seat: &mut Seat<'_>,
        shared: &mut Shared,
        registry: &Registry,
        now: Time,
    ) {
        match kind {
            Kind::Listener => self.accept(seat, shared, registry, now),
            Kind::Resample => self.resample_ready(seat, now),
            Kind::Doorbells => self.answer_doorbells(seat, now),
            Kind::BackendListener => self.backend_accept(registry),
            Kind::Backend => self.backend_ready(),
            Kind::Waker
            | Kind::Shutdown
            | Kind::Client
            | Kind::Refused
            | Kind::Twin
            | Kind::Control
            | Kind::ControlListener
            | Kind::RailListener
            | Kind::Rail => {}
        }
    }

    /// A client's socket is ready, and closed so far.
    pub(super) fn client_ready(
        &mut self,
        seat: &mut Seat<'_>,
        index: usize,
        shared: &mut Shared,
        registry: &Registry,
        now: Time,
        closed: Closed,
    ) -> Turn {
        let now = seat.time.at(now);
        self.give_turn(seat, index, shared, registry, now, closed)
    }

    fn give_turn(
        &mut self,
        seat: &mut Seat<'_>,
        index: usize,
        shared: &mut Shared,
        registry: &Registry,
        now: Time,
        closed: Closed,
    ) -> Turn {
        let was_frozen = seat.device.is_frozen();
        let Some(Some(client)) = self.clients.get_mut(index) else {
            return Turn::Idle;
        };
        client.note_closed(closed);
        if seat.device.is_held() {
            client.postpone();
            return Turn::Idle;
        }
        let mut cx = Context {
            device: seat.device.reborrow(),
            limits: self.limits.client,
            now,
            stats: &mut self.stats,
            memory: &mut self.memory,
            outputs: &mut self.outputs,
            bar_budget: STEP,
            reply_fds: Vec::new(),
            doorbells: &mut self.doorbells,
            twin: None,
            registry,
            resample: resample(self.place),
            migration: &mut self.migration,
            time: seat.time,
            unfinished: None,
            budget: Budget::new(shared.turn_begun.take()),
        };
        let turn = client.turn(shared, &mut cx);
        if turn == Turn::Gone {
            self.disconnect(seat, index, registry, now);
        }
        if was_frozen && !seat.device.is_frozen() {
            self.take_notice(seat, now);
        }
        turn
    }

    /// Sends what a client's turn has left to leave together with others' replies. Whether the client
    /// is still there.
    pub(super) fn deliver(
        &mut self,
        seat: &mut Seat<'_>,
        index: usize,
        registry: &Registry,
        now: Time,
    ) -> bool {
        let Some(Some(client)) = self.clients.get_mut(index) else {
            return true;
        };
        let delivered = client.deliver(registry);
        if let Err(error) = &delivered {
            tracing::debug!(%error, "the client receives no replies any more");
            let now = seat.time.at(now);
            self.disconnect(seat, index, registry, now);
        }
        delivered.is_ok()
    }

    /// Something happened on a client's twin socket.
    pub(super) fn note_twin(&mut self, index: usize) {
        if let Some(Some(client)) = self.clients.get_mut(index) {
            client.note_twin();
        }
    }

    fn disconnect(&mut self, seat: &mut Seat<'_>, index: usize, registry: &Registry, now: Time) {
        let Some(client) = self.clients.get_mut(index).and_then(Option::take) else {
            return;
        };
        let number = client.number();
        self.outputs.dma.client_gone(number);
        client.end(registry);
        limited!(info, function = self.name, "client gone");
        if self.clients.iter().all(Option::is_none) {
            self.migration.end(&mut Subject {
                device: seat.device.reborrow(),
                outputs: &mut self.outputs,
                time: seat.time,
                now,
            });
        } else {
            self.memory.remove_client(number);
            self.outputs.dma.unmapped(&mut self.memory);
            self.stats.dma_maps = self.memory.len() as u64;
            self.migration.rest_as_is_meant(&mut self.outputs);
        }
        seat.device.client_gone(now);
        self.settle(seat, now);
        if self.clients.iter().all(Option::is_none) {
            seat.device.unshare_bars();
            self.drop_held(registry);
        }
    }

    /// Lets go of all that clients handed over.
    fn drop_held(&mut self, registry: &Registry) {
        let irqs = &mut self.outputs.irqs;
        if let Err(error) = irqs.drop_all(registry, resample(self.place)) {
            limited!(warn, function = self.name, %error, "a resample eventfd is still watched");
        }
        if let Err(error) = self.doorbells.drop_all(registry) {
            limited!(warn, function = self.name, %error, "a doorbell is still watched");
        }
        let table = self.limits.table(self.client_memory);
        let old = mem::replace(&mut self.memory, table);
        if old.len() > 0 {
            self.old_memory.push(old);
        }
        self.stats.dma_maps = 0;
        self.stats.connected = false;
    }

    /// Does what is due.
    pub(super) fn advance(
        &mut self,
        seat: &mut Seat<'_>,
        shared: &mut Shared,
        registry: &Registry,
        now: Time,
    ) {
        let now = seat.time.at(now);
        seat.device.advance(now);
        self.perform_outputs(seat, now);
        let asked = self.outputs.dma.due_from(now);
        self.give_turns(seat, shared, registry, now, |client| {
            client.due().is_some_and(|due| due <= now) || asked == Some(client.number())
        });
        // Expires the command unless its reply has arrived and is unread.
        self.outputs.dma.expire(now);
    }

    /// Returns the work of the function that no event of a socket triggers.
    pub(super) fn agenda(&self, seat: &Seat<'_>) -> Agenda {
        let dma = &self.outputs.dma;
        let mut due = earliest(seat.device.next_deadline(), dma.deadline());
        let bars_are_settled = seat.device.bars_are_settled();
        let mut busy =
            self.backend_has_more || dma.is_ready(seat.device.as_ref()) || !bars_are_settled;
        busy |= !self.old_memory.is_empty() || self.accepts_later || seat.device.is_held();
        for client in self.clients.iter().flatten() {
            due = earliest(due, client.due());
            busy |= client.has_more() || client.waits() && dma.is_settled();
            busy |= client.waits_for_bars();
        }
        Agenda {
            due: due.and_then(|due| seat.time.when(due)),
            busy,
        }
    }

    /// Goes on with what did not fit into earlier turns.
    pub(super) fn go_on(
        &mut self,
        seat: &mut Seat<'_>,
        shared: &mut Shared,
        registry: &Registry,
        now: Time,
    ) {
        let server_now = now;
        let now = seat.time.at(now);
        let dropped = |old: &mut DmaTable| old.unmap_some(Target::All, &mut Budget::new(None));
        if self.old_memory.pop_if(dropped).is_some() {
            return_freed_memory();
        }
        if !seat.device.bars_are_settled() {
            seat.device.advance_bars(&mut { STEP });
        }
        if !seat.device.fill_memory(FILL_STEP) || seat.device.is_held() {
            return;
        }
        if self.accepts_later {
            self.accept(seat, shared, registry, server_now);
        }
        if seat.device.bars_are_settled() {
            self.give_turns(seat, shared, registry, now, Client::waits_for_bars);
        }
        self.give_turns(seat, shared, registry, now, Client::has_more);
        if self.outputs.dma.is_ready(seat.device.as_ref()) {
            self.outputs.dma.step(
                now,
                &mut seat.device,
                &mut self.memory,
                &mut shared.bounce,
                &mut self.stats,
            );
            self.send_dma_command(seat, shared, registry, now);
            self.settle(seat, now);
        }
        if self.outputs.dma.is_settled() {
            self.give_turns(seat, shared, registry, now, Client::waits);
        }
    }

    /// Sends what a transfer asks a client for, if it does.
    fn send_dma_command(
        &mut self,
        seat: &mut Seat<'_>,
        shared: &mut Shared,
        registry: &Registry,
        now: Time,
    ) {
        let Some(number) = self.outputs.dma.command(now, &mut shared.replies) else {
            return;
        };
        self.stats.dma_commands += 1;
        let clients = self.clients.iter_mut().enumerate();
        let mut numbered = clients.filter_map(|(index, client)| Some((index, client.as_mut()?)));
        let found = numbered.find(|(_, client)| client.number() == number);
        let sent = found.map(|(index, client)| (index, client.send(&mut shared.replies, registry)));
        shared.replies.clear();
        match sent {
            Some((_, Ok(()))) => {}
            Some((index, Err(error))) => {
                tracing::debug!(%error, "cannot send a DMA command to the client");
                self.disconnect(seat, index, registry, now);
            }
            // The client is gone, its maps are not.
            None => self.outputs.dma.client_gone(number),
        }
    }

    /// Gives the clients a turn that want one without being heard.
    fn give_turns(
        &mut self,
        seat: &mut Seat<'_>,
        shared: &mut Shared,
        registry: &Registry,
        now: Time,
        wants: impl Fn(&Client) -> bool,
    ) {
        for index in 0..self.clients.len() {
            if matches!(self.clients.get(index), Some(Some(client)) if wants(client)) {
                self.give_turn(seat, index, shared, registry, now, Closed::No);
            }
        }
    }

    /// Returns whether no further client can connect.
    pub(super) fn is_finished(&self) -> bool {
        (self.listener.is_none() || (self.limits.once && self.stats.clients > 0))
            && self.connected() == 0
    }

    /// Returns the number of connected clients.
    pub(super) fn connected(&self) -> usize {
        self.clients.iter().flatten().count()
    }

    /// Performs what the device has put out.
    pub(super) fn perform_outputs(&mut self, seat: &mut Seat<'_>, now: Time) {
        self.outputs.perform(now, &mut seat.device, &mut self.stats);
    }

    /// The same when something is over: the device may go to sleep.
    pub(super) fn settle(&mut self, seat: &mut Seat<'_>, now: Time) {
        self.outputs.settle(now, &mut seat.device, &mut self.stats);
    }
}

fn resample(function: usize) -> Token {
    Source::new(Kind::Resample, function).into()
}
