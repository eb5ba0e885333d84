//! Control clients: lines in, replies and events out.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use pci_device_models::host::Event;
use pci_device_models::time::Time;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use serde::Serialize;

use super::source::{Kind, Source};
use crate::connection::Outgoing;
use crate::control::{self, MAX_LINE, Unfinished};

/// Bytes that one read takes.
const READ_SIZE: usize = 4096;
/// Bytes that a control client may leave unread.
const MAX_UNREAD: usize = 1 << 20;
/// Control clients are few and slow, so needless wake-ups for write readiness do not matter.
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// One control client.
#[derive(Debug)]
pub(super) struct ControlClient {
    socket: OwnedFd,
    /// The function it is about.
    pub(super) function: usize,
    /// It gets events.
    pub(super) subscribed: bool,
    /// Received bytes that are not executed yet: at most a line and one read.
    received: Vec<u8>,
    outgoing: Outgoing,
    /// The rest of the work for its last line.
    pub(super) unfinished: Option<Unfinished>,
}

/// An event as subscribers see it.
#[derive(Serialize)]
struct EventLine<'a> {
    #[serde(flatten)]
    event: &'a Event,
    nanos: u64,
}

/// The line that tells subscribers about an event, with its newline.
pub(super) fn event_line(at: Time, event: &Event) -> Vec<u8> {
    let line = EventLine {
        event,
        nanos: at.as_nanos(),
    };
    // Events are strings and numbers under string keys, which always have a JSON form.
    let mut line = serde_json::to_vec(&line).unwrap_or_default();
    line.push(b'\n');
    line
}

impl ControlClient {
    /// Has the socket watched from now on, as client `number`.
    pub(super) fn new(
        socket: OwnedFd,
        number: usize,
        function: usize,
        registry: &Registry,
    ) -> io::Result<Self> {
        let token = Source::new(Kind::Control, number).into();
        registry.register(&mut SourceFd(&socket.as_raw_fd()), token, INTEREST)?;
        Ok(Self {
            socket,
            function,
            subscribed: false,
            received: Vec::new(),
            outgoing: Outgoing::default(),
            unfinished: None,
        })
    }

    /// Sends what the socket has room for again.
    ///
    /// # Errors
    /// The client is gone.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        self.outgoing.resume(&self.socket)
    }

    /// The next line that has come, without its newline; `None` if there is none for now.
    ///
    /// # Errors
    /// The client is gone, or has to go.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = self.received.drain(..=end).collect();
                line.pop();
                return Ok(Some(line));
            }
            if self.received.len() > MAX_LINE {
                self.send(control::line_too_long().text.into_bytes())?;
                return Err(io::Error::other("the control client sent too long a line"));
            }
            let mut bytes = [0; READ_SIZE];
            match recv(&self.socket, &mut bytes, RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((_, count)) => {
                    self.received
                        .extend_from_slice(bytes.get(..count).unwrap_or_default());
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Sends a line, now or when the socket has room.
    ///
    /// # Errors
    /// The client is gone, or does not read what it is sent.
    pub(super) fn send(&mut self, mut line: Vec<u8>) -> io::Result<()> {
        self.outgoing.send(&self.socket, &mut line)?;
        if self.outgoing.is_full(MAX_UNREAD) {
            return Err(io::Error::other(
                "the control client does not read what it asked for",
            ));
        }
        Ok(())
    }
}
