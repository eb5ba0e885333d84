//! The power rails of slots, as their switches are moved.

use super::Reactor;
use super::source::{Kind, Source};

impl Reactor {
    /// Somebody wants to switch a slot's power rail, or has.
    pub(super) fn rail_ready(&mut self, source: Source) {
        let now = self.clock.now();
        let Some(slot) = self.slots.get_mut(source.number) else {
            return;
        };
        if source.kind == Kind::Rail {
            slot.take_rail(now);
            self.after_slot(source.number);
            return;
        }
        let refused = slot.rail_accept(self.poll.registry());
        let first = slot.served.first().copied();
        if let Some(function) = first.and_then(|first| self.functions.get_mut(first)) {
            function.stats.refused += refused;
        }
    }

    /// Takes note of switches that were moved while a function of the slot was stopped.
    pub(super) fn rail_after_stop(&mut self, slot: usize) {
        let now = self.clock.now();
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.take_rail(now);
        }
        self.after_slot(slot);
    }
}
