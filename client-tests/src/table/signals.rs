//! The eventfds that a client gave to the server, and the order of their signals.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, ensure};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::step::Signal;
use crate::os::Event;

/// Eventfds by their meaning. An epoll instance watches them all, which reports them in the order
/// in which they became ready.
#[derive(Debug)]
pub(super) struct Signals {
    epoll: OwnedFd,
    /// The bound eventfds. The index of one is its number in the epoll instance.
    bound: Vec<(Signal, Event)>,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            bound: Vec::new(),
        })
    }

    /// Binds `event` to `signal` from now on.
    pub(super) fn add(&mut self, signal: Signal, event: Event) -> io::Result<()> {
        let place = self.bound.iter().position(|(bound, _)| *bound == signal);
        let number = EventData::new_u64(place.unwrap_or(self.bound.len()) as u64);
        epoll::add(&self.epoll, &event, number, EventFlags::IN)?;
        match place {
            Some(place) => {
                let (_, before) = std::mem::replace(&mut self.bound[place], (signal, event));
                epoll::delete(&self.epoll, &before)?;
            }
            None => self.bound.push((signal, event)),
        }
        Ok(())
    }

    /// Returns the wake-up eventfd of this name, which is created by its first use.
    pub(super) fn wake(&mut self, name: &str) -> Result<&Event> {
        let signal = Signal::Wake(name.to_owned());
        if self.find(&signal).is_none() {
            self.add(signal.clone(), Event::new()?)?;
        }
        self.find(&signal).context("it was added just now")
    }

    /// Returns the bound eventfds of each irq index, in the order of their vectors.
    pub(super) fn by_index(&self) -> BTreeMap<u32, Vec<&Event>> {
        let mut all = BTreeMap::new();
        for (signal, event) in &self.bound {
            if let Signal::Vector(index, vector) = signal {
                all.insert((*index, *vector), event);
            }
        }
        let mut by_index = BTreeMap::<u32, Vec<&Event>>::new();
        for ((index, _), event) in all {
            by_index.entry(index).or_default().push(event);
        }
        by_index
    }

    fn find(&self, signal: &Signal) -> Option<&Event> {
        let mut bound = self.bound.iter();
        bound
            .find(|(bound, _)| bound == signal)
            .map(|(_, event)| event)
    }

    /// Returns the number of signals since the last call.
    pub(super) fn take(&self, signal: &Signal) -> Result<u64> {
        let event = self.find(signal).context("no eventfd is bound to it")?;
        Ok(event.take()?)
    }

    /// Checks that both are signalled, `first` before `second`.
    pub(super) fn expect_order(&self, first: &Signal, second: &Signal) -> Result<()> {
        let mut ready = Vec::with_capacity(self.bound.len().max(1));
        let at_once = Timespec::default();
        epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut ready),
            Some(&at_once),
        )?;
        let order: Vec<&Signal> = ready
            .iter()
            .filter_map(|event| self.bound.get(event.data.u64() as usize))
            .map(|(signal, _)| signal)
            .collect();
        let at = |signal| order.iter().position(|ready| *ready == signal);
        let (Some(earlier), Some(later)) = (at(first), at(second)) else {
            anyhow::bail!("one of them was not signalled: {order:?}");
        };
        ensure!(earlier < later, "the order is {order:?}");
        Ok(())
    }
}
