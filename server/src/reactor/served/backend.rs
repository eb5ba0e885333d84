//! The back end of a served function: accepting its peer, and moving what can move.

use mio::Registry;
use pci_device_models::time::Time;

use super::{Seat, Served};
use crate::reactor::source::{Kind, Source};

impl Served {
    /// Somebody wants to be the peer of the back end. One at a time is; others are sent away.
    pub(super) fn backend_accept(&mut self, registry: &Registry) {
        let peer = Source::new(Kind::Backend, self.place).into();
        if let (Some(backend), Some(listener)) = (&mut self.backend, &mut self.backend_listener) {
            self.stats.refused +=
                listener.accept(registry, |socket| backend.connect(socket, registry, peer));
        }
    }

    /// The peer of the back end has something to say, or room again.
    pub(super) fn backend_ready(&mut self) {
        if let Some(backend) = &mut self.backend {
            backend.peer_ready();
        }
    }

    /// Returns whether the device model has a back end.
    pub(in crate::reactor) const fn has_backend(&self) -> bool {
        self.backend.is_some()
    }

    /// Moves what can move between the device model and its back end.
    pub(in crate::reactor) fn move_backend(&mut self, seat: &mut Seat<'_>, now: Time) {
        let now = seat.time.at(now);
        let backend = self.backend.as_mut().filter(|_| !seat.device.is_frozen());
        self.backend_has_more = match backend {
            Some(backend) => {
                let has_more = backend.step(now, &mut seat.device);
                self.settle(seat, now);
                has_more
            }
            None => false,
        };
    }
}
