//! Serial back ends: bytes to and from a device, with back pressure both ways.

use crate::model::Context;

/// A serial port as its back end sees it.
///
/// The back end moves characters of one byte each when both sides can. None is lost on the way, and
/// only the back end itself buffers characters.
pub trait SerialPort {
    /// Receives a character. Returns whether there was room for it. If not, the back end offers it
    /// again.
    fn receive(&mut self, cx: &mut Context<'_>, character: u8) -> bool;

    /// Removes and returns the next character to send, if one is ready now.
    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<u8>;

    /// Sets whether the other end is connected.
    fn set_carrier(&mut self, cx: &mut Context<'_>, carrier: bool);
}

impl dyn SerialPort + '_ {
    /// Receives characters until there is no room. Returns the number of received characters.
    pub fn receive_all(&mut self, cx: &mut Context<'_>, characters: &[u8]) -> usize {
        let characters = characters.iter();
        characters
            .take_while(|character| self.receive(cx, **character))
            .count()
    }

    /// Fills `room` with the characters to send now. Returns their number.
    pub fn transmit_into(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> usize {
        let places = room.iter_mut();
        let sent = places.map_while(|place| self.transmit(cx).map(|byte| *place = byte));
        sent.count()
    }
}
