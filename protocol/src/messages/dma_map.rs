//! DMA_MAP (2): a piece of client memory that the server may reach. No reply payload.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | argsz, the structure's own length (32) |
//! | 4 | 4 | flags |
//! | 8 | 8 | offset into the file |
//! | 16 | 8 | DMA address |
//! | 24 | 8 | size |
//!
//! The file, if there is one, travels beside the message.
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::Errno;
//! use vfio_user_protocol::messages::dma_map::{DmaMapFlags, Request};
//!
//! let mut payload = Vec::new();
//! let request = Request { flags: DmaMapFlags::READ, offset: 0, address: 0x10_0000, size: 0x1000 };
//! request.encode(&mut payload);
//! assert_eq!(Request::parse(&payload)?, request);
//! assert_eq!(request.last_address(), 0x10_0fff);
//! // There is at most one file.
//! assert_eq!(request.check_descriptors(2).unwrap_err().errno(), Errno::EINVAL);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::{Command, Subject};
use crate::error::{MessageError, check_argsz, check_field, check_range};
use crate::wire::{Put, Structure, len_u32};

pub use crate::vfio::DmaMapFlags;

const SUBJECT: Subject = Command::DmaMap.request();
const SIZE: usize = 32;

/// DMA_MAP request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Permissions and access mode.
    pub flags: DmaMapFlags,
    /// Offset of the memory in the file.
    pub offset: u64,
    /// First DMA address.
    pub address: u64,
    /// Length in bytes, never 0.
    pub size: u64,
}

impl Request {
    /// Reads and checks the form: known flags, at most one access mode, a range that is neither
    /// empty nor wraps around.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        let fields = Structure::<SIZE>::read(SUBJECT, payload)?;
        check_argsz(SUBJECT, fields.u32::<0>(), SIZE)?;
        let flags = DmaMapFlags::from_bits_retain(fields.u32::<4>());
        let both_modes = DmaMapFlags::ACCESS_MMAP | DmaMapFlags::ACCESS_FILE_IO;
        let valid = DmaMapFlags::all().contains(flags) && !flags.contains(both_modes);
        check_field(
            SUBJECT,
            "flags",
            flags.bits(),
            valid,
            "a set of bits 0 to 3 without 2 and 3 together",
        )?;
        let request = Self {
            flags,
            offset: fields.u64::<8>(),
            address: fields.u64::<16>(),
            size: fields.u64::<24>(),
        };
        check_field(
            SUBJECT,
            "size",
            request.size,
            request.size > 0,
            "greater than 0",
        )?;
        check_range(SUBJECT, "address", request.address, request.size)?;
        check_range(SUBJECT, "offset", request.offset, request.size)?;
        Ok(request)
    }

    /// Appends the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(len_u32(SIZE));
        out.put_u32(self.flags.bits());
        out.put_u64(self.offset);
        out.put_u64(self.address);
        out.put_u64(self.size);
    }

    /// The last DMA address of the range.
    pub const fn last_address(&self) -> u64 {
        self.address.saturating_add(self.size.saturating_sub(1))
    }

    /// Refuses more than one file, and an access mode without a file to use it on.
    pub const fn check_descriptors(&self, count: usize) -> Result<(), MessageError> {
        let needs_file = self
            .flags
            .intersects(DmaMapFlags::ACCESS_MMAP.union(DmaMapFlags::ACCESS_FILE_IO));
        let expected = match (count, needs_file) {
            (0, false) | (1, _) => return Ok(()),
            (_, true) => "exactly 1, because an access mode is set",
            (_, false) => "at most 1",
        };
        Err(MessageError::Descriptors {
            subject: SUBJECT,
            actual: count,
            expected,
        })
    }
}
