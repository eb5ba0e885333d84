//! Packet back ends: packets to and from a device, with back pressure both ways.

use crate::model::Context;

/// Size in bytes of the largest packet that a back end passes on, which is the largest that QEMU
/// sends.
pub const MAX_PACKET: usize = 4096 + 65536;

/// A network interface as its back end sees it. Packets are whole frames without a checksum (FCS).
pub trait PacketPort {
    /// Receives a packet. Returns whether the device had room for it. If not, the back end offers
    /// it again, before any other packet. The device also accepts a packet that it filters out or
    /// drops.
    fn receive(&mut self, cx: &mut Context<'_>, packet: &[u8]) -> bool;

    /// Removes and returns the next packet to send, if one is ready now. Empty packets and packets
    /// of more than [`MAX_PACKET`] bytes are dropped.
    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Vec<u8>>;

    /// Sets the state of the link: whether the other end is connected. Called whenever packets may
    /// move, whether the state changed or not.
    fn set_link(&mut self, cx: &mut Context<'_>, up: bool);
}
