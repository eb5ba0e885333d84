//! The character line of the device. Nothing moves on it outside D0.

use super::Function;
use crate::model::{CharacterLine, Context, LinePlace};
use crate::power::PowerState;
use crate::time::Time;

impl Function {
    /// Where the line leads, if the device has one.
    pub fn line_place(&mut self) -> Option<&LinePlace> {
        self.model.line().map(|_| &self.line)
    }

    /// Bytes came over the line. Returns how many of them the device took.
    pub fn line_receive(&mut self, now: Time, bytes: &[u8]) -> usize {
        self.with_line(now, |line, cx| {
            let bytes = bytes.iter();
            bytes.take_while(|byte| line.receive(cx, **byte)).count()
        })
    }

    /// Puts what the device sends into `room`. Returns how many bytes.
    pub fn line_transmit(&mut self, now: Time, room: &mut [u8]) -> usize {
        self.with_line(now, |line, cx| {
            let places = room.iter_mut();
            let sent = places.map_while(|place| line.transmit(cx).map(|byte| *place = byte));
            sent.count()
        })
    }

    /// Tells the device whether somebody is at the other end of the line.
    pub fn line_carrier(&mut self, now: Time, carrier: bool) {
        self.with_line(now, |line, cx| line.set_carrier(cx, carrier));
    }

    /// What the line makes of it while the function is in D0.
    fn with_line<T: Default>(
        &mut self,
        now: Time,
        what: impl FnOnce(&mut dyn CharacterLine, &mut Context<'_>) -> T,
    ) -> T {
        if self.core.state != PowerState::D0 {
            return T::default();
        }
        self.with_model(now, |model, cx| {
            model.line().map_or_else(T::default, |line| what(line, cx))
        })
    }
}
