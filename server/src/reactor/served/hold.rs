//! A served function that is held: it is saved or restored in steps, and stands still between them.

use pci_device_models::time::Time;

use super::{Seat, Served};

impl Served {
    /// Returns whether [`Self::note_hold`] has something to do.
    pub(in crate::reactor) fn has_new_hold(&self, seat: &Seat<'_>) -> bool {
        seat.device.is_held() != self.was_held
    }

    /// Takes note of whether the function is held. While it is, its time stands still, and its clients and
    /// those who want to be wait.
    pub(in crate::reactor) fn note_hold(&mut self, seat: &mut Seat<'_>, now: Time) {
        self.was_held = seat.device.is_held();
        if self.was_held {
            seat.time.stop(self.number);
        } else if !seat.device.is_frozen() {
            seat.time.go_on(self.number);
            let now = seat.time.at(now);
            self.take_notice(seat, now);
        }
    }
}
