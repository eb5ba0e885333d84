//! A socket to the server: messages out, whole messages with their descriptors in.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt,
};
use vfio_user_protocol::{Decoded, Header, Limits, decode};

use super::{ClientError, Options};
use crate::connection::MAX_MESSAGE_FDS;

/// Bytes that one receive takes at most, unless a single message is larger.
const BUFFER_SIZE: usize = 64 * 1024;

/// A whole message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
    /// Descriptors that came before or with a reply; a command has none.
    pub(super) files: Vec<OwnedFd>,
}

/// A socket with what has been received from it.
#[derive(Debug)]
pub(super) struct Channel {
    socket: OwnedFd,
    limits: Limits,
    buffer: Vec<u8>,
    /// The part of the buffer that has been received but not taken.
    start: usize,
    end: usize,
    /// Descriptors that wait for the reply that they belong to. With one request outstanding, that is
    /// the next reply.
    files: VecDeque<OwnedFd>,
}

impl Channel {
    pub(super) fn new(socket: OwnedFd, options: &Options) -> Result<Self, ClientError> {
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, options.timeout)?;
        Ok(Self {
            socket,
            limits: Limits::for_transfers(options.max_transfer()),
            buffer: Vec::new(),
            start: 0,
            end: 0,
            files: VecDeque::new(),
        })
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sends a message, with the descriptors beside its first byte.
    pub(super) fn send(&self, message: &[u8], files: &[BorrowedFd<'_>]) -> Result<(), ClientError> {
        if files.len() > MAX_MESSAGE_FDS {
            return Err(ClientError::Descriptors);
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_MESSAGE_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(files));
        }
        let mut rest = message;
        while !rest.is_empty() {
            let sent = sendmsg(
                &self.socket,
                &[IoSlice::new(rest)],
                &mut control,
                SendFlags::NOSIGNAL,
            );
            match sent {
                Ok(count) => {
                    control.clear();
                    rest = rest.get(count..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(ClientError::Closed),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Returns the next message that has been received whole.
    pub(super) fn next_message(&mut self) -> Result<Option<Message>, ClientError> {
        let received = self.buffer.get(self.start..self.end).unwrap_or_default();
        match decode(received, self.limits) {
            Decoded::Incomplete { needed } => {
                self.make_room(needed);
                Ok(None)
            }
            Decoded::Invalid(invalid) => Err(invalid.error.into()),
            Decoded::Message(frame) => {
                self.start += frame.consumed();
                let files = if frame.is_reply() {
                    self.files.drain(..).collect()
                } else {
                    Vec::new()
                };
                Ok(Some(Message {
                    header: frame.header,
                    payload: frame.payload.to_vec(),
                    files,
                }))
            }
        }
    }

    /// Takes what the socket has, without waiting for it.
    pub(super) fn receive(&mut self) -> Result<(), ClientError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_MESSAGE_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let message = match recvmsg(
            &self.socket,
            &mut [IoSliceMut::new(room)],
            &mut control,
            flags,
        ) {
            Ok(message) => message,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(Errno::CONNRESET) => return Err(ClientError::Closed),
            Err(errno) => return Err(errno.into()),
        };
        for beside in control.drain() {
            if let RecvAncillaryMessage::ScmRights(files) = beside {
                self.files.extend(files);
            }
        }
        let truncated = message.flags.contains(ReturnFlags::CTRUNC);
        if truncated || self.files.len() > MAX_MESSAGE_FDS {
            return Err(ClientError::Descriptors);
        }
        if message.bytes == 0 {
            return Err(ClientError::Closed);
        }
        self.end += message.bytes;
        Ok(())
    }

    /// Sees to it that the buffer has room for `needed` bytes more, which is within the limits.
    fn make_room(&mut self, needed: usize) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let room = self.end.saturating_add(needed).max(BUFFER_SIZE);
        if self.buffer.len() < room {
            self.buffer.resize(room, 0);
        }
    }
}

/// Waits until one of the channels has something to receive, and receives it. Returns whether one had
/// before `deadline`.
pub(super) fn wait(
    channels: &mut [&mut Channel],
    deadline: Option<Instant>,
) -> Result<bool, ClientError> {
    loop {
        let mut polled: Vec<PollFd<'_>> = channels
            .iter()
            .map(|channel| PollFd::from_borrowed_fd(channel.socket(), PollFlags::IN))
            .collect();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.map(Timespec::try_from).transpose();
        // A time that does not fit is for ever.
        match poll(&mut polled, left.unwrap_or_default().as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        for (channel, ready) in channels.iter_mut().zip(ready) {
            if ready {
                channel.receive()?;
            }
        }
        return Ok(true);
    }
}
