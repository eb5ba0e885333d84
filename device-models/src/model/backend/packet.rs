//! Packet back ends: packets to and from a device, with back pressure both ways.

use crate::model::Context;

/// Bytes of the largest packet that a back end passes on, which is the largest that QEMU sends.
pub const MAX_PACKET: usize = 4096 + 65536;

/// A network interface, as its back end sees it. Packets are whole frames without a checksum (FCS).
pub trait PacketPort {
    /// Takes a packet in. Returns whether the device has a place for it; if not, it is offered again,
    /// and no other before it. A packet that the device filters out or drops is one that it took.
    fn receive(&mut self, cx: &mut Context<'_>, packet: &[u8]) -> bool;

    /// Returns the next packet to send, which the back end takes, if one is to leave now. Packets of no
    /// bytes or of more than [`MAX_PACKET`] are dropped.
    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Vec<u8>>;

    /// Learns whether somebody is at the other end: the state of the link. Called whenever packets
    /// may move, whether the state changed or not.
    fn set_link(&mut self, cx: &mut Context<'_>, up: bool);
}
