//! Events outside a served function: its resample eventfd and its doorbells.

use pci_device_models::time::Time;

use super::{Seat, Served};

impl Served {
    /// The resample eventfd was signalled.
    pub(super) fn resample_ready(&mut self, seat: &mut Seat<'_>, now: Time) {
        let now = seat.time.at(now);
        self.take_resample(seat, now);
    }

    /// Looks at all that may have happened outside while the function was stopped, and was left alone.
    pub(super) fn take_notice(&mut self, seat: &mut Seat<'_>, now: Time) {
        self.take_resample(seat, now);
        self.take_doorbells(seat, now);
    }

    fn take_resample(&mut self, seat: &mut Seat<'_>, now: Time) {
        if !seat.device.is_frozen() && self.outputs.irqs.resampled() {
            seat.device.intx_resample(now);
            self.settle(seat, now);
        }
    }

    /// Does the writes that doorbells have been rung for.
    pub(in crate::reactor) fn answer_doorbells(&mut self, seat: &mut Seat<'_>, now: Time) {
        let now = seat.time.at(now);
        self.take_doorbells(seat, now);
    }

    fn take_doorbells(&mut self, seat: &mut Seat<'_>, now: Time) {
        if seat.device.is_frozen() {
            return;
        }
        let answered = self.doorbells.answer(now, &mut seat.device);
        if answered > 0 {
            self.stats.doorbells += answered;
            self.settle(seat, now);
        }
    }
}
