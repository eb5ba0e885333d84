//! A client that writes its bytes by hand.

use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use vfio_user_protocol::Command;

pub(super) const NO_REPLY: u32 = 0x10;
pub(super) const EINVAL: u32 = 22;
/// Features and what is done with them.
pub(super) const GET: u32 = 1 << 16;
pub(super) const SET: u32 = 1 << 17;
pub(super) const PROBE: u32 = 1 << 18;
pub(super) const ENTRY: u32 = 3;
pub(super) const ENTRY_WITH_WAKEUP: u32 = 4;
pub(super) const EXIT: u32 = 5;
/// Config space.
pub(super) const CONFIG: u32 = 7;

pub(super) struct Client {
    pub(super) stream: UnixStream,
    id: u16,
}

/// Fields of 32 bits in the host's order.
pub(super) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Offset, region, count.
pub(super) fn access(region: u32, offset: u64, count: u32) -> Vec<u8> {
    [offset.to_ne_bytes().to_vec(), words(&[region, count])].concat()
}

impl Client {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, id: 0 }
    }

    pub(super) fn send(
        &mut self,
        command: u16,
        flags: u32,
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
    ) {
        self.id += 1;
        let size = 16 + payload.len() as u32;
        let mut message = [self.id.to_ne_bytes(), command.to_ne_bytes()].concat();
        message.extend(words(&[size, flags, 0]));
        message.extend_from_slice(payload);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(fds));
        }
        let iov = [IoSlice::new(&message)];
        let sent = sendmsg(&self.stream, &iov, &mut control, SendFlags::NOSIGNAL).unwrap();
        self.stream.write_all(&message[sent..]).unwrap();
    }

    /// The reply to the command sent `earlier` commands before the last one.
    pub(super) fn receive_earlier(&mut self, earlier: u16) -> Result<Vec<u8>, u32> {
        let mut header = [0; 16];
        self.stream.read_exact(&mut header).unwrap();
        let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
        let id = u16::from_ne_bytes([header[0], header[1]]);
        assert_eq!(id, self.id - earlier);
        let mut payload = vec![0; word(4) as usize - 16];
        self.stream.read_exact(&mut payload).unwrap();
        match word(8) {
            0x01 => Ok(payload),
            0x21 => {
                assert!(payload.is_empty(), "an error reply is a header alone");
                Err(word(12))
            }
            flags => panic!("flags {flags:#x}"),
        }
    }

    pub(super) fn receive(&mut self) -> Result<Vec<u8>, u32> {
        self.receive_earlier(0)
    }

    pub(super) fn request(&mut self, command: Command, payload: &[u8]) -> Result<Vec<u8>, u32> {
        self.send(command.number(), 0, payload, &[]);
        self.receive()
    }

    pub(super) fn request_with(
        &mut self,
        command: Command,
        payload: &[u8],
        fds: &[&dyn AsFd],
    ) -> Result<Vec<u8>, u32> {
        let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
        self.send(command.number(), 0, payload, &fds);
        self.receive()
    }

    pub(super) fn negotiate(&mut self) {
        let reply = self.request(Command::Version, &words(&[0])).unwrap();
        assert_eq!(reply, words(&[0]));
    }

    /// The errno with which VERSION is refused.
    pub(super) fn turned_away(&mut self) -> u32 {
        self.request(Command::Version, &words(&[0])).unwrap_err()
    }

    pub(super) fn read(&mut self, region: u32, offset: u64, count: u32) -> Result<Vec<u8>, u32> {
        let payload = access(region, offset, count);
        let reply = self.request(Command::RegionRead, &payload)?;
        assert_eq!(reply[..16], payload);
        Ok(reply[16..].to_vec())
    }

    pub(super) fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), u32> {
        let fixed = access(region, offset, data.len() as u32);
        let reply = self.request(Command::RegionWrite, &[&fixed, data].concat())?;
        assert_eq!(reply, fixed);
        Ok(())
    }

    /// Reads a register of BAR0.
    pub(super) fn register(&mut self, offset: u64) -> u32 {
        let data = self.read(0, offset, 4).unwrap();
        u32::from_le_bytes(data.try_into().unwrap())
    }

    pub(super) fn set_register(&mut self, offset: u64, value: u32) {
        self.write(0, offset, &value.to_le_bytes()).unwrap();
    }

    /// Memory space and bus mastering on.
    pub(super) fn enable(&mut self) {
        self.write(CONFIG, 4, &6_u16.to_le_bytes()).unwrap();
    }

    /// SET_IRQS with these eventfds.
    pub(super) fn set_irqs(
        &mut self,
        flags: u32,
        index: u32,
        vectors: (u32, u32),
        fds: &[&dyn AsFd],
    ) -> Result<Vec<u8>, u32> {
        let payload = words(&[20, flags, index, vectors.0, vectors.1]);
        self.request_with(Command::DeviceSetIrqs, &payload, fds)
    }

    /// DEVICE_FEATURE with an argsz that fits.
    pub(super) fn feature(
        &mut self,
        flags: u32,
        data: &[u32],
        fds: &[&dyn AsFd],
    ) -> Result<Vec<u8>, u32> {
        let header = [8 + 4 * data.len() as u32, flags];
        let payload = words(&[&header, data].concat());
        self.request_with(Command::DeviceFeature, &payload, fds)
    }

    /// Nothing has come from the server.
    pub(super) fn hears_nothing(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let error = self.stream.read(&mut [0]).unwrap_err();
        self.stream.set_nonblocking(false).unwrap();
        error.kind() == std::io::ErrorKind::WouldBlock
    }

    pub(super) fn map(
        &mut self,
        address: u64,
        size: u64,
        offset: u64,
        file: Option<&dyn AsFd>,
    ) -> Result<Vec<u8>, u32> {
        let mut payload = words(&[32, 3]);
        for field in [offset, address, size] {
            payload.extend(field.to_ne_bytes());
        }
        let fds: Vec<_> = file.into_iter().collect();
        self.request_with(Command::DmaMap, &payload, &fds)
    }

    /// Returns whether the server has closed the connection.
    pub(super) fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0) | Err(_))
    }
}
