//! Clients that come, and those that are refused.

use std::io;
use std::os::fd::OwnedFd;

use mio::Registry;
use pci_device_models::time::Time;
use vfio_user_protocol::Errno;

use super::Served;
use crate::ratelimit::limited;
use crate::reactor::Shared;
use crate::reactor::client::{Client, Closed, Turn};
use crate::reactor::slot::Seat;
use crate::reactor::source::{ClientId, MAX_CLIENTS};

/// Turns of a client that has hung up, if another one wants its place.
const LAST_TURNS: u32 = 4;

impl Served {
    /// Accepts pending connections. If there is no room for a further client, VERSION is answered with an
    /// error.
    pub(super) fn accept(
        &mut self,
        seat: &mut Seat<'_>,
        shared: &mut Shared,
        registry: &Registry,
        now: Time,
    ) {
        let now = seat.time.at(now);
        self.accepts_later = seat.device.is_held();
        if self.accepts_later {
            return;
        }
        let Some(mut listener) = self.listener.take() else {
            return;
        };
        let mut turned_away = Vec::new();
        let refused = listener.accept(registry, |socket| {
            if !seat.device.has_room() {
                self.end_abandoned(seat, shared, registry, now);
            }
            if !seat.device.has_room() || (self.limits.once && self.stats.clients > 0) {
                self.refuse("as many as may be are being served");
                turned_away.push((socket, Errno::EBUSY));
                return;
            }
            match self.connect(seat, socket, registry, now) {
                Ok(refused) => turned_away.extend(refused),
                Err(error) => {
                    limited!(warn, function = self.name, %error, "cannot watch a new client");
                }
            }
        });
        for (socket, errno) in turned_away {
            shared.refused.add(socket, errno, registry);
        }
        self.stats.refused += refused;
        self.listener = Some(listener);
    }

    /// Ends the clients that have hung up, so that their places are free: a client that hangs up and
    /// reconnects must not find its place taken by its old connection. Of what they have sent before,
    /// the server does as much as fits into a few turns.
    fn end_abandoned(
        &mut self,
        seat: &mut Seat<'_>,
        shared: &mut Shared,
        registry: &Registry,
        now: Time,
    ) {
        for index in 0..self.clients.len() {
            for turns in 0.. {
                let client = self.clients.get(index).and_then(Option::as_ref);
                if !client.is_some_and(Client::is_abandoned) {
                    break;
                }
                if turns == LAST_TURNS {
                    self.disconnect(seat, index, registry, now);
                    break;
                }
                let turn = self.give_turn(seat, index, shared, registry, now, Closed::Wholly);
                if turn != Turn::HasMore {
                    break;
                }
            }
        }
    }

    fn refuse(&mut self, why: &str) {
        self.stats.refused += 1;
        limited!(info, function = self.name, why, "refused a client");
    }

    /// Takes a client in. Returns its socket, and the reason, if it is refused.
    pub(super) fn connect(
        &mut self,
        seat: &mut Seat<'_>,
        socket: OwnedFd,
        registry: &Registry,
        now: Time,
    ) -> io::Result<Option<(OwnedFd, Errno)>> {
        let vacant = self.clients.iter().position(Option::is_none);
        let index = vacant.unwrap_or(self.clients.len());
        if index >= MAX_CLIENTS {
            self.refuse("the server serves no more of one function");
            return Ok(Some((socket, Errno::EBUSY)));
        }
        let id = ClientId {
            function: self.place,
            index,
        };
        let mut client = Client::new(
            socket,
            id,
            self.last_client + 1,
            self.limits.client,
            registry,
        )?;
        let opened = seat.device.client_came(now);
        self.settle(seat, now);
        if let Err(error) = opened {
            self.refuse(&format!("the device cannot be opened: {error}"));
            return Ok(Some((client.end(registry), error.errno())));
        }
        // The host may have waited for the function, and the client waits as long for VERSION.
        if let Some(wait) = seat.device.take_wait(now) {
            client.wait_first(wait);
        }
        if vacant.is_none() {
            self.clients.push(None);
        }
        if let Some(place) = self.clients.get_mut(index) {
            *place = Some(client);
        }
        self.last_client += 1;
        self.stats.connected = true;
        self.stats.clients += 1;
        limited!(
            info,
            function = self.name,
            client = self.stats.clients,
            "client connected"
        );
        Ok(None)
    }
}
