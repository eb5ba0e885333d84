//! DMA_UNMAP (3): take client memory back.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | argsz |
//! | 4 | 4 | flags |
//! | 8 | 8 | DMA address |
//! | 16 | 8 | size |
//! | 24 | 8 | page size of the bitmap, only with GET_DIRTY_BITMAP |
//! | 32 | 8 | size of the bitmap in bytes, same |
//! | 40 | | the bitmap, same, reply only |
//!
//! Request and reply share the layout. The flags are not in the specification; they are what
//! servers and clients carried over from the kernel's interface.
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::Errno;
//! use vfio_user_protocol::messages::dma_unmap::{Request, Target};
//!
//! let mut payload = Vec::new();
//! let request = Request { target: Target::Range { address: 0x1000, size: 0x1000 }, bitmap: None };
//! request.encode(&mut payload);
//! assert_eq!(Request::parse(&payload)?, request);
//! // An empty range.
//! payload[16..24].fill(0);
//! assert_eq!(Request::parse(&payload).unwrap_err().errno(), Errno::EINVAL);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::{Command, Subject};
use crate::error::{MessageError, check_argsz, check_field, check_length, check_range};
use crate::wire::{Put, Structure, len_u32};

pub use crate::vfio::DmaUnmapFlags;

const REQUEST: Subject = Command::DmaUnmap.request();
const REPLY: Subject = Command::DmaUnmap.reply();
const SIZE: usize = 24;
const BITMAP_HEAD_SIZE: usize = 16;

/// The range to unmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every mapping there is.
    All,
    /// The mappings inside a range that is neither empty nor wraps around.
    Range {
        /// First DMA address.
        address: u64,
        /// Length in bytes.
        size: u64,
    },
}

impl Target {
    const fn fields(self) -> (DmaUnmapFlags, u64, u64) {
        match self {
            Self::All => (DmaUnmapFlags::ALL, 0, 0),
            Self::Range { address, size } => (DmaUnmapFlags::empty(), address, size),
        }
    }

    fn encode(self, argsz: usize, bitmap: DmaUnmapFlags, out: &mut Vec<u8>) {
        let (flags, address, size) = self.fields();
        out.put_u32(len_u32(argsz));
        out.put_u32((flags | bitmap).bits());
        out.put_u64(address);
        out.put_u64(size);
    }
}

/// The dirty bitmap that a client wants with an unmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitmapRequest {
    /// Bytes that one bit stands for.
    pub page_size: u64,
    /// Room for the bitmap in bytes.
    pub size: u64,
}

/// DMA_UNMAP request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The range to remove.
    pub target: Target,
    /// The wish for a dirty bitmap, only ever with [`Target::Range`].
    pub bitmap: Option<BitmapRequest>,
}

impl Request {
    /// Reads and checks the form: flags, address and size 0 with ALL, a range otherwise, argsz with
    /// room for the bitmap.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        let (fields, rest) = Structure::<SIZE>::split(REQUEST, payload)?;
        let argsz = fields.u32::<0>();
        let (target, has_bitmap) = parse_head(REQUEST, fields)?;
        check_argsz(REQUEST, argsz, SIZE)?;
        let bitmap = if has_bitmap {
            Some(Self::parse_bitmap(argsz, rest)?)
        } else {
            None
        };
        Ok(Self { target, bitmap })
    }

    fn parse_bitmap(argsz: u32, rest: &[u8]) -> Result<BitmapRequest, MessageError> {
        let fields = Structure::<BITMAP_HEAD_SIZE>::read(REQUEST.part("dirty bitmap"), rest)?;
        let bitmap = BitmapRequest {
            page_size: fields.u64::<0>(),
            size: fields.u64::<8>(),
        };
        let least = bitmap.size.saturating_add((SIZE + BITMAP_HEAD_SIZE) as u64);
        if u64::from(argsz) < least {
            return Err(MessageError::Argsz {
                subject: REQUEST,
                argsz,
                least,
            });
        }
        Ok(bitmap)
    }

    /// Appends the request, with an argsz that leaves room for the whole reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Some(bitmap) = self.bitmap else {
            return self.target.encode(SIZE, DmaUnmapFlags::empty(), out);
        };
        let room = usize::try_from(bitmap.size).unwrap_or(usize::MAX);
        let argsz = room.saturating_add(SIZE + BITMAP_HEAD_SIZE);
        self.target
            .encode(argsz, DmaUnmapFlags::GET_DIRTY_BITMAP, out);
        out.put_u64(bitmap.page_size);
        out.put_u64(bitmap.size);
    }
}

/// The dirty pages of an unmapped range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bitmap<'a> {
    /// Bytes that one bit stands for.
    pub page_size: u64,
    /// The bits, in words of 64.
    pub data: &'a [u8],
}

/// DMA_UNMAP reply: the request again, with the bitmap filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The range that was removed.
    pub target: Target,
    /// The dirty pages, if they were asked for.
    pub bitmap: Option<Bitmap<'a>>,
}

impl<'a> Reply<'a> {
    /// Reads the reply; the bitmap has to be there in full.
    pub fn parse(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (fields, rest) = Structure::<SIZE>::split(REPLY, payload)?;
        let (target, has_bitmap) = parse_head(REPLY, fields)?;
        let bitmap = if has_bitmap {
            let (fields, data) =
                Structure::<BITMAP_HEAD_SIZE>::split(REPLY.part("dirty bitmap"), rest)?;
            check_length(REPLY, "bitmap", data, fields.u64::<8>())?;
            Some(Bitmap {
                page_size: fields.u64::<0>(),
                data,
            })
        } else {
            None
        };
        Ok(Self { target, bitmap })
    }

    /// Appends the reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Some(bitmap) = self.bitmap else {
            return self.target.encode(SIZE, DmaUnmapFlags::empty(), out);
        };
        let argsz = SIZE + BITMAP_HEAD_SIZE + bitmap.data.len();
        self.target
            .encode(argsz, DmaUnmapFlags::GET_DIRTY_BITMAP, out);
        out.put_u64(bitmap.page_size);
        out.put_u64(bitmap.data.len() as u64);
        out.put(bitmap.data);
    }
}

fn parse_head(
    subject: Subject,
    fields: Structure<'_, SIZE>,
) -> Result<(Target, bool), MessageError> {
    let flags = DmaUnmapFlags::from_bits_retain(fields.u32::<4>());
    let (address, size) = (fields.u64::<8>(), fields.u64::<16>());
    let valid = DmaUnmapFlags::all().contains(flags) && flags != DmaUnmapFlags::all();
    check_field(
        subject,
        "flags",
        flags.bits(),
        valid,
        "0, 1 (GET_DIRTY_BITMAP) or 2 (ALL)",
    )?;
    if flags.contains(DmaUnmapFlags::ALL) {
        check_field(subject, "address", address, address == 0, "0 with ALL")?;
        check_field(subject, "size", size, size == 0, "0 with ALL")?;
        return Ok((Target::All, false));
    }
    check_field(subject, "size", size, size > 0, "greater than 0")?;
    check_range(subject, "address", address, size)?;
    Ok((
        Target::Range { address, size },
        flags.contains(DmaUnmapFlags::GET_DIRTY_BITMAP),
    ))
}
