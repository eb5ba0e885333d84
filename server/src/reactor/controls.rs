//! All control clients and the listeners that they come from.

use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use mio::Registry;
use pci_device_models::host::Event;
use pci_device_models::time::Time;

use super::accept::Listener;
use super::control::{ControlClient, event_line};
use super::peers::Peers;
use super::source::{Kind, Source};
use crate::ratelimit::limited;

/// Control clients by number, and listeners by function.
#[derive(Debug)]
pub(super) struct Controls {
    listeners: Vec<(usize, Listener)>,
    clients: Vec<Option<ControlClient>>,
    /// Clients at a time.
    limit: usize,
    /// Clients that have something to do in the next turn of the loop. Each is listed once.
    pub(super) waiting: VecDeque<usize>,
    /// The end of the time for control clients in the present turn, on the system's clock, once one of them
    /// has been served.
    pub(super) end: Option<Time>,
}

impl Controls {
    /// None yet, and never more than `limit` clients.
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            listeners: Vec::new(),
            clients: Vec::new(),
            limit,
            waiting: VecDeque::new(),
            end: None,
        }
    }

    /// Has a client served in the next turn of the loop.
    pub(super) fn wait(&mut self, number: usize) {
        if !self.waiting.contains(&number) {
            self.waiting.push_back(number);
        }
    }

    /// Returns whether a client waits for the next turn of the loop.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Has a listener for clients of a function watched from now on.
    pub(super) fn listen(
        &mut self,
        function: usize,
        listener: UnixListener,
        peers: &Arc<Peers>,
        registry: &Registry,
    ) -> io::Result<()> {
        let token = Source::new(Kind::ControlListener, function).into();
        let listener = Listener::new(listener, token, peers, registry)?;
        self.listeners.push((function, listener));
        Ok(())
    }

    /// Accepts the control clients that wait to talk about a function. Says how many were refused.
    pub(super) fn accept(&mut self, function: usize, registry: &Registry) -> u64 {
        let mut listeners = self.listeners.iter_mut();
        let Some((_, listener)) = listeners.find(|(of, _)| *of == function) else {
            return 0;
        };
        let mut too_many = 0;
        let refused = listener.accept(registry, |socket| {
            let vacant = self.clients.iter().position(Option::is_none);
            let number = vacant.unwrap_or(self.clients.len());
            if number >= self.limit {
                too_many += 1;
                limited!(
                    warn,
                    limit = self.limit,
                    "refused a control client: the limit is reached"
                );
                return;
            }
            if vacant.is_none() {
                self.clients.push(None);
            }
            match ControlClient::new(socket, number, function, registry) {
                Ok(client) => {
                    if let Some(place) = self.clients.get_mut(number) {
                        *place = Some(client);
                    }
                }
                Err(error) => limited!(warn, %error, "cannot watch a new control client"),
            }
        });
        refused + too_many
    }

    /// Takes a client out, to be put back.
    pub(super) fn take(&mut self, number: usize) -> Option<ControlClient> {
        self.clients.get_mut(number)?.take()
    }

    pub(super) fn put(&mut self, number: usize, client: ControlClient) {
        if let Some(place) = self.clients.get_mut(number) {
            *place = Some(client);
        }
    }

    /// Tells the subscribers of a function about an event. Says how many were dropped because they
    /// are gone or do not read.
    pub(super) fn publish(&mut self, function: usize, at: Time, event: &Event) -> usize {
        let line = event_line(at, event);
        let mut dropped = 0;
        for place in &mut self.clients {
            let subscriber = place
                .as_mut()
                .filter(|client| client.subscribed && client.function == function);
            if let Some(client) = subscriber
                && let Err(error) = client.send(line.clone())
            {
                limited!(info, %error, "dropped a subscriber");
                *place = None;
                dropped += 1;
            }
        }
        dropped
    }
}
