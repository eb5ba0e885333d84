//! The steps that follow whatever was done with a function.

use pci_device_models::time::earliest;

use super::{Reactor, served};

impl Reactor {
    /// Takes note of what a function has to do next and tells its subscribers what happened. To be
    /// called whenever anything was done with it. Others in its slot may have been affected.
    pub(super) fn after(&mut self, number: usize) {
        let function = self.functions.get(number);
        let slot = function.and_then(|function| self.slots.get(function.slot));
        match slot {
            Some(slot) if slot.is_shared() => {
                let number = function.map_or(0, |function| function.slot);
                self.after_slot(number);
            }
            _ => self.after_one(number),
        }
    }

    /// As [`Self::after`], for all functions of a slot.
    pub(super) fn after_slot(&mut self, number: usize) {
        let now = self.clock.now();
        let Some(slot) = self.slots.get_mut(number) else {
            return;
        };
        slot.settle(now);
        for place in slot.served.clone() {
            if let Some((function, mut seat)) = served(&mut self.functions, &mut self.slots, place)
            {
                let now = seat.time.at(now);
                function.settle(&mut seat, now);
            }
            self.after_one(place);
        }
    }

    pub(super) fn after_one(&mut self, number: usize) {
        let Some((function, mut seat)) = served(&mut self.functions, &mut self.slots, number)
        else {
            return;
        };
        if function.has_backend() {
            function.move_backend(&mut seat, self.clock.now());
        }
        if !function.outputs.events.is_empty() {
            for (at, event) in function.outputs.events.drain(..) {
                let dropped = self.controls.publish(number, at, &event);
                function.outputs.subscribers -= dropped;
            }
        }
        if function.has_new_hold(&seat) {
            function.note_hold(&mut seat, self.clock.now());
        }
        let news = std::mem::take(&mut function.outputs.news);
        let agenda = function.agenda(&seat);
        let went_on = seat.time.take_went_on();
        let place = function.slot;
        let slot = self.slots.get(place);
        let unserved = slot.and_then(|slot| slot.unserved_deadline(number));
        self.deadlines.set(number, earliest(agenda.due, unserved));
        if agenda.busy && !self.busy.contains(&number) {
            self.busy.push(number);
        }
        if went_on {
            self.rail_after_stop(place);
        }
        if self.platform.is_some() {
            self.platform_after(number, news);
        }
    }
}
