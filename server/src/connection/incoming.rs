//! Turns the bytes and descriptors of a socket into messages with their descriptors.

use std::io::IoSliceMut;
use std::mem::{MaybeUninit, take};
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, RecvMsg, ReturnFlags, recvmsg,
};
use vfio_user_protocol::{Decoder, Frame, Invalid, Limits};

use super::descriptors::{Descriptors, MAX_MESSAGE_FDS, Waiting, owner};

/// Maximum bytes of one recvmsg, unless a single message is larger.
const BUFFER_SIZE: usize = 128 * 1024;

/// A spare receive buffer. A connection has a buffer only while it is read or has an unfinished
/// message, so all connections together usually need only this one.
#[derive(Debug, Default)]
pub(crate) struct BufferPool(Vec<u8>);

impl BufferPool {
    fn take(&mut self) -> Vec<u8> {
        let buffer = take(&mut self.0);
        if buffer.is_empty() {
            vec![0; BUFFER_SIZE]
        } else {
            buffer
        }
    }

    fn put(&mut self, buffer: Vec<u8>) {
        if self.0.is_empty() {
            self.0 = buffer;
        }
    }
}

/// The result of an attempt to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Bytes came.
    Bytes {
        /// There may be more. Otherwise the next bytes will make the socket readable anew.
        more: bool,
    },
    /// There was nothing.
    Nothing,
    /// The client is gone.
    Closed,
}

/// A message with what came beside it.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    /// Header and payload.
    pub(crate) frame: Frame<'a>,
    /// Its file descriptors.
    pub(crate) fds: Descriptors,
}

/// The receiving half of a connection.
#[derive(Debug)]
pub(crate) struct Incoming {
    decoder: Decoder,
    /// Zeroed memory, empty while no unfinished message is in it.
    buffer: Vec<u8>,
    /// The part of the buffer that has been received but not taken.
    start: usize,
    end: usize,
    /// Position of `start` in the stream.
    position: u64,
    fds: Waiting,
}

impl Incoming {
    /// At the start of a stream.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            decoder: Decoder::new(limits),
            buffer: Vec::new(),
            start: 0,
            end: 0,
            position: 0,
            fds: Waiting::default(),
        }
    }

    /// Changes the limits for the messages to come.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.decoder.set_limits(limits);
    }

    /// Takes what the socket has, without waiting for it.
    pub(crate) fn receive(&mut self, socket: impl AsFd, pool: &mut BufferPool) -> Received {
        self.make_room(pool);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_MESSAGE_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        match receive(socket, room, &mut control) {
            Ok(RecvMsg { bytes: 0, .. }) => Received::Closed,
            Ok(message) => self.took(&message, &mut control),
            Err(Errno::AGAIN) => Received::Nothing,
            Err(errno) => {
                tracing::debug!(%errno, "receiving from the client failed");
                Received::Closed
            }
        }
    }

    /// Takes note of bytes that stand in the buffer now.
    fn took(&mut self, message: &RecvMsg, control: &mut RecvAncillaryBuffer<'_>) -> Received {
        let chunk = self.end;
        self.end += message.bytes;
        let truncated = message.flags.contains(ReturnFlags::CTRUNC);
        let mut with_fds = truncated;
        // Nearly every time there is nothing.
        let mut beside = control.drain();
        let first = beside.next();
        if truncated || first.is_some() {
            let fds = first.into_iter().chain(beside).filter_map(rights).flatten();
            let mut fds = fds.peekable();
            with_fds |= fds.peek().is_some();
            self.assign(chunk, fds, truncated);
        }
        Received::Bytes {
            more: with_fds || self.end == self.buffer.len(),
        }
    }

    /// Gives descriptors that came with the bytes from `chunk` on to the message that they belong to.
    fn assign(&mut self, chunk: usize, fds: impl Iterator<Item = OwnedFd>, truncated: bool) {
        let received = self.buffer.get(self.start..self.end).unwrap_or_default();
        if let Some(at) = owner(self.decoder, received, chunk - self.start) {
            self.fds.add(self.position + at as u64, fds, truncated);
        }
    }

    /// Returns whether received bytes are not yet part of a complete message.
    pub(crate) const fn has_received(&self) -> bool {
        self.start != self.end
    }

    /// The next whole message, or one that is refused.
    pub(crate) fn next_message(&mut self) -> Option<Result<Message<'_>, Invalid>> {
        if !self.has_received() {
            return None;
        }
        let received = self.buffer.get(self.start..self.end).unwrap_or_default();
        let mut batch = self.decoder.batch(received);
        let item = batch.next();
        let consumed = batch.consumed();
        self.start += consumed;
        self.position += consumed as u64;
        Some(match item? {
            Ok(frame) => Ok(Message {
                frame,
                fds: self.fds.take(self.position - frame.consumed() as u64),
            }),
            Err(invalid) => {
                self.fds.close_before(self.position);
                Err(invalid)
            }
        })
    }

    /// Gives the buffer back if nothing is in it.
    pub(crate) fn settle(&mut self, pool: &mut BufferPool) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            pool.put(take(&mut self.buffer));
        }
    }

    /// Sees to it that the buffer has room for the rest of an unfinished message, and more.
    fn make_room(&mut self, pool: &mut BufferPool) {
        if self.buffer.is_empty() {
            self.buffer = pool.take();
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            return;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let received = self.buffer.get(..self.end).unwrap_or_default();
        let needed = self.decoder.batch(received).needed();
        if self.buffer.len() < self.end.saturating_add(needed) {
            self.buffer.resize(self.end.saturating_add(needed), 0);
        }
    }
}

/// The descriptors in an ancillary message, if it holds any.
fn rights(message: RecvAncillaryMessage<'_>) -> Option<impl Iterator<Item = OwnedFd>> {
    match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    }
}

fn receive(
    socket: impl AsFd,
    room: &mut [u8],
    control: &mut RecvAncillaryBuffer<'_>,
) -> rustix::io::Result<RecvMsg> {
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(room)], control, flags) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests;
