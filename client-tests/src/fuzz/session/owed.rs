//! The replies that a client may expect to its messages.

use vfio_user_protocol::{Command, Decoder, FrameError, Header, Invalid, Limits};

/// The server's limits. Before VERSION no message may be larger than VERSION itself; afterwards a
/// transfer has at most 1 MiB.
const BEFORE: Limits = Limits::for_transfers(0);
const AGREED: Limits = Limits::for_transfers(1 << 20);

/// A received reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) id: u16,
    pub(super) command: u16,
    pub(super) failed: bool,
}

/// Replies to the messages of a stream.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// Id and command of each reply, in order.
    pub(super) replies: Vec<(u16, u16)>,
    /// The connection ends after these replies.
    pub(super) ends: bool,
}

impl Owed {
    /// Returns the replies owed for all that was sent over a connection. The received replies tell
    /// whether VERSION was agreed on. Returns `None` if that is unknown because no reply was
    /// requested.
    pub(super) fn of(stream: &[u8], came: &[Reply]) -> Option<Self> {
        let mut owed = Self::default();
        let mut decoder = Decoder::new(BEFORE);
        let mut at = 0;
        loop {
            let mut batch = decoder.batch(stream.get(at..).unwrap_or_default());
            let item = batch.next();
            at += batch.consumed();
            match item {
                None => return Some(owed),
                Some(Ok(frame)) if frame.is_reply() && is_servers(frame.header.command) => {}
                Some(Ok(frame)) => {
                    let is_version = frame.header.command == Command::Version.number();
                    if is_version && !frame.is_reply() && decoder.limits() == BEFORE {
                        if !frame.header.wants_reply() {
                            return None;
                        }
                        let reply = came.get(owed.replies.len());
                        if reply.is_some_and(|reply| !reply.failed) {
                            decoder.set_limits(AGREED);
                        }
                    }
                    owed.add(&frame.header);
                }
                Some(Err(Invalid { header, error, .. })) => {
                    owed.add(&header);
                    if matches!(error, FrameError::SizeAboveLimit { .. }) {
                        owed.ends = true;
                        return Some(owed);
                    }
                }
            }
        }
    }

    fn add(&mut self, header: &Header) {
        if header.wants_reply() {
            self.replies.push((header.message_id, header.command));
        }
    }
}

/// Returns whether `bytes`, sent after all of `stream`, are exactly one message.
pub(super) fn is_one_message(stream: &[u8], bytes: &[u8]) -> bool {
    let mut decoder = Decoder::new(AGREED);
    let mut before = decoder.batch(stream);
    while before.next().is_some() {}
    let begins = before.consumed() == stream.len();
    let mut batch = decoder.batch(bytes);
    let message = batch.next();
    begins && message.is_some_and(|item| item.is_ok()) && batch.consumed() == bytes.len()
}

/// Returns whether the command is one that the server sends.
pub(super) fn is_servers(command: u16) -> bool {
    matches!(
        Command::try_from(command),
        Ok(Command::DmaRead | Command::DmaWrite)
    )
}
