//! Packet back ends: packets over a UNIX stream socket.
//!
//! Each packet follows its length as a big-endian number of 32 bits. That is what QEMU's
//! `-netdev stream` and `-netdev socket` send, and passt.
//!
//! One packet to send waits here at most, and what one read brought. While nobody is connected, what
//! the device sends is lost and its link is down.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};

use mio::{Registry, Token};
use pci_device_models::host::DeviceMut;
use pci_device_models::model::backend::MAX_PACKET;
use pci_device_models::time::Time;

use super::Drive;
use super::peer::{End, Peer};

/// Bytes of a packet's length.
const LENGTH: usize = 4;
/// Packets that move each way before others get a turn.
const PACKETS_PER_TURN: u32 = 256;

/// The other end of a network interface.
#[derive(Debug)]
pub struct PacketBackend {
    peer: Peer,
    received: Received,
    /// A packet with its length, and how much of it is sent.
    to_send: Vec<u8>,
    sent: usize,
}

impl PacketBackend {
    /// Serves one client of the listener at a time; others are sent away meanwhile.
    #[must_use]
    pub fn socket(listener: UnixListener) -> Self {
        Self::new(Peer::new(End::Listener(Some(listener)), None))
    }

    /// Talks over a connected socket. When the peer closes it, the link is down for good.
    ///
    /// # Errors
    /// The socket cannot be made non-blocking.
    pub fn connected(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self::new(Peer::new(End::Socket, Some(stream.into()))))
    }

    /// Creates a back end that leads nowhere: packets are lost, and the link is down.
    #[must_use]
    pub fn unplugged() -> Self {
        Self::new(Peer::new(End::Socket, None))
    }

    fn new(peer: Peer) -> Self {
        Self {
            peer,
            received: Received::default(),
            to_send: Vec::new(),
            sent: 0,
        }
    }

    /// Takes a packet of the device, and passes it on. Returns whether anything moved.
    fn send(&mut self, now: Time, device: &mut DeviceMut<'_>) -> bool {
        let left = self.to_send.get(self.sent..).unwrap_or_default();
        let mut moved = false;
        if left.is_empty() {
            let packet = device.with_backend(now, |backend, cx| backend.packet()?.transmit(cx));
            let Some(packet) = packet else { return false };
            moved = true;
            self.sent = 0;
            self.to_send.clear();
            if let (1..=MAX_PACKET, Ok(length)) = (packet.len(), u32::try_from(packet.len())) {
                self.to_send.extend_from_slice(&length.to_be_bytes());
                self.to_send.extend_from_slice(&packet);
            }
        }
        let left = self.to_send.get(self.sent..).unwrap_or_default();
        let sent = self.peer.write(left);
        self.sent += sent;
        if !self.peer.is_there() {
            self.to_send.clear();
            self.sent = 0;
        }
        moved || sent > 0
    }

    /// Takes a packet of the peer, and gives it to the device. Returns whether anything moved.
    fn receive(&mut self, now: Time, device: &mut DeviceMut<'_>) -> bool {
        let packet = loop {
            match self.received.packet() {
                Ok(Some(packet)) => break packet,
                Ok(None) => {
                    let count = self.peer.read(self.received.room());
                    if count == 0 {
                        return false;
                    }
                    self.received.add(count);
                }
                Err(length) => {
                    let message = format!("a packet of {length} bytes; at most {MAX_PACKET} fit");
                    self.peer.hang_up(io::Error::other(message));
                    self.received = Received::default();
                    return true;
                }
            }
        };
        let taken = packet.is_empty()
            || device.with_backend(now, |backend, cx| {
                let port = backend.packet();
                port.is_some_and(|port| port.receive(cx, packet))
            });
        if taken {
            self.received.drop_packet();
        }
        taken
    }
}

impl Drive for PacketBackend {
    fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<Option<UnixListener>> {
        self.peer.watch(registry, token)
    }

    fn connect(&mut self, socket: OwnedFd, registry: &Registry, token: Token) {
        if self.peer.connect(socket, registry, token) {
            self.received = Received::default();
        }
    }

    fn peer_ready(&mut self) {
        self.peer.ready();
    }

    fn step(&mut self, now: Time, device: &mut DeviceMut<'_>) -> bool {
        for _ in 0..PACKETS_PER_TURN {
            let up = self.peer.is_there();
            device.with_backend(now, |backend, cx| {
                if let Some(port) = backend.packet() {
                    port.set_link(cx, up);
                }
            });
            let sent = self.send(now, device);
            let received = self.receive(now, device);
            if !sent && !received && self.peer.is_there() == up {
                return false;
            }
        }
        true
    }
}

/// Bytes received from the peer: one packet fits, with its length.
#[derive(Debug)]
struct Received {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Default for Received {
    fn default() -> Self {
        Self {
            bytes: vec![0; LENGTH + MAX_PACKET].into(),
            start: 0,
            end: 0,
        }
    }
}

impl Received {
    /// Returns the first packet if all of it is there.
    ///
    /// # Errors
    /// Its length, if it is longer than any may be.
    fn packet(&self) -> Result<Option<&[u8]>, u32> {
        let bytes = self.bytes.get(self.start..self.end).unwrap_or_default();
        let Some((length, rest)) = bytes.split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length);
        if length as usize > MAX_PACKET {
            return Err(length);
        }
        Ok(rest.get(..length as usize))
    }

    /// Forgets the first packet.
    fn drop_packet(&mut self) {
        let length = self.packet().ok().flatten().map_or(0, <[u8]>::len);
        self.start = self.end.min(self.start + LENGTH + length);
    }

    /// Returns the room for more. There is some unless a packet is there.
    fn room(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    fn add(&mut self, count: usize) {
        self.end = self.bytes.len().min(self.end + count);
    }
}
