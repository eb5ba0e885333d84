//! DEVICE_GET_REGION_IO_FDS (6): file descriptors that stand for accesses to parts of a region.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 4 | argsz |
//! | 4 | 4 | flags, 0 |
//! | 8 | 4 | region |
//! | 12 | 4 | count: 0 in a request, entries in the reply |
//! | 16 | 40·n or 48·n | entries (reply) |
//!
//! The specification's entry has 40 bytes, libvfio-user's has 48 and one more kind; a client tells
//! them apart by argsz and count. The descriptors travel beside the reply, each once, and entries
//! name them by position.
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::messages::region_io_fds::{Entry, Kind, Layout, RegionIoFds, Reply};
//!
//! let mut answer = Vec::new();
//! let kind = Kind::Ioeventfd { datamatch: 0 };
//! let entries = vec![Entry { offset: 0x10, size: 4, fd_index: 0, flags: 0, kind }];
//! let fds = RegionIoFds { index: 0, entries };
//! fds.encode(Layout::Specified, 4096, &mut answer);
//! assert_eq!(Reply::parse(&answer)?.fds, fds);
//! assert!(Reply::parse(&answer[..40]).is_err());
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::{Command, Subject};
use crate::error::{MessageError, check_argsz, check_field, check_length};
use crate::wire::{Put, Structure, len_u32};

const REQUEST: Subject = Command::DeviceGetRegionIoFds.request();
const REPLY: Subject = Command::DeviceGetRegionIoFds.reply();
const SIZE: usize = 16;
const SPECIFIED: usize = 40;
const EXTENDED: usize = 48;

/// The `fd_index` of an entry without a descriptor.
pub const NO_FD: u32 = u32::MAX;

/// DEVICE_GET_REGION_IO_FDS request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Largest reply payload the client takes, at least 16.
    pub argsz: u32,
    /// Region.
    pub index: u32,
}

impl Request {
    /// Reads the request; flags and count have to be 0.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        let fields = Structure::<SIZE>::read(REQUEST, payload)?;
        let (flags, count) = (fields.u32::<4>(), fields.u32::<12>());
        check_field(REQUEST, "flags", flags, flags == 0, "0")?;
        check_field(REQUEST, "count", count, count == 0, "0")?;
        check_argsz(REQUEST, fields.u32::<0>(), SIZE)?;
        Ok(Self {
            argsz: fields.u32::<0>(),
            index: fields.u32::<8>(),
        })
    }

    /// Appends the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for field in [self.argsz, 0, self.index, 0] {
            out.put_u32(field);
        }
    }
}

/// The two layouts of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// 40 bytes, as specified. Cannot express [`Kind::ShadowIoeventfd`].
    Specified,
    /// 48 bytes, as libvfio-user and its clients have it.
    Extended,
}

impl Layout {
    /// Bytes in an entry.
    pub const fn entry_size(self) -> usize {
        match self {
            Self::Specified => SPECIFIED,
            Self::Extended => EXTENDED,
        }
    }
}

/// The effect of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A write is an eventfd signal.
    Ioeventfd {
        /// The value that a write has to have, if the flags say so.
        datamatch: u64,
    },
    /// Accesses become messages on a socket.
    Ioregionfd {
        /// Repeated in each message.
        user_data: u64,
    },
    /// A write is stored in shared memory and signalled.
    ShadowIoeventfd {
        /// The descriptor of the shared memory.
        shadow_mem_fd_index: u32,
        /// Offset of the value in the shared memory.
        shadow_offset: u64,
        /// The value that a write has to have, if the flags say so.
        datamatch: u64,
    },
}

/// A part of a region that has a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Offset in the region.
    pub offset: u64,
    /// Length in bytes; 0 for any.
    pub size: u64,
    /// Which of the descriptors that came with the reply; [`NO_FD`] for none.
    pub fd_index: u32,
    /// KVM's flags for this kind.
    pub flags: u32,
    /// The effect of the descriptor.
    pub kind: Kind,
}

impl Entry {
    /// The fields of the kind: number, shadow memory index, 64-bit fields at 32 and at 40.
    const fn kind_fields(&self, layout: Layout) -> (u32, u32, u64, u64) {
        match (self.kind, layout) {
            (Kind::Ioeventfd { datamatch }, Layout::Specified) => (0, 0, datamatch, 0),
            (Kind::Ioeventfd { datamatch }, Layout::Extended) => (0, 0, 0, datamatch),
            (Kind::Ioregionfd { user_data }, _) => (1, 0, user_data, 0),
            (
                Kind::ShadowIoeventfd {
                    shadow_mem_fd_index,
                    shadow_offset,
                    datamatch,
                },
                _,
            ) => (2, shadow_mem_fd_index, shadow_offset, datamatch),
        }
    }

    fn encode(&self, layout: Layout, out: &mut Vec<u8>) {
        let (number, shadow_mem_fd_index, at_32, at_40) = self.kind_fields(layout);
        out.put_u64(self.offset);
        out.put_u64(self.size);
        for field in [self.fd_index, number, self.flags, shadow_mem_fd_index] {
            out.put_u32(field);
        }
        out.put_u64(at_32);
        if layout == Layout::Extended {
            out.put_u64(at_40);
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let subject = REPLY.part("entry");
        let (fields, rest) = Structure::<SPECIFIED>::split(subject, bytes)?;
        let extension = Structure::<{ EXTENDED - SPECIFIED }>::at_start(rest);
        let datamatch = |at_32| extension.map_or(at_32, |extension| extension.u64::<0>());
        let at_32 = fields.u64::<32>();
        let number = fields.u32::<20>();
        let kind = match (number, extension) {
            (0, _) => Kind::Ioeventfd {
                datamatch: datamatch(at_32),
            },
            (1, _) => Kind::Ioregionfd { user_data: at_32 },
            (2, Some(extension)) => Kind::ShadowIoeventfd {
                shadow_mem_fd_index: fields.u32::<28>(),
                shadow_offset: at_32,
                datamatch: extension.u64::<0>(),
            },
            _ => {
                let expected = "0, 1 or, in entries of 48 bytes, 2";
                return Err(MessageError::Field {
                    subject,
                    field: "type",
                    value: number.into(),
                    expected,
                });
            }
        };
        let (offset, size) = (fields.u64::<0>(), fields.u64::<8>());
        Ok(Self {
            offset,
            size,
            fd_index: fields.u32::<16>(),
            flags: fields.u32::<24>(),
            kind,
        })
    }
}

/// The descriptors of a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionIoFds {
    /// Region.
    pub index: u32,
    /// Its parts.
    pub entries: Vec<Entry>,
}

impl RegionIoFds {
    /// Bytes in the full reply.
    pub fn full_size(&self, layout: Layout) -> u32 {
        let entries = self.entries.len().saturating_mul(layout.entry_size());
        len_u32(entries.saturating_add(SIZE))
    }

    /// Returns whether the entries fit a client with this argsz.
    pub fn fits(&self, layout: Layout, argsz: u32) -> bool {
        self.full_size(layout) <= argsz
    }

    /// Appends the reply for a client that takes `argsz` bytes: with the entries if [they
    /// fit](Self::fits), otherwise with a count of 0 and the argsz that they need.
    pub fn encode(&self, layout: Layout, argsz: u32, out: &mut Vec<u8>) {
        let entries: &[Entry] = if self.fits(layout, argsz) {
            &self.entries
        } else {
            &[]
        };
        for field in [
            self.full_size(layout),
            0,
            self.index,
            len_u32(entries.len()),
        ] {
            out.put_u32(field);
        }
        for entry in entries {
            entry.encode(layout, out);
        }
    }
}

/// DEVICE_GET_REGION_IO_FDS reply as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Bytes in the full reply. Larger than what came: ask again with this argsz.
    pub argsz: u32,
    /// The region, with the entries that came.
    pub fds: RegionIoFds,
}

impl Reply {
    /// Reads the reply. The size of an entry follows from what came and how many entries it is said
    /// to be.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        let (fields, rest) = Structure::<SIZE>::split(REPLY, payload)?;
        let argsz = fields.u32::<0>();
        check_argsz(REPLY, argsz, SIZE)?;
        let entries = parse_entries(fields.u32::<12>(), rest)?;
        Ok(Self {
            argsz,
            fds: RegionIoFds {
                index: fields.u32::<8>(),
                entries,
            },
        })
    }
}

fn parse_entries(count: u32, bytes: &[u8]) -> Result<Vec<Entry>, MessageError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let count = count as usize;
    let stride = if bytes.len() == count.saturating_mul(SPECIFIED) {
        SPECIFIED
    } else {
        EXTENDED
    };
    check_length(
        REPLY,
        "entries",
        bytes,
        (count as u64).saturating_mul(stride as u64),
    )?;
    bytes.chunks_exact(stride).map(Entry::parse).collect()
}
