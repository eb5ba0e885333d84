//! Writes messages in place: reserves the header, appends the body, then fills in the header with the
//! final size.
//!
//! ```
//! use vfio_user_protocol::messages::region_access::WriteRequest;
//! use vfio_user_protocol::{Command, Encoder};
//!
//! let mut output = Vec::new();
//! let mut message = Encoder::command(&mut output, 1, Command::RegionWrite);
//! WriteRequest::new(7, 4, &[2, 0]).encode(message.body());
//! message.finish()?;
//! assert_eq!(output.len(), 16 + 16 + 2);
//! # Ok::<(), vfio_user_protocol::MessageTooLong>(())
//! ```

use crate::command::Command;
use crate::errno::Errno;
use crate::header::{HEADER_SIZE, Header};

/// A message exceeds the range of its size field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a message of {length} bytes cannot be sent, the size field ends at {}",
    u32::MAX
)]
pub struct MessageTooLong {
    /// Header and body together.
    pub length: usize,
}

impl MessageTooLong {
    /// Returns the errno for the reply.
    pub const fn errno(&self) -> Errno {
        Errno::EMSGSIZE
    }
}

/// A message under construction at the end of an output buffer. Unless it is
/// [finished](Self::finish), dropping it removes its bytes from the buffer, so no partial message is
/// sent.
#[derive(Debug)]
pub struct Encoder<'v> {
    out: &'v mut Vec<u8>,
    header: Header,
    start: usize,
    finished: bool,
}

impl<'v> Encoder<'v> {
    /// Begins the reply to `request`.
    pub fn reply(out: &'v mut Vec<u8>, request: &Header) -> Self {
        Self::begin(out, request.reply())
    }

    /// Begins a command.
    pub fn command(out: &'v mut Vec<u8>, message_id: u16, command: Command) -> Self {
        Self::begin(out, Header::command(message_id, command))
    }

    /// Begins a message with this header; its size is filled in by [`Self::finish`].
    pub fn begin(out: &'v mut Vec<u8>, header: Header) -> Self {
        let start = out.len();
        out.resize(start + HEADER_SIZE, 0);
        Self {
            out,
            header,
            start,
            finished: false,
        }
    }

    /// Returns the buffer to which the caller appends the body. Earlier bytes in it must stay.
    pub const fn body(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Completes the message: writes its header with the final size.
    pub fn finish(mut self) -> Result<(), MessageTooLong> {
        let length = self.out.len().saturating_sub(self.start);
        let header = sized(self.header, length)?;
        if let Some(place) = self
            .out
            .get_mut(self.start..)
            .and_then(<[u8]>::first_chunk_mut)
        {
            *place = header.to_bytes();
            self.finished = true;
        }
        Ok(())
    }
}

impl Drop for Encoder<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}

fn sized(header: Header, length: usize) -> Result<Header, MessageTooLong> {
    match u32::try_from(length) {
        Ok(message_size) => Ok(Header {
            message_size,
            ..header
        }),
        Err(_) => Err(MessageTooLong { length }),
    }
}

/// Appends the error reply to `request`: 16 bytes, never a body.
pub fn error_reply(out: &mut Vec<u8>, request: &Header, errno: Errno) {
    request.error_reply(errno).encode(out);
}

/// Runs `body` and appends the reply to `request`: the bytes that `body` appended, an error reply if
/// `body` failed, or nothing if the request wants no reply.
pub fn respond(
    out: &mut Vec<u8>,
    request: &Header,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), Errno>,
) {
    let mut reply = Encoder::reply(out, request);
    let outcome = body(reply.body());
    if !request.wants_reply() {
        return;
    }
    if let Err(errno) = outcome.and_then(|()| reply.finish().map_err(|error| error.errno())) {
        error_reply(out, request, errno);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::HeaderFlags;

    fn request(flags: HeaderFlags) -> Header {
        Header {
            flags,
            ..Header::command(0x0bad, Command::RegionRead)
        }
    }

    #[test]
    fn a_reply_echoes_id_and_command_and_has_its_own_size() {
        let mut out = vec![0xee];
        let mut reply = Encoder::reply(&mut out, &request(HeaderFlags::empty()));
        reply.body().extend_from_slice(b"abc");
        reply.finish().unwrap();
        let header = Header::parse(&out[1..]).unwrap();
        assert_eq!(
            (header.message_id, header.command),
            (0x0bad, Command::RegionRead.number())
        );
        assert_eq!(
            (header.message_size, header.flags, header.failure()),
            (19, HeaderFlags::REPLY, None)
        );
        assert_eq!((out[0], &out[17..]), (0xee, &b"abc"[..]));
    }

    #[test]
    fn an_unfinished_message_leaves_nothing_behind() {
        let mut out = vec![1, 2];
        let mut command = Encoder::command(&mut out, 1, Command::DmaRead);
        command.body().push(3);
        drop(command);
        assert_eq!(out, [1, 2]);
    }

    #[test]
    fn a_failed_response_is_a_bare_header() {
        let mut out = Vec::new();
        respond(&mut out, &request(HeaderFlags::empty()), |body| {
            body.push(1);
            Err(Errno::ENOTTY)
        });
        let header = Header::parse(&out).unwrap();
        assert_eq!((out.len(), header.message_size), (16, 16));
        assert_eq!(header.flags, HeaderFlags::REPLY | HeaderFlags::ERROR);
        assert_eq!(header.failure(), Some(Errno::ENOTTY));
    }

    #[test]
    fn no_reply_means_none_for_success_and_failure() {
        for outcome in [Ok(()), Err(Errno::EIO)] {
            let mut out = Vec::new();
            let mut ran = false;
            respond(&mut out, &request(HeaderFlags::NO_REPLY), |body| {
                ran = true;
                body.push(1);
                outcome
            });
            assert!(ran && out.is_empty());
        }
    }

    #[test]
    fn a_size_beyond_32_bits_is_refused() {
        let header = request(HeaderFlags::empty());
        let limit = u32::MAX as usize;
        assert_eq!(sized(header, limit).unwrap().message_size, u32::MAX);
        assert_eq!(
            sized(header, limit + 1),
            Err(MessageTooLong { length: limit + 1 })
        );
    }
}
