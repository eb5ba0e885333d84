//! DEVICE_GET_REGION_INFO (5): size, permissions and mappable areas of one region.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | argsz |
//! | 4 | 4 | flags (reply) |
//! | 8 | 4 | index |
//! | 12 | 4 | offset of the first capability from the start of this structure, 0 = none (reply) |
//! | 16 | 8 | size of the region (reply) |
//! | 24 | 8 | offset in the file that travels beside the reply |
//!
//! A client whose argsz has no room for the capabilities gets the fixed part alone, with the argsz
//! that it needs, and asks again.
//!
//! # Example
//!
//! A client with room for the fixed part alone learns the argsz that it needs:
//!
//! ```
//! use vfio_user_protocol::messages::region_info::{Capability, RegionInfo, Reply};
//!
//! let (mut short, mut full) = (Vec::new(), Vec::new());
//! let info = RegionInfo { capabilities: vec![Capability::MsixMappable], ..RegionInfo::absent(0) };
//! info.encode(32, &mut short);
//! let argsz = Reply::parse(&short)?.argsz;
//! assert_eq!(argsz, info.full_size());
//! info.encode(argsz, &mut full);
//! assert_eq!(Reply::parse(&full)?.info, info);
//! assert!(Reply::parse(&full[..36]).is_err());
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::{Command, Subject};
use crate::error::{MessageError, check_argsz, check_field};
use crate::wire::{Put, Structure, len_u32};

mod capability;

pub use crate::vfio::RegionFlags;
pub use capability::{Capability, FdArea, SparseArea};

const REQUEST: Subject = Command::DeviceGetRegionInfo.request();
const REPLY: Subject = Command::DeviceGetRegionInfo.reply();
const SIZE: usize = 32;

/// DEVICE_GET_REGION_INFO request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Largest reply payload the client takes, at least 32.
    pub argsz: u32,
    /// Region.
    pub index: u32,
}

impl Request {
    /// Reads the request. Everything but argsz and index is ignored.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        let fields = Structure::<SIZE>::read(REQUEST, payload)?;
        check_argsz(REQUEST, fields.u32::<0>(), SIZE)?;
        Ok(Self {
            argsz: fields.u32::<0>(),
            index: fields.u32::<8>(),
        })
    }

    /// Appends the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for field in [self.argsz, 0, self.index] {
            out.put_u32(field);
        }
        out.put(&[0; SIZE - 12]);
    }
}

/// A region. A server builds one per region when it starts and encodes it whenever it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionInfo {
    /// Its properties, without [`RegionFlags::CAPS`].
    pub flags: RegionFlags,
    /// Region.
    pub index: u32,
    /// Size in bytes, 0 for a region that is not there.
    pub size: u64,
    /// Offset of the region in the file.
    pub offset: u64,
    /// Further facts, in the order of the chain.
    pub capabilities: Vec<Capability>,
}

impl RegionInfo {
    /// A region that is not there.
    pub const fn absent(index: u32) -> Self {
        Self {
            flags: RegionFlags::empty(),
            index,
            size: 0,
            offset: 0,
            capabilities: Vec::new(),
        }
    }

    /// Bytes in the full reply: what argsz has to be at least.
    pub fn full_size(&self) -> u32 {
        len_u32(
            self.capabilities
                .iter()
                .map(Capability::size)
                .fold(SIZE, usize::saturating_add),
        )
    }

    /// Returns whether the capabilities fit a client with this argsz.
    pub fn fits(&self, argsz: u32) -> bool {
        self.full_size() <= argsz
    }

    /// Appends the reply for a client that takes `argsz` bytes: with capabilities if [they
    /// fit](Self::fits), without otherwise.
    pub fn encode(&self, argsz: u32, out: &mut Vec<u8>) {
        let chain: &[Capability] = if self.fits(argsz) {
            &self.capabilities
        } else {
            &[]
        };
        let (caps, cap_offset) = if chain.is_empty() {
            (RegionFlags::empty(), 0)
        } else {
            (RegionFlags::CAPS, len_u32(SIZE))
        };
        for field in [
            self.full_size(),
            ((self.flags - RegionFlags::CAPS) | caps).bits(),
            self.index,
            cap_offset,
        ] {
            out.put_u32(field);
        }
        out.put_u64(self.size);
        out.put_u64(self.offset);
        capability::encode_chain(chain, SIZE, out);
    }
}

/// DEVICE_GET_REGION_INFO reply as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Bytes in the full reply. Larger than what came: ask again with this argsz.
    pub argsz: u32,
    /// The region, with the capabilities that came.
    pub info: RegionInfo,
}

impl Reply {
    /// Reads the reply and its capability chain, which has to run forwards and to end within the
    /// payload.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        let fields = Structure::<SIZE>::read(REPLY, payload)?;
        let argsz = fields.u32::<0>();
        check_argsz(REPLY, argsz, SIZE)?;
        let flags = RegionFlags::from_bits_retain(fields.u32::<4>());
        let cap_offset = fields.u32::<12>();
        let capabilities = if flags.contains(RegionFlags::CAPS) && cap_offset != 0 {
            let behind = cap_offset as usize >= SIZE;
            check_field(
                REPLY,
                "cap_offset",
                cap_offset,
                behind,
                "0 or behind the fixed part (32)",
            )?;
            capability::parse_chain(REPLY, payload, cap_offset)?
        } else {
            Vec::new()
        };
        let info = RegionInfo {
            flags: flags - RegionFlags::CAPS,
            index: fields.u32::<8>(),
            size: fields.u64::<16>(),
            offset: fields.u64::<24>(),
            capabilities,
        };
        Ok(Self { argsz, info })
    }
}

#[cfg(test)]
mod tests;
