//! To which message file descriptors belong.
//!
//! On a stream socket descriptors lie between bytes: they travel with the first byte of the
//! sendmsg(2) they were passed to. A recvmsg(2) may begin with bytes of earlier sends that had
//! none; it ends, at the latest, with the send whose descriptors it returns (unix(7): ancillary
//! data is a barrier). So, of the messages in what one recvmsg returned, the descriptors are those
//! of the *last* send:
//!
//! - A client that sends one message at a time means the last message, be it whole or only begun.
//! - A client that sends several at once means one that takes descriptors. Where more than one
//!   does, the last is as good a guess as any, since no receiver could tell.
//!
//! Hence the rule: descriptors are those of the last message that has bytes in what the recvmsg
//! returned and whose command takes descriptors, or whose command is not known yet; if there is no
//! such message, of the last one, which is then refused.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use vfio_user_protocol::messages::device_feature::{Feature, Request};
use vfio_user_protocol::{Command, Decoder, Frame, Header};

/// The feature that takes a descriptor.
const WITH_DESCRIPTOR: u16 = Feature::LowPowerEntryWithWakeup.number();

/// Descriptors that a message may carry at most.
pub(crate) const MAX_MESSAGE_FDS: usize = 16;

/// More descriptors came with a message than it may carry, or than the process can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "more file descriptors came than a message may have, or than the process may have open; \
     VERSION says how many it may have"
)]
pub(crate) struct TooManyDescriptors;

/// The descriptors with one message.
pub(crate) type Descriptors = Result<Vec<OwnedFd>, TooManyDescriptors>;

/// Descriptors that wait for their message to be whole. Messages are named by the position of
/// their first byte in the stream.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    fds: VecDeque<(u64, OwnedFd)>,
    /// The last message that came with too many.
    overflow: Option<u64>,
}

impl Waiting {
    /// Adds what came for a message, which is never before one that descriptors came for earlier.
    pub(super) fn add(
        &mut self,
        message: u64,
        fds: impl Iterator<Item = OwnedFd>,
        truncated: bool,
    ) {
        if truncated {
            self.overflow = Some(message);
        }
        for fd in fds {
            let present = self
                .fds
                .iter()
                .rev()
                .take_while(|(of, _)| *of == message)
                .count();
            if present < MAX_MESSAGE_FDS {
                self.fds.push_back((message, fd));
            } else {
                self.overflow = Some(message);
            }
        }
    }

    /// Gives out what belongs to a message and closes what belongs to those before it.
    pub(super) fn take(&mut self, message: u64) -> Descriptors {
        if self.fds.is_empty() && self.overflow.is_none() {
            return Ok(Vec::new());
        }
        self.close_before(message);
        let count = self.fds.iter().take_while(|(of, _)| *of == message).count();
        let fds = self.fds.drain(..count).map(|(_, fd)| fd).collect();
        match self.overflow.take_if(|of| *of == message) {
            Some(_) => Err(TooManyDescriptors),
            None => Ok(fds),
        }
    }

    /// Closes what belongs to messages that begin before `position`.
    pub(super) fn close_before(&mut self, position: u64) {
        let count = self.fds.iter().take_while(|(of, _)| *of < position).count();
        self.fds.drain(..count);
        self.overflow.take_if(|of| *of < position);
    }
}

/// Finds the message that descriptors belong to which a recvmsg returned with the bytes of
/// `received` from `chunk` on. `received` begins where `decoder` stands; so does the offset that
/// comes back. `None`: there are only bytes of a message that has been refused.
pub(super) fn owner(mut decoder: Decoder, received: &[u8], chunk: usize) -> Option<usize> {
    let (mut taker, mut last) = (None, None);
    let mut batch = decoder.batch(received);
    let mut start = batch.consumed();
    while let Some(item) = batch.next() {
        if batch.consumed() > chunk {
            last = Some(start);
            if item.is_ok_and(|frame| takes_descriptors(&frame)) {
                taker = Some(start);
            }
        }
        start = batch.consumed();
    }
    let begun = received.get(start..).unwrap_or_default();
    if !begun.is_empty() {
        last = Some(start);
        if Header::parse(begun).is_none_or(|header| may_take_descriptors(&header)) {
            taker = Some(start);
        }
    }
    taker.or(last)
}

/// Of features only the one with a wake-up eventfd takes a descriptor.
fn takes_descriptors(frame: &Frame<'_>) -> bool {
    let other_feature = frame.header.command == Command::DeviceFeature.number()
        && Request::parse(frame.payload).is_ok_and(|request| request.feature != WITH_DESCRIPTOR);
    may_take_descriptors(&frame.header) && !other_feature
}

fn may_take_descriptors(header: &Header) -> bool {
    matches!(
        Command::try_from(header.command),
        Ok(Command::DmaMap | Command::DeviceSetIrqs | Command::DeviceFeature)
    )
}
