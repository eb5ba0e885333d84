//! Connections that are refused, until they know why.
//!
//! A client that is only disconnected cannot tell its user the reason, and some do not expect it in the
//! middle of their first request. So the server reads VERSION and answers it with an error. Then it waits
//! for the client to disconnect. All that takes a few seconds at most, and a few hundred bytes.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use pci_device_models::time::Time;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use vfio_user_protocol::{Command, HEADER_SIZE, Header, MessageType, encoder};

use super::source::{Kind, Source};
use crate::clock::system;
use crate::ratelimit::limited;

/// Refused connections at a time. One more ends the oldest.
const MOST: usize = 32;
/// Time that a refused client has.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes that a refused client may send: the largest VERSION, and a little that it sends after it.
const MOST_BYTES: usize = 72 << 10;
/// Bytes that one read takes.
const READ_SIZE: usize = 4096;

/// Refused connections by number, the oldest first.
#[derive(Debug, Default)]
pub(super) struct RefusedClients {
    clients: BTreeMap<usize, Refused>,
    next: usize,
}

/// One refused connection.
#[derive(Debug)]
struct Refused {
    socket: OwnedFd,
    errno: vfio_user_protocol::Errno,
    /// On the system's clock.
    deadline: Time,
    header: [u8; HEADER_SIZE],
    received: usize,
    /// Bytes of the message, once its header is there.
    size: Option<usize>,
    answered: bool,
}

/// The peer has gone, or does not behave.
struct Gone;

impl RefusedClients {
    /// Takes a connection whose VERSION is to be answered with `errno`, and watches it.
    pub(super) fn add(
        &mut self,
        socket: OwnedFd,
        errno: vfio_user_protocol::Errno,
        registry: &Registry,
    ) {
        if self.clients.len() >= MOST {
            self.clients.pop_first();
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let token = Source::new(Kind::Refused, number).into();
        let source = &mut SourceFd(&socket.as_raw_fd());
        if let Err(error) = registry.register(source, token, Interest::READABLE) {
            limited!(warn, %error, "cannot watch a refused client");
            return;
        }
        let refused = Refused {
            socket,
            errno,
            deadline: system().after(PATIENCE),
            header: [0; HEADER_SIZE],
            received: 0,
            size: None,
            answered: false,
        };
        self.clients.insert(number, refused);
    }

    /// A connection is ready.
    pub(super) fn ready(&mut self, number: usize) {
        // Closing the socket ends the watch.
        if let Some(refused) = self.clients.get_mut(&number)
            && refused.proceed().is_err()
        {
            self.clients.remove(&number);
        }
    }

    /// Returns the time that is left until [`Self::expire`] has something to do.
    pub(super) fn until(&self) -> Option<Duration> {
        let (_, oldest) = self.clients.first_key_value()?;
        Some(oldest.deadline.since(system()))
    }

    /// Ends the connections whose time is up.
    pub(super) fn expire(&mut self) {
        if self.clients.is_empty() {
            return;
        }
        let now = system();
        while let Some(oldest) = self.clients.first_entry()
            && oldest.get().deadline <= now
        {
            oldest.remove();
        }
    }
}

impl Refused {
    /// Takes what has come, and answers when VERSION is complete.
    fn proceed(&mut self) -> Result<(), Gone> {
        loop {
            if self.size == Some(self.received) && !self.answered {
                self.answer()?;
            }
            let mut bytes = [0; READ_SIZE];
            let header_left = HEADER_SIZE.saturating_sub(self.received);
            let room = match self.size {
                None => header_left,
                Some(size) if !self.answered => (size - self.received).min(READ_SIZE),
                Some(_) => READ_SIZE,
            };
            let room = bytes.get_mut(..room).unwrap_or_default();
            let count = match recv(&self.socket, room, RecvFlags::DONTWAIT) {
                Ok((_, count)) if count > 0 => count,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Ok(_) | Err(_) => return Err(Gone),
            };
            let header = self.header.get_mut(self.received..self.received + count);
            if let (Some(header), Some(came)) = (header, bytes.get(..count)) {
                header.copy_from_slice(came);
            }
            self.received += count;
            if self.received == HEADER_SIZE {
                let header = self.header()?;
                let size = header.message_size as usize;
                let is_version = header.command == Command::Version.number()
                    && header.flags.message_type() == Some(MessageType::Command);
                if !is_version || !(HEADER_SIZE..MOST_BYTES).contains(&size) {
                    return Err(Gone);
                }
                self.size = Some(size);
            }
            if self.received > MOST_BYTES {
                return Err(Gone);
            }
        }
    }

    fn header(&self) -> Result<Header, Gone> {
        Header::parse(&self.header).ok_or(Gone)
    }

    fn answer(&mut self) -> Result<(), Gone> {
        let mut reply = Vec::new();
        encoder::error_reply(&mut reply, &self.header()?, self.errno);
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match send(&self.socket, &reply, flags) {
            // Nothing else has been sent, so there is room for all of it.
            Ok(count) if count == reply.len() => self.answered = true,
            Ok(_) | Err(_) => return Err(Gone),
        }
        Ok(())
    }
}
