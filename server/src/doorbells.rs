//! Doorbells: register writes of a client by eventfd instead of by message.
//!
//! The server creates an eventfd when a client first requests it, and gives every client the same one. When
//! the last client has disconnected, the server closes the eventfds; signals from the outside then have no
//! effect.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use pci_device_models::function::Doorbell;
use pci_device_models::host::DeviceMut;
use pci_device_models::time::Time;

use crate::eventfd::EventFd;

/// The doorbells of one function.
#[derive(Debug)]
pub(crate) struct Doorbells {
    /// Token of the eventfds.
    token: Token,
    bells: Vec<Bell>,
}

/// A doorbell, with its eventfd once a client has requested it.
#[derive(Debug)]
struct Bell {
    doorbell: Doorbell,
    eventfd: Option<EventFd>,
}

impl Doorbells {
    pub(crate) fn new(doorbells: &[Doorbell], token: Token) -> Self {
        let bells = doorbells.iter().map(|&doorbell| Bell {
            doorbell,
            eventfd: None,
        });
        Self {
            token,
            bells: bells.collect(),
        }
    }

    /// Returns the doorbells of a BAR.
    pub(crate) fn of(&self, bar: u32) -> impl Iterator<Item = Doorbell> {
        self.bells
            .iter()
            .map(|bell| bell.doorbell)
            .filter(move |doorbell| u32::from(doorbell.bar) == bar)
    }

    /// A descriptor for the eventfd of each of the first `count` of them, which is watched from now
    /// on.
    ///
    /// # Errors
    /// There are no descriptors left, or the eventfd cannot be watched.
    pub(crate) fn hand_out(
        &mut self,
        bar: u32,
        count: usize,
        registry: &Registry,
    ) -> io::Result<Vec<OwnedFd>> {
        let token = self.token;
        self.bells
            .iter_mut()
            .filter(|bell| u32::from(bell.doorbell.bar) == bar)
            .take(count)
            .map(|bell| bell.eventfd(token, registry)?.try_clone())
            .collect()
    }

    /// Does the writes that have been rung for and says how many those are.
    pub(crate) fn answer(&self, now: Time, device: &mut DeviceMut<'_>) -> u64 {
        let mut answered = 0;
        for Bell { doorbell, eventfd } in &self.bells {
            if eventfd.as_ref().is_some_and(EventFd::drain) {
                let value = doorbell.value();
                let data = value.get(..usize::from(doorbell.size)).unwrap_or(&value);
                device.doorbell(now, doorbell.bar, doorbell.offset, data);
                answered += 1;
            }
        }
        answered
    }

    /// Gives all eventfds up.
    ///
    /// # Errors
    /// A watch could not be ended.
    pub(crate) fn drop_all(&mut self, registry: &Registry) -> io::Result<()> {
        let mut unwatched = Ok(());
        for eventfd in self.bells.iter_mut().filter_map(|bell| bell.eventfd.take()) {
            // Clients have it, too, so closing it here does not end the watch.
            let ended = registry.deregister(&mut SourceFd(&eventfd.as_raw_fd()));
            unwatched = unwatched.and(ended);
        }
        unwatched
    }
}

impl Bell {
    fn eventfd(&mut self, token: Token, registry: &Registry) -> io::Result<&EventFd> {
        let eventfd = match self.eventfd.take() {
            Some(eventfd) => eventfd,
            None => {
                let eventfd = EventFd::make()?;
                let source = &mut SourceFd(&eventfd.as_raw_fd());
                registry.register(source, token, Interest::READABLE)?;
                eventfd
            }
        };
        Ok(self.eventfd.insert(eventfd))
    }
}
