//! A vfio-user client at the level of bytes.
//!
//! It is written from the text of the protocol and shares no code with the server, so it can test
//! the server independently. It packs messages itself, and a test may pack them wrongly. Every
//! receive ends after [`PATIENCE`] at the latest.

mod commands;
mod socket;
pub mod wire;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

pub use commands::{IrqInfo, RegionInfo, SetIrqs, SmallWrite, write_multi};
pub use socket::{receive_now, send_now};
use wire::{Bytes, HEADER, field_u16, field_u32, flag};

/// Time that a client waits for the server before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Maximum size in bytes of a received message, above any reply that a client requests.
const LARGEST_MESSAGE: usize = 64 << 20;

/// A message that was received.
#[derive(Debug)]
pub struct Message {
    /// Message id.
    pub id: u16,
    /// Command number.
    pub command: u16,
    /// Flags: type, No_reply, Error.
    pub flags: u32,
    /// Errno of an error reply.
    pub error: u32,
    /// Everything after the header.
    pub payload: Vec<u8>,
    /// File descriptors that came with the message.
    pub fds: Vec<OwnedFd>,
}

impl Message {
    /// Returns the reply's errno, if it is an error reply.
    #[must_use]
    pub fn errno(&self) -> Option<u32> {
        (self.flags & flag::ERROR != 0).then_some(self.error)
    }

    /// Returns the payload of a reply that reports success.
    ///
    /// # Errors
    /// The reply reports an error.
    pub fn success(self) -> Result<Vec<u8>> {
        match self.errno() {
            None => Ok(self.payload),
            Some(errno) => bail!("command {} failed with {}", self.command, wire::name(errno)),
        }
    }

    /// Returns the errno of a reply that has to report an error: 16 bytes and nothing else.
    ///
    /// # Errors
    /// The reply reports success, or carries a payload.
    pub fn failure(self) -> Result<u32> {
        let errno = self.errno();
        let errno = errno.with_context(|| format!("command {} succeeded", self.command))?;
        let surplus = self.payload.len();
        ensure!(surplus == 0, "the error reply carries {surplus} bytes");
        Ok(errno)
    }
}

/// A client on its connection.
#[derive(Debug)]
pub struct RawClient {
    stream: UnixStream,
    last_id: u16,
    patience: Duration,
}

impl RawClient {
    /// Connects without sending anything.
    ///
    /// # Errors
    /// No server listens at `path`.
    pub fn connect(path: &Path) -> io::Result<Self> {
        Self::over(UnixStream::connect(path)?)
    }

    /// Creates a client on an existing connection.
    ///
    /// # Errors
    /// The socket's time-outs cannot be set.
    pub fn over(stream: UnixStream) -> io::Result<Self> {
        Self::waiting(stream, PATIENCE)
    }

    /// Creates a client that waits this long for a message; see [`Self::over`].
    ///
    /// # Errors
    /// The socket's time-out cannot be set.
    pub fn waiting(stream: UnixStream, patience: Duration) -> io::Result<Self> {
        stream.set_write_timeout(Some(patience))?;
        Ok(Self {
            stream,
            last_id: 0,
            patience,
        })
    }

    /// Connects and agrees on version 0.1 with all capabilities at their defaults.
    ///
    /// # Errors
    /// No server listens, or it does not agree.
    pub fn attach(path: &Path) -> Result<Self> {
        let connected = Self::connect(path);
        let mut client =
            connected.with_context(|| format!("cannot connect to {}", path.display()))?;
        client.version(0, 1, None)?.success()?;
        Ok(client)
    }

    /// Sends bytes as they are, with file descriptors on the first of them.
    ///
    /// # Errors
    /// The connection has gone, or is full for too long.
    pub fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        socket::send(self.stream.as_fd(), bytes, fds)
    }

    /// Sends a well-formed command and returns its message id.
    ///
    /// # Errors
    /// Those of [`Self::send`].
    pub fn post(
        &mut self,
        command: u16,
        flags: u32,
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<u16> {
        let id = self.next_id();
        self.send(&wire::message(id, command, flags, payload), fds)?;
        Ok(id)
    }

    /// Returns the id of the next command.
    pub fn next_id(&mut self) -> u16 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    /// Receives one message.
    ///
    /// # Errors
    /// The server closed the connection, kept silent, or sent an invalid header.
    pub fn receive(&self) -> Result<Message> {
        let until = Instant::now() + self.patience;
        let mut fds = Vec::new();
        let mut header = [0; HEADER];
        let from = self.stream.as_fd();
        socket::receive(from, &mut header, &mut fds, until).context("no reply")?;
        let size = field_u32(&header, 4) as usize;
        ensure!(
            (HEADER..=LARGEST_MESSAGE).contains(&size),
            "the reply says that it has {size} bytes"
        );
        let mut payload = vec![0; size - HEADER];
        socket::receive(from, &mut payload, &mut fds, until).context("reply cut short")?;
        Ok(Message {
            id: field_u16(&header, 0),
            command: field_u16(&header, 2),
            flags: field_u32(&header, 8),
            error: field_u32(&header, 12),
            payload,
            fds,
        })
    }

    /// Sends a command and receives its reply, which has to carry its id and number.
    ///
    /// # Errors
    /// Those of [`Self::send`] and [`Self::receive`]; the message received is not the reply.
    pub fn request(
        &mut self,
        command: u16,
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<Message> {
        let id = self.post(command, flag::COMMAND, payload, fds)?;
        let reply = self.receive()?;
        ensure!(
            (reply.id, reply.command, reply.flags & flag::TYPE) == (id, command, flag::REPLY),
            "expected the reply to command {command} with id {id}, received {reply:?}"
        );
        Ok(reply)
    }

    /// Connects where there is no room, and returns the errno with which the server refuses VERSION.
    ///
    /// # Errors
    /// No server listens, or it does not refuse the client.
    pub fn turned_away(path: &Path) -> Result<u32> {
        let mut client = Self::connect(path)?;
        client.version(0, 1, None)?.failure()
    }

    /// Waits until the server closes the connection.
    ///
    /// # Errors
    /// The server keeps the connection open, or sent something.
    pub fn closed(&self) -> Result<()> {
        match self.receive() {
            Ok(message) => bail!("the connection is open: received {message:?}"),
            Err(error) => match error.downcast_ref::<io::Error>().map(io::Error::kind) {
                Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Returns whether a message can be received now.
    ///
    /// # Errors
    /// The socket cannot be polled.
    pub fn has_message(&self) -> io::Result<bool> {
        crate::os::readable(self.stream.as_fd(), Duration::ZERO)
    }

    fn command(&mut self, command: u16, payload: Bytes) -> Result<Message> {
        self.request(command, &payload, &[])
    }
}

impl AsFd for RawClient {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
