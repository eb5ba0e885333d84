//! Serial back ends: bytes to and from a device, with back pressure both ways.

use crate::model::Context;

/// A serial port, as its back end sees it.
///
/// The back end moves characters, of a byte each, when both sides can: nothing is lost on the way,
/// and nothing waits there but what the back end itself holds.
pub trait SerialPort {
    /// Takes a character in. Returns whether there was room for it; if not, it is offered again.
    fn receive(&mut self, cx: &mut Context<'_>, character: u8) -> bool;

    /// Returns the next character to send, which the back end takes, if one is to leave now.
    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<u8>;

    /// Learns whether somebody is at the other end.
    fn set_carrier(&mut self, cx: &mut Context<'_>, carrier: bool);
}

impl dyn SerialPort + '_ {
    /// Takes characters in until there is no room. Returns how many were taken.
    pub fn receive_all(&mut self, cx: &mut Context<'_>, characters: &[u8]) -> usize {
        let characters = characters.iter();
        characters
            .take_while(|character| self.receive(cx, **character))
            .count()
    }

    /// Fills `room` with what is to be sent now. Returns how many characters that is.
    pub fn transmit_into(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> usize {
        let places = room.iter_mut();
        let sent = places.map_while(|place| self.transmit(cx).map(|byte| *place = byte));
        sent.count()
    }
}
