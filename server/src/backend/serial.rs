//! Serial back ends: a pseudo-terminal, a file, a UNIX socket.
//!
//! Bytes wait where they are until there is room for them: in the device, or with whoever sends
//! them. Here there is at most one piece for each direction. What a device sends while nobody is at
//! the other end is lost, as on a port without a cable.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use mio::{Registry, Token};
use pci_device_models::host::DeviceMut;
use pci_device_models::time::Time;
use rustix::fs::{FileType, Mode, OFlags, fcntl_setfl, fstat, open};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::Drive;
use super::peer::{End, Peer};
use crate::listen::SocketFile;

/// Bytes that are on their way at once in one direction.
const PIECE: usize = 4096;
/// Pieces that move each way before others get a turn.
const PIECES_PER_TURN: u32 = 256;

/// The other end of a serial port.
#[derive(Debug)]
pub struct SerialBackend {
    peer: Peer,
    received: Piece,
    to_send: Piece,
}

/// Bytes on their way.
#[derive(Debug)]
struct Piece {
    bytes: Box<[u8; PIECE]>,
    start: usize,
    end: usize,
}

impl SerialBackend {
    /// Makes a new pseudo-terminal in raw mode, with a symbolic link to it if one is asked for.
    /// Returns the terminal's path as well.
    ///
    /// # Errors
    /// The system refuses. A link is put in place of another link only.
    pub fn pty(link: Option<PathBuf>) -> io::Result<(Self, PathBuf)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = rustix::fs::open(&name, flags, Mode::empty())?;
        let mut attributes = tcgetattr(&terminal)?;
        attributes.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &attributes)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        let path = PathBuf::from(name.to_string_lossy().into_owned());
        if let Some(link) = &link {
            if fs::symlink_metadata(link).is_ok_and(|file| file.is_symlink()) {
                fs::remove_file(link)?;
            }
            std::os::unix::fs::symlink(&path, link)?;
        }
        let end = End::Pty {
            _terminal: terminal,
            link: link.map(SocketFile::of_link).transpose()?,
        };
        Ok((Self::new(Peer::new(end, Some(master))), path))
    }

    /// Returns the symbolic link to the terminal. Dropping it removes the link, which dropping the back end
    /// does otherwise.
    pub fn take_link(&mut self) -> Option<SocketFile> {
        self.peer.take_link()
    }

    /// Appends what the device sends to a file, which is made if need be. Nothing comes back.
    ///
    /// # Errors
    /// The file cannot be opened, or it is neither a regular file nor a character device. A symbolic link
    /// to nothing is not followed.
    pub fn file(path: &Path) -> io::Result<Self> {
        Ok(Self::new(Peer::new(End::File, Some(append_to(path)?))))
    }

    /// Serves one client of the listener at a time; others are sent away meanwhile.
    #[must_use]
    pub fn socket(listener: UnixListener) -> Self {
        Self::new(Peer::new(End::Listener(Some(listener)), None))
    }

    fn new(peer: Peer) -> Self {
        Self {
            peer,
            received: Piece::default(),
            to_send: Piece::default(),
        }
    }

    /// Takes what the device sends, and passes it on. Returns whether anything moved.
    fn send(&mut self, now: Time, device: &mut DeviceMut<'_>) -> bool {
        let pulled = self.to_send.fill(|room| {
            device.with_backend(now, |backend, cx| {
                let port = backend.serial();
                port.map_or(0, |port| port.transmit_into(cx, room))
            })
        });
        let sent = self.peer.write(self.to_send.bytes());
        self.to_send.drop_first(sent);
        if !self.peer.is_there() {
            self.to_send.drop_first(PIECE);
        }
        pulled || sent > 0
    }

    /// Takes what the peer sent, and gives it to the device. Returns whether anything moved.
    fn receive(&mut self, now: Time, device: &mut DeviceMut<'_>) -> bool {
        let Self { peer, received, .. } = self;
        received.fill(|room| peer.read(room));
        let taken = match received.bytes() {
            [] => 0,
            bytes => device.with_backend(now, |backend, cx| {
                let port = backend.serial();
                port.map_or(0, |port| port.receive_all(cx, bytes))
            }),
        };
        received.drop_first(taken);
        taken > 0
    }
}

/// Makes a file, or opens one that is there, without waiting for the reader of a FIFO.
fn append_to(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o666);
    match open(path, flags | OFlags::CREATE | OFlags::EXCL, mode) {
        Err(Errno::EXIST) => {}
        made => return Ok(made?),
    }
    let file = open(path, flags | OFlags::NONBLOCK, Mode::empty())?;
    match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::RegularFile | FileType::CharacterDevice => {}
        _ => {
            return Err(io::Error::other(
                "it is neither a file nor a character device",
            ));
        }
    }
    // A device that has no room has to be waited for: nothing says when it has some.
    fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(file)
}

impl Drive for SerialBackend {
    fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<Option<UnixListener>> {
        self.peer.watch(registry, token)
    }

    fn connect(&mut self, socket: OwnedFd, registry: &Registry, token: Token) {
        self.peer.connect(socket, registry, token);
    }

    fn peer_ready(&mut self) {
        self.peer.ready();
    }

    fn step(&mut self, now: Time, device: &mut DeviceMut<'_>) -> bool {
        for _ in 0..PIECES_PER_TURN {
            let carrier = self.peer.is_there();
            device.with_backend(now, |backend, cx| {
                if let Some(port) = backend.serial() {
                    port.set_carrier(cx, carrier);
                }
            });
            let sent = self.send(now, device);
            let received = self.receive(now, device);
            if !sent && !received && self.peer.is_there() == carrier {
                return false;
            }
        }
        true
    }
}

impl Default for Piece {
    fn default() -> Self {
        Self {
            bytes: Box::new([0; PIECE]),
            start: 0,
            end: 0,
        }
    }
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    fn drop_first(&mut self, count: usize) {
        self.start = self.end.min(self.start.saturating_add(count));
    }

    /// If nothing is left, takes from `source` what that puts into the room it is given. Returns
    /// whether that was anything.
    fn fill(&mut self, source: impl FnOnce(&mut [u8]) -> usize) -> bool {
        if self.start < self.end {
            return false;
        }
        let count = source(self.bytes.as_mut_slice());
        (self.start, self.end) = (0, count.min(PIECE));
        count > 0
    }
}
