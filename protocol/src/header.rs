//! The 16 bytes that open every message.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 2 | message id, chosen by the sender of the command and echoed in the reply |
//! | 2 | 2 | command number |
//! | 4 | 4 | size of the whole message, header included |
//! | 8 | 4 | flags: bits 0-3 type (0 command, 1 reply), 4 no reply wanted, 5 error |
//! | 12 | 4 | errno of an error reply |
//!
//! ```
//! use vfio_user_protocol::{Command, Errno, Header};
//!
//! let command = Header::command(7, Command::DeviceReset);
//! assert!(command.wants_reply());
//! let reply = Header::parse(&command.error_reply(Errno::EIO).to_bytes()).expect("16 bytes");
//! assert_eq!((reply.message_id, reply.failure()), (7, Some(Errno::EIO)));
//! ```

use bitflags::bitflags;
use byteorder::{ByteOrder, NativeEndian};

use crate::command::Command;
use crate::errno::Errno;
use crate::message_type::MessageType;
use crate::wire::{Put, Structure};

/// Size of the header in bytes.
pub const HEADER_SIZE: usize = 16;

bitflags! {
    /// The header's flag word. Bits without a meaning are kept, so that a message can be passed on
    /// as it came.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct HeaderFlags: u32 {
        /// Type nibble 1. The nibble is a number, not a bit: ask [`HeaderFlags::message_type`].
        const REPLY = 0x1;
        /// The sender of the command wants no reply.
        const NO_REPLY = 0x10;
        /// The reply reports a failure; `error` is its errno.
        const ERROR = 0x20;
        const _ = !0;
    }
}

impl HeaderFlags {
    const TYPE_MASK: u32 = 0xf;

    /// Returns the number in the type nibble.
    pub const fn type_nibble(self) -> u32 {
        self.bits() & Self::TYPE_MASK
    }

    /// Returns the type, or `None` for a nibble that the protocol does not define.
    pub const fn message_type(self) -> Option<MessageType> {
        match self.type_nibble() {
            0 => Some(MessageType::Command),
            1 => Some(MessageType::Reply),
            _ => None,
        }
    }
}

/// A message header. The command stays a number, because an unknown one is answered, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Echoed in the reply; need not be unique.
    pub message_id: u16,
    /// Command number; see [`Command`].
    pub command: u16,
    /// Bytes in the whole message.
    pub message_size: u32,
    /// Type, no-reply and error bits.
    pub flags: HeaderFlags,
    /// Errno of an error reply; reserved otherwise.
    pub error: u32,
}

impl Header {
    /// The header of a command with `payload` bytes still to be added to its size.
    pub const fn command(message_id: u16, command: Command) -> Self {
        Self {
            message_id,
            command: command.number(),
            message_size: HEADER_SIZE as u32,
            flags: HeaderFlags::empty(),
            error: 0,
        }
    }

    /// Returns the header of the bare, successful reply to this command.
    pub const fn reply(&self) -> Self {
        Self {
            message_size: HEADER_SIZE as u32,
            flags: HeaderFlags::REPLY,
            error: 0,
            ..*self
        }
    }

    /// Returns the error reply to this command, which is only a header.
    pub const fn error_reply(&self, errno: Errno) -> Self {
        Self {
            flags: HeaderFlags::REPLY.union(HeaderFlags::ERROR),
            error: errno.0.cast_unsigned(),
            ..self.reply()
        }
    }

    /// Returns the error of an error reply. An error reply with errno 0 is valid and still an error.
    pub const fn failure(&self) -> Option<Errno> {
        if self.flags.contains(HeaderFlags::ERROR) {
            Some(Errno(self.error.cast_signed()))
        } else {
            None
        }
    }

    /// Returns whether the sender of this command waits for a reply.
    pub const fn wants_reply(&self) -> bool {
        !self.flags.contains(HeaderFlags::NO_REPLY)
    }

    /// Reads the header at the start of `bytes`; `None` when there are fewer than [`HEADER_SIZE`].
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let fields = Structure::<HEADER_SIZE>::at_start(bytes)?;
        Some(Self {
            message_id: fields.u16::<0>(),
            command: fields.u16::<2>(),
            message_size: fields.u32::<4>(),
            flags: HeaderFlags::from_bits_retain(fields.u32::<8>()),
            error: fields.u32::<12>(),
        })
    }

    /// Appends the header.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put(&self.to_bytes());
    }

    /// The header as it stands on the wire.
    pub fn to_bytes(&self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        NativeEndian::write_u16(&mut bytes[0..2], self.message_id);
        NativeEndian::write_u16(&mut bytes[2..4], self.command);
        NativeEndian::write_u32(&mut bytes[4..8], self.message_size);
        NativeEndian::write_u32(&mut bytes[8..12], self.flags.bits());
        NativeEndian::write_u32(&mut bytes[12..16], self.error);
        bytes
    }
}
