//! The character line of the device. What stands between is no host driver: a line is a cable of
//! its own, whose bytes neither need nor wake the host.

use super::DeviceMut;
use crate::model::LinePlace;
use crate::time::Time;

impl DeviceMut<'_> {
    /// Where the line leads, if the device has one.
    pub fn line_place(&mut self) -> Option<&LinePlace> {
        self.slot.function_mut().line_place()
    }

    /// Bytes came over the line. Returns how many of them the device took, none outside D0.
    pub fn line_receive(&mut self, now: Time, bytes: &[u8]) -> usize {
        let taken = self.slot.function_mut().line_receive(now, bytes);
        self.settle(now);
        taken
    }

    /// Puts what the device sends into `room`. Returns how many bytes, none outside D0.
    pub fn line_transmit(&mut self, now: Time, room: &mut [u8]) -> usize {
        let sent = self.slot.function_mut().line_transmit(now, room);
        self.settle(now);
        sent
    }

    /// Tells the device whether somebody is at the other end of the line.
    pub fn line_carrier(&mut self, now: Time, carrier: bool) {
        self.slot.function_mut().line_carrier(now, carrier);
        self.settle(now);
    }
}
