//! The other end of a device's character line: a pseudo-terminal, a file, a UNIX socket.
//!
//! Bytes wait where they are until there is room for them: in the device, or with whoever sends
//! them. Here there is at most one piece for each direction. What a device sends while nobody is at
//! the other end of its line goes nowhere, as on a cable that nobody plugged in.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use pci_device_models::host::DeviceMut;
use pci_device_models::time::Time;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::ratelimit::limited;

/// Bytes that are on their way at once in one direction.
const PIECE: usize = 4096;

/// The other end of a line.
#[derive(Debug)]
pub struct Line {
    end: End,
    /// Who is there now.
    peer: Option<OwnedFd>,
    /// The peer may have something to read, or room to write.
    readable: bool,
    writable: bool,
    received: Piece,
    to_send: Piece,
}

#[derive(Debug)]
enum End {
    /// The terminal is kept open, so that its users can come and go.
    Pty {
        _terminal: OwnedFd,
        link: Option<PathBuf>,
    },
    File,
    /// The listener, until somebody watches it.
    Socket(Option<UnixListener>),
}

/// Bytes on their way.
#[derive(Debug)]
struct Piece {
    bytes: Box<[u8; PIECE]>,
    start: usize,
    end: usize,
}

impl Line {
    /// A new pseudo-terminal in raw mode, with a symbolic link to it if one is asked for. Returns
    /// the terminal's path as well.
    ///
    /// # Errors
    /// What the system says. A link is put in place of another link only.
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
            link,
        };
        Ok((Self::new(end, Some(master)), path))
    }

    /// What the device sends is appended to the file, which is made if need be.
    ///
    /// # Errors
    /// What the system says.
    pub fn file(path: &Path) -> io::Result<Self> {
        let file: File = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self::new(End::File, Some(file.into())))
    }

    /// One client of the listener at a time is at the other end; others are sent away meanwhile.
    #[must_use]
    pub fn socket(listener: UnixListener) -> Self {
        Self::new(End::Socket(Some(listener)), None)
    }

    fn new(end: End, peer: Option<OwnedFd>) -> Self {
        Self {
            readable: !matches!(end, End::File),
            writable: true,
            end,
            peer,
            received: Piece::default(),
            to_send: Piece::default(),
        }
    }

    /// Has whoever is there watched as `peer`, and gives out the listener by which others come.
    pub(crate) fn watch(
        &mut self,
        registry: &Registry,
        peer: Token,
    ) -> io::Result<Option<UnixListener>> {
        match &mut self.end {
            End::File => Ok(None),
            End::Pty { .. } => {
                let watched = self.peer.as_ref().map(|fd| watch(registry, fd, peer));
                watched.transpose().map(|_| None)
            }
            End::Socket(listener) => Ok(listener.take()),
        }
    }

    /// Somebody wants to be at the other end, with a socket that never waits.
    pub(crate) fn connect(&mut self, socket: OwnedFd, registry: &Registry, peer: Token) {
        if self.peer.is_some() {
            return;
        }
        match watch(registry, &socket, peer) {
            Ok(()) => {
                self.peer = Some(socket);
                self.peer_ready();
            }
            Err(error) => limited!(warn, %error, "cannot watch the line"),
        }
    }

    /// The peer has sent something, or has room again, or is gone.
    pub(crate) fn peer_ready(&mut self) {
        (self.readable, self.writable) = (true, true);
    }

    /// Moves bytes both ways until neither side can any more.
    pub(crate) fn move_bytes(&mut self, now: Time, device: &mut DeviceMut<'_>) {
        loop {
            device.line_carrier(now, self.peer.is_some());
            let sent = self.send(now, device);
            if !(self.receive(now, device) || sent) {
                return;
            }
        }
    }

    /// Takes what the device sends, and passes it on. Whether anything moved.
    fn send(&mut self, now: Time, device: &mut DeviceMut<'_>) -> bool {
        let pulled = self
            .to_send
            .fill(|room| Some(device.line_transmit(now, room)));
        let Some(peer) = &self.peer else {
            self.to_send.drop_first(PIECE);
            return pulled;
        };
        if !self.writable || self.to_send.bytes().is_empty() {
            return pulled;
        }
        match rustix::io::write(peer, self.to_send.bytes()) {
            Ok(count) => self.to_send.drop_first(count),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                self.writable = false;
                return pulled;
            }
            Err(errno) => self.hang_up(errno.into()),
        }
        true
    }

    /// Takes what the peer sent, and gives it to the device. Whether anything moved.
    fn receive(&mut self, now: Time, device: &mut DeviceMut<'_>) -> bool {
        if let (Some(peer), true) = (&self.peer, self.readable) {
            let mut outcome = Ok(());
            self.received
                .fill(|room| match rustix::io::read(peer, room) {
                    Ok(0) => {
                        outcome = Err(Errno::PIPE);
                        None
                    }
                    Ok(count) => Some(count),
                    Err(errno) => {
                        outcome = Err(errno);
                        None
                    }
                });
            match outcome {
                Ok(()) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.readable = false,
                Err(errno) => {
                    // What it said before it went is still to be heard.
                    self.hang_up(errno.into());
                }
            }
        }
        let taken = match self.received.bytes() {
            [] => 0,
            bytes => device.line_receive(now, bytes),
        };
        self.received.drop_first(taken);
        taken > 0
    }

    /// Nobody is at the other end any more. Files and terminals do not hang up; if they fail, the
    /// line is dead.
    fn hang_up(&mut self, error: io::Error) {
        if !matches!(self.end, End::Socket(_)) {
            limited!(warn, %error, "the line is lost");
        }
        self.peer = None;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let End::Pty {
            link: Some(link), ..
        } = &self.end
        {
            let _ = fs::remove_file(link);
        }
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

    /// If nothing is left, takes from `source` what that puts into the room it is given. Whether
    /// that was anything.
    fn fill(&mut self, source: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        if self.start < self.end {
            return false;
        }
        let count = source(self.bytes.as_mut_slice()).unwrap_or(0);
        (self.start, self.end) = (0, count.min(PIECE));
        count > 0
    }
}

fn watch(registry: &Registry, peer: &impl AsFd, token: Token) -> io::Result<()> {
    let fd = peer.as_fd().as_raw_fd();
    registry.register(
        &mut SourceFd(&fd),
        token,
        Interest::READABLE | Interest::WRITABLE,
    )
}
