//! Removal and insertion of the card with its functions, as the hot-plug driver of the port above does it
//! (`drivers/pci/hotplug/pciehp_ctrl.c`, `pciehp_pci.c`), with the drivers' part of it
//! (`vfio_unregister_group_dev`).
//!
//! | | the host | the clients |
//! |---|---|---|
//! | orderly removal | unbinds the drivers, switches the slot off, and only then the card leaves | are asked, and work on until they close |
//! | surprise removal | takes all functions for disconnected, then unbinds the drivers | are asked, but the function is gone |
//! | insertion | switches the slot on and binds the drivers anew, once all of the old ones are unbound | an open device stays dead |
//!
//! Drivers are unbound one after another, from the highest function down. That of a device in use waits for
//! its clients and repeats its request meanwhile. It holds the device lock, so nobody can reset the device.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::HostError;
use super::event::{Event, HostEvent};
use super::power_resource::PowerResource;
use super::runtime_pm::Usage;
use super::{Device, DeviceMut, DeviceRef, Output};
use crate::slot::FunctionNumber;
use crate::snapshot::{RestoreError, due, left};
use crate::time::Time;

/// Interval between two requests of one removal (`vfio_unregister_group_dev`).
const REQUEST_AGAIN: Duration = Duration::from_secs(10);
/// Requests at once that time has brought about. The driver makes up for no more.
const REQUESTS_AT_ONCE: u32 = 64;
/// Time within which function 0 has to answer after the slot was switched on
/// (`pciehp_check_link_status`).
const FOUND_WITHIN: Duration = Duration::from_millis(1100);

/// The host's knowledge of the card in a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CardState {
    /// Its functions are devices of the host, with their drivers.
    #[default]
    Configured,
    /// The host removes the devices, or waits for clients before it can.
    Unconfiguring,
    /// The host knows of no card.
    Unconfigured,
}

impl fmt::Display for CardState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configured => "configured",
            Self::Unconfiguring => "being unconfigured",
            Self::Unconfigured => "unconfigured",
        })
    }
}

/// The card in a [`Status`](super::Status).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CardStatus {
    /// It is in its slot.
    pub present: bool,
    /// The host's knowledge of it.
    pub state: CardState,
    /// Number of times that the clients of this device were asked in the removal under way.
    pub asked: u32,
}

/// The card of a slot as the host has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Card {
    state: CardState,
    /// It leaves the slot as soon as the host has unconfigured it.
    pull: bool,
}

/// The removal of a device.
#[derive(Debug, Default)]
pub(super) enum Leaving {
    /// The host has the device.
    #[default]
    No,
    /// The host waits for the clients.
    Asked {
        /// Requests so far.
        requests: u32,
        /// Time of the next request.
        due: Time,
        /// Removal keeps the device awake (`pci_device_remove`).
        usage: Usage,
    },
    /// The driver is unbound. The device's `bound` reference keeps power management from it.
    Gone,
}

/// The saved form of [`Leaving`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum SavedLeaving {
    #[default]
    No,
    Asked {
        requests: u32,
        due_nanos: u64,
    },
    Gone,
}

impl SavedLeaving {
    pub(super) fn is_none(&self) -> bool {
        *self == Self::No
    }
}

impl Card {
    pub(super) fn is_configured(&self) -> bool {
        *self == Self::default()
    }

    pub(super) const fn state(self) -> CardState {
        self.state
    }
}

impl Leaving {
    /// Returns whether the host gives the device up, or has.
    pub(super) const fn is_under_way(&self) -> bool {
        !matches!(self, Self::No)
    }

    pub(super) const fn next_request(&self) -> Option<Time> {
        match self {
            Self::Asked { due, .. } => Some(*due),
            Self::No | Self::Gone => None,
        }
    }

    pub(super) fn save(&self, now: Time) -> SavedLeaving {
        match self {
            Self::No => SavedLeaving::No,
            Self::Asked {
                requests,
                due,
                usage: _,
            } => SavedLeaving::Asked {
                requests: *requests,
                due_nanos: left(now, *due),
            },
            Self::Gone => SavedLeaving::Gone,
        }
    }

    /// Restores the state that [`Self::save`] returned.
    pub(super) fn restored(now: Time, saved: SavedLeaving, usage: impl FnOnce() -> Usage) -> Self {
        match saved {
            SavedLeaving::No => Self::No,
            SavedLeaving::Asked {
                requests,
                due_nanos,
            } => Self::Asked {
                requests,
                due: due(now, due_nanos),
                usage: usage(),
            },
            SavedLeaving::Gone => Self::Gone,
        }
    }
}

impl Device {
    /// Returns whether the removal holds the device lock, so that no reset can take it.
    pub(super) const fn is_locked(&self) -> bool {
        self.leaving.is_under_way()
    }
}

impl DeviceRef<'_> {
    pub(super) fn card_status(&self) -> CardStatus {
        CardStatus {
            present: self.power.is_occupied(),
            state: self.set.card.state,
            asked: match self.state.leaving {
                Leaving::Asked { requests, .. } => requests,
                Leaving::No | Leaving::Gone => 0,
            },
        }
    }
}

impl DeviceMut<'_> {
    /// Removes the card of the device in an orderly way: the host unbinds all drivers, which wait for their
    /// clients, and switches the slot off. Then the card leaves the slot. Returns the state that is reached
    /// at once.
    ///
    /// # Errors
    /// [`HostError::NoCard`], [`HostError::Unconfiguring`], [`HostError::Stopped`].
    pub fn remove_card(&mut self, now: Time) -> Result<CardState, HostError> {
        self.check_occupied()?;
        match self.set.card.state {
            CardState::Unconfiguring => return Err(HostError::Unconfiguring),
            CardState::Configured => {
                self.set.card = Card {
                    state: CardState::Unconfiguring,
                    pull: true,
                };
                self.note_card();
                self.go_on_removing(now);
            }
            // The host did not find a function on it.
            CardState::Unconfigured => self.unplug(now),
        }
        Ok(self.set.card.state)
    }

    /// Takes the card of the device out of its slot without a warning. The host then takes all functions
    /// for disconnected and unbinds their drivers, which wait for their clients. Returns the state that is
    /// reached at once.
    ///
    /// # Errors
    /// [`HostError::NoCard`], [`HostError::Stopped`].
    pub fn pull_card(&mut self, now: Time) -> Result<CardState, HostError> {
        self.check_occupied()?;
        self.set.card.pull = false;
        self.unplug(now);
        self.for_all(|device| device.core.disconnected = true);
        if self.set.card.state == CardState::Configured {
            self.set.card.state = CardState::Unconfiguring;
            self.note_card();
        }
        self.go_on_removing(now);
        Ok(self.set.card.state)
    }

    /// Puts the card of the device into its slot. Once no driver of an earlier card is bound any more, the
    /// host switches the slot on and binds the drivers anew. Returns the state that is reached at once.
    ///
    /// # Errors
    /// [`HostError::Occupied`], [`HostError::Stopped`].
    pub fn insert_card(&mut self, now: Time) -> Result<CardState, HostError> {
        self.check_stopped()?;
        if self.slot.is_occupied() {
            return Err(HostError::Occupied);
        }
        self.slot.plug(now);
        self.note_card();
        self.settle_all(now);
        if self.set.card.state == CardState::Unconfigured {
            self.configure(now);
        }
        Ok(self.set.card.state)
    }

    /// Repeats the request for the device, and unbinds drivers whose clients have closed.
    pub(super) fn advance_removal(&mut self, now: Time) {
        if self.set.card.state != CardState::Unconfiguring {
            return;
        }
        for _ in 0..REQUESTS_AT_ONCE {
            let Leaving::Asked { requests, due, .. } = &mut self.state.leaving else {
                break;
            };
            if *due > now {
                break;
            }
            let count = *requests;
            *requests = requests.saturating_add(1);
            *due = due.after(REQUEST_AGAIN);
            self.request_again(count);
        }
        if let Leaving::Asked { due, .. } = &mut self.state.leaving
            && *due <= now
        {
            *due = now.after(REQUEST_AGAIN);
        }
        self.go_on_removing(now);
    }

    /// Unbinds drivers as far as their clients let it (`pciehp_unconfigure_device`).
    pub(super) fn go_on_removing(&mut self, now: Time) {
        if self.set.card.state != CardState::Unconfiguring {
            return;
        }
        let own = self.slot.number();
        let mut numbers: Vec<_> = FunctionNumber::ALL.into_iter().collect();
        numbers.reverse();
        for number in numbers {
            let gone = if number == own {
                self.leave(now)
            } else {
                // A function without a driver is none that waits.
                self.with_peer(number, |mut peer| peer.leave(now))
                    .unwrap_or(true)
            };
            if !gone {
                return;
            }
        }
        self.unconfigured(now);
    }

    /// Removes this device, or asks its clients for it. Returns whether it is removed.
    fn leave(&mut self, now: Time) -> bool {
        if self.state.is_frozen() {
            return matches!(self.state.leaving, Leaving::Gone);
        }
        let low_power = &self.state.low_power;
        let in_use = low_power.opens > 0 || low_power.closing.is_some();
        match std::mem::take(&mut self.state.leaving) {
            Leaving::No => {
                let usage = self.state.rpm.get();
                if !self.state.absent {
                    // Removal goes on with a device that does not wake.
                    let owed = self.state.core.take_waited();
                    self.resume(now).ok();
                    self.state.core.take_waited();
                    self.state.core.note_wait(owed);
                }
                if in_use {
                    self.request_again(0);
                    self.state.leaving = Leaving::Asked {
                        requests: 1,
                        due: now.after(REQUEST_AGAIN),
                        usage,
                    };
                    return false;
                }
                self.unbind(now, usage);
                true
            }
            Leaving::Asked { usage, .. } if !in_use => {
                self.unbind(now, usage);
                true
            }
            asked @ Leaving::Asked { .. } => {
                self.state.leaving = asked;
                false
            }
            Leaving::Gone => {
                self.state.leaving = Leaving::Gone;
                true
            }
        }
    }

    /// Unbinds the driver and keeps the function from requests of its own.
    fn unbind(&mut self, now: Time, usage: Usage) {
        self.disable_virtual_functions(now);
        let command = self.slot.function().config().header().command();
        let quiet = command
            .with_bus_master_enable(false)
            .with_serr_enable(false)
            .with_interrupt_disable(true);
        self.write_command(now, quiet);
        self.state.core.disconnected = true;
        self.state.low_power.bound = Some(usage);
        self.state.leaving = Leaving::Gone;
        self.settle(now);
    }

    /// Switches the slot off after all drivers are unbound (`remove_board`). A card that is to leave it
    /// leaves; another one is configured.
    fn unconfigured(&mut self, now: Time) {
        self.slot.set_rail(now, false);
        let pull = std::mem::take(&mut self.set.card.pull);
        self.set.card.state = CardState::Unconfigured;
        if pull {
            self.unplug(now);
        } else {
            self.note_card();
            self.settle_all(now);
            if self.slot.is_occupied() {
                self.configure(now);
            }
        }
    }

    /// Switches the slot on, and binds the drivers if its functions are found (`board_added`).
    fn configure(&mut self, now: Time) {
        self.slot.set_rail(now, true);
        let first = self.slot.of_function(FunctionNumber::ZERO);
        let answers = first.and_then(|first| first.function().silent_for(now));
        if answers.is_none_or(|answers| answers > FOUND_WITHIN) {
            self.slot.set_rail(now, false);
            self.settle_all(now);
            return;
        }
        self.slot.waited_for(FOUND_WITHIN);
        self.settle_all(now);
        let functions = self.slot.numbers();
        let physical = functions.filter(|number| self.slot.is_physical(*number));
        self.set.resource = PowerResource::held_by(physical);
        self.for_every(|device| device.renew(now));
        self.set.card.state = CardState::Configured;
        self.for_every(|device| {
            // A device without faults wakes.
            device.get_suppliers(now).ok();
            device.settle(now);
        });
        self.for_every(|device| device.bind(now));
        self.note_card();
    }

    /// Forgets everything that the host knew of the device before. Faults remain.
    fn renew(&mut self, now: Time) {
        let before = &mut *self.state;
        let mut device = Device::new(&self.slot, before.options, &before.profile);
        device.rpm.begin_after(now);
        device.faults = before.faults.take();
        device.bars_visible = before.bars_visible;
        device.outputs = std::mem::take(&mut before.outputs);
        *before = device;
    }

    /// Takes the card out of the slot, whatever the host knows of it.
    fn unplug(&mut self, now: Time) {
        self.slot.unplug(now);
        self.note_card();
        self.settle_all(now);
    }

    fn check_occupied(&self) -> Result<(), HostError> {
        self.check_stopped()?;
        if self.slot.is_occupied() {
            Ok(())
        } else {
            Err(HostError::NoCard)
        }
    }

    fn check_stopped(&self) -> Result<(), HostError> {
        if self.devices().any(Device::is_frozen) {
            return Err(HostError::Stopped);
        }
        Ok(())
    }

    /// Checks that the removal of a restored device fits that of its card.
    pub(super) fn check_card(&self) -> Result<(), RestoreError> {
        let fits = match self.set.card.state {
            CardState::Configured => matches!(self.state.leaving, Leaving::No),
            CardState::Unconfiguring => true,
            CardState::Unconfigured => matches!(self.state.leaving, Leaving::Gone),
        };
        let open = self.state.low_power.opens > 0;
        let fits = fits && !(open && matches!(self.state.leaving, Leaving::Gone));
        if fits && (!self.set.card.pull || self.set.card.state == CardState::Unconfiguring) {
            return Ok(());
        }
        let number = self.slot.number();
        let state = self.set.card.state;
        let reason = format!("function {number} cannot be in this state while its card is {state}");
        Err(RestoreError::part(
            format!("devices.{number}.host.leaving"),
            reason,
        ))
    }

    fn settle_all(&mut self, now: Time) {
        self.for_every(|device| device.settle(now));
    }

    /// Acts on this device and then on each other one of the slot, virtual functions included.
    fn for_every(&mut self, mut act: impl FnMut(&mut DeviceMut<'_>)) {
        act(&mut self.reborrow());
        let own = self.slot.number();
        for number in FunctionNumber::ALL {
            if number != own {
                self.with_peer(number, |mut peer| act(&mut peer));
            }
        }
    }

    fn note_card(&mut self) {
        let event = HostEvent::Card {
            present: self.slot.is_occupied(),
            state: self.set.card.state,
        };
        let event = Output::Event(Event::Host(event));
        self.state.outputs.push_back(event);
    }
}

#[cfg(test)]
mod tests;
