//! A slot with the functions of it that are served.

use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use mio::Registry;
use pci_device_models::host::{DeviceMut, DeviceSet};
use pci_device_models::slot::FunctionNumber;
use pci_device_models::time::Time;

use super::peers::Peers;
use super::rail::Rail;
use crate::migration::SlotTime;
use crate::ratelimit::limited;

/// A slot, shared by the functions in it.
#[derive(Debug)]
pub(super) struct Slot {
    /// The name by which a platform controller knows it.
    pub(super) name: String,
    pub(super) devices: DeviceSet,
    time: SlotTime,
    rail: Option<Rail>,
    /// Switches of the platform controller that have not been performed.
    switches: Vec<bool>,
    /// Places of its functions in the reactor's list.
    pub(super) served: Vec<usize>,
    /// Its functions that nobody can connect to. They act for the host alone.
    unserved: Vec<FunctionNumber>,
}

/// The parts of a slot that a served function uses.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    /// The slot's name.
    pub(super) slot: &'a str,
    pub(super) device: DeviceMut<'a>,
    pub(super) time: &'a mut SlotTime,
}

impl Slot {
    /// Takes the slot over and has the switch of its rail watched as that of slot `place`.
    pub(super) fn new(
        place: usize,
        name: String,
        devices: DeviceSet,
        rail: Option<UnixListener>,
        peers: &Arc<Peers>,
        registry: &Registry,
    ) -> io::Result<Self> {
        let rail = rail.map(|listener| Rail::listen(listener, place, peers, registry));
        Ok(Self {
            name,
            unserved: devices.numbers().collect(),
            devices,
            time: SlotTime::default(),
            rail: rail.transpose()?,
            switches: Vec::new(),
            served: Vec::new(),
        })
    }

    /// Returns the slot as a function sees it, if it has a driver.
    pub(super) fn seat(&mut self, number: FunctionNumber) -> Option<Seat<'_>> {
        Some(Seat {
            slot: &self.name,
            device: self.devices.device_mut(number)?,
            time: &mut self.time,
        })
    }

    /// As [`Self::seat`], for a function that is going to be served at `place` in the reactor's list.
    pub(super) fn claim(&mut self, number: FunctionNumber, place: usize) -> Option<Seat<'_>> {
        if self.devices.device(number).is_some() {
            self.served.push(place);
            self.unserved.retain(|unserved| *unserved != number);
        }
        self.seat(number)
    }

    /// Returns whether the slot has several functions, which one of them may affect.
    pub(super) const fn is_shared(&self) -> bool {
        self.served.len() + self.unserved.len() > 1
    }

    /// Does what is due for the functions that nobody can connect to: the host may have asked them to
    /// resume, and they keep the port awake until they have.
    fn advance_unserved(&mut self, now: Time) {
        for number in &self.unserved {
            if let Some(mut device) = self.devices.device_mut(*number) {
                device.advance(now);
                while device.next_output().is_some() {}
            }
        }
    }

    /// Returns the server's time when one of these functions has something to do. The function at
    /// `place` acts for all of them, if it is the first one that is served.
    pub(super) fn unserved_deadline(&self, place: usize) -> Option<Time> {
        if self.unserved.is_empty() || self.served.first() != Some(&place) {
            return None;
        }
        let devices = self.unserved.iter();
        let devices = devices.filter_map(|number| self.devices.device(*number));
        let first = devices.filter_map(|device| device.next_deadline()).min();
        first.and_then(|first| self.time.when(first))
    }

    /// Lets all devices take in what happened to the slot.
    pub(super) fn settle(&mut self, now: Time) {
        let now = self.time.at(now);
        if !self.time.is_still() {
            self.devices.settle(now);
            self.advance_unserved(now);
        }
    }

    /// Accepts pending connections to the rail socket. Returns the number of refused ones.
    pub(super) fn rail_accept(&mut self, registry: &Registry) -> u64 {
        self.rail.as_mut().map_or(0, |rail| rail.accept(registry))
    }

    /// Notes that the platform controller switches the rail, for [`Self::take_rail`]. Of switches
    /// that wait, the last one and the one before it are kept.
    pub(super) fn switch_rail(&mut self, on: bool) {
        if self.switches.last() != Some(&on) {
            if let [before, _] = *self.switches {
                self.switches = vec![!before];
            }
            self.switches.push(on);
        }
    }

    /// Moves the rail as its switches were moved, unless a function is stopped: what comes meanwhile
    /// waits.
    pub(super) fn take_rail(&mut self, now: Time) {
        let now = self.time.at(now);
        if self.time.is_still() {
            return;
        }
        let devices = &mut self.devices;
        let name = &self.name;
        let mut switch = |on| {
            if let Err(error) = devices.switch_rail(now, on) {
                limited!(warn, slot = name, on, %error, "a device does not follow its power resource");
            }
        };
        self.switches.drain(..).for_each(&mut switch);
        if let Some(rail) = &mut self.rail {
            rail.take(switch);
        }
    }
}
