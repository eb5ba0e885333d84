//! Received messages that wait for a deferred reply. The server reads them from the socket nevertheless,
//! because replies to its own commands may follow them.

use std::collections::VecDeque;

use vfio_user_protocol::{Frame, HEADER_SIZE, Header, Invalid};

use crate::connection::{Descriptors, Message};

/// Descriptors that may wait here before the rest has to wait in the socket.
const MAX_DESCRIPTORS: usize = 64;

/// The messages, in their order.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    messages: VecDeque<Result<Kept, Invalid>>,
    bytes: usize,
    descriptors: usize,
}

/// A message that nothing else holds.
#[derive(Debug)]
pub(super) struct Kept {
    header: Header,
    payload: Vec<u8>,
    fds: Descriptors,
}

impl Kept {
    fn bytes(&self) -> usize {
        HEADER_SIZE + self.payload.len()
    }

    fn descriptors(&self) -> usize {
        self.fds.as_ref().map_or(0, Vec::len)
    }

    /// The message as it was received, its bytes in `payload` from now on.
    pub(super) fn into_message(self, payload: &mut Vec<u8>) -> Message<'_> {
        *payload = self.payload;
        Message {
            frame: Frame {
                header: self.header,
                payload,
            },
            fds: self.fds,
        }
    }
}

impl Deferred {
    /// Returns whether no message waits.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Has a message wait.
    pub(super) fn push(&mut self, message: Result<Message<'_>, Invalid>) {
        self.messages.push_back(message.map(|message| {
            let kept = Kept {
                header: message.frame.header,
                payload: message.frame.payload.to_vec(),
                fds: message.fds,
            };
            self.bytes += kept.bytes();
            self.descriptors += kept.descriptors();
            kept
        }));
    }

    /// Has a command wait, with nothing but its bytes, that is to be served again before all others.
    pub(super) fn push_front(&mut self, header: Header, payload: Vec<u8>) {
        let kept = Kept {
            header,
            payload,
            fds: Ok(Vec::new()),
        };
        self.bytes += kept.bytes();
        self.messages.push_front(Ok(kept));
    }

    /// The one that has waited longest, if none has to wait any more.
    pub(super) fn pop_if(&mut self, served: bool) -> Option<Result<Kept, Invalid>> {
        if !served {
            return None;
        }
        let message = self.messages.pop_front()?;
        if let Ok(kept) = &message {
            self.bytes -= kept.bytes();
            self.descriptors -= kept.descriptors();
        }
        Some(message)
    }

    /// Returns whether no further message may be added, with a limit of `most` bytes. Nothing is added after
    /// a refused message, since the stream may be unusable there.
    pub(super) fn is_full(&self, most: usize) -> bool {
        self.bytes > most
            || self.descriptors > MAX_DESCRIPTORS
            || self.messages.back().is_some_and(Result::is_err)
    }
}
