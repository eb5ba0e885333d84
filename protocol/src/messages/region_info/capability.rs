//! The capability chain of a region.
//!
//! Each link begins with {id u16, version u16, next u32}; `next` counts from the start of the
//! region's structure, 0 ends the chain.

use crate::command::Subject;
use crate::error::{MessageError, check_field};
use crate::vfio::kernel;
use crate::wire::{Put, Structure, len_u32};

const LINK_SIZE: usize = 8;
const AREAS_HEAD_SIZE: usize = 8;
const SPARSE_AREA_SIZE: usize = 16;
const FD_AREA_SIZE: usize = 32;
const TYPE_SIZE: usize = 8;
const VERSION: u16 = 1;
/// Links stay aligned for the 64-bit fields that some of them hold.
const ALIGNMENT: usize = 8;

/// A part of a region that can be mapped from the region's one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SparseArea {
    /// Offset in the region; the region's own offset in the file comes on top.
    pub offset: u64,
    /// Length in bytes.
    pub size: u64,
}

/// A part of a region that can be mapped from one of several files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FdArea {
    /// Offset in the region.
    pub offset: u64,
    /// Offset in the file.
    pub fd_offset: u64,
    /// Length in bytes.
    pub size: u64,
    /// Which of the files that came with the reply.
    pub fd_index: u32,
}

/// A further fact about a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Only these areas can be mapped, all from one file.
    SparseMmap(Vec<SparseArea>),
    /// The purpose of a device-specific region.
    Type {
        /// Kind, or vendor with bit 31 set.
        kind: u32,
        /// Meaning within the kind.
        subtype: u32,
    },
    /// The pages of the MSI-X table may be mapped, too.
    MsixMappable,
    /// Only these areas can be mapped, from several files. For clients that offered
    /// `sparse_mmap_fds`, and never together with [`Self::SparseMmap`] on a region.
    SparseMmapFds(Vec<FdArea>),
    /// A capability that this crate does not know. It has no body here, so it cannot be passed on.
    Unknown {
        /// Number.
        id: u16,
        /// Version.
        version: u16,
    },
}

impl Capability {
    /// Number of [`Self::SparseMmap`].
    pub const SPARSE_MMAP: u16 = kernel::VFIO_REGION_INFO_CAP_SPARSE_MMAP as u16;
    /// Number of [`Self::Type`].
    pub const TYPE: u16 = kernel::VFIO_REGION_INFO_CAP_TYPE as u16;
    /// Number of [`Self::MsixMappable`].
    pub const MSIX_MAPPABLE: u16 = kernel::VFIO_REGION_INFO_CAP_MSIX_MAPPABLE as u16;
    /// Number of [`Self::SparseMmapFds`], which is vfio-user's own.
    pub const SPARSE_MMAP_FDS: u16 = 0x8001;

    /// The number in the link.
    pub const fn id(&self) -> u16 {
        match self {
            Self::SparseMmap(_) => Self::SPARSE_MMAP,
            Self::Type { .. } => Self::TYPE,
            Self::MsixMappable => Self::MSIX_MAPPABLE,
            Self::SparseMmapFds(_) => Self::SPARSE_MMAP_FDS,
            Self::Unknown { id, .. } => *id,
        }
    }

    const fn version(&self) -> u16 {
        match self {
            Self::Unknown { version, .. } => *version,
            _ => VERSION,
        }
    }

    /// Bytes in the chain, link included.
    pub fn size(&self) -> usize {
        let areas =
            |count: usize, size: usize| count.saturating_mul(size).saturating_add(AREAS_HEAD_SIZE);
        let body = match self {
            Self::SparseMmap(list) => areas(list.len(), SPARSE_AREA_SIZE),
            Self::SparseMmapFds(list) => areas(list.len(), FD_AREA_SIZE),
            Self::Type { .. } => TYPE_SIZE,
            Self::MsixMappable | Self::Unknown { .. } => 0,
        };
        debug_assert!(body % ALIGNMENT == 0);
        body.saturating_add(LINK_SIZE)
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::SparseMmap(areas) => {
                put_areas_head(areas.len(), out);
                for area in areas {
                    out.put_u64(area.offset);
                    out.put_u64(area.size);
                }
            }
            Self::Type { kind, subtype } => {
                out.put_u32(*kind);
                out.put_u32(*subtype);
            }
            Self::SparseMmapFds(areas) => {
                put_areas_head(areas.len(), out);
                for area in areas {
                    out.put_u64(area.offset);
                    out.put_u64(area.fd_offset);
                    out.put_u64(area.size);
                    out.put_u32(area.fd_index);
                    out.put_u32(0);
                }
            }
            Self::MsixMappable | Self::Unknown { .. } => {}
        }
    }

    fn parse_body(
        subject: Subject,
        id: u16,
        version: u16,
        body: &[u8],
    ) -> Result<Self, MessageError> {
        Ok(match (id, version) {
            (Self::SPARSE_MMAP, VERSION) => {
                let areas = parse_areas::<SPARSE_AREA_SIZE>(subject.part("SPARSE_MMAP"), body)?;
                Self::SparseMmap(
                    areas
                        .map(|area| SparseArea {
                            offset: area.u64::<0>(),
                            size: area.u64::<8>(),
                        })
                        .collect(),
                )
            }
            (Self::TYPE, VERSION) => {
                let fields = Structure::<TYPE_SIZE>::read(subject.part("TYPE"), body)?;
                Self::Type {
                    kind: fields.u32::<0>(),
                    subtype: fields.u32::<4>(),
                }
            }
            (Self::MSIX_MAPPABLE, VERSION) => Self::MsixMappable,
            (Self::SPARSE_MMAP_FDS, VERSION) => {
                let areas = parse_areas::<FD_AREA_SIZE>(subject.part("SPARSE_MMAP_FDS"), body)?;
                let area = |area: Structure<'_, FD_AREA_SIZE>| FdArea {
                    offset: area.u64::<0>(),
                    fd_offset: area.u64::<8>(),
                    size: area.u64::<16>(),
                    fd_index: area.u32::<24>(),
                };
                Self::SparseMmapFds(areas.map(area).collect())
            }
            _ => Self::Unknown { id, version },
        })
    }
}

fn put_areas_head(count: usize, out: &mut Vec<u8>) {
    out.put_u32(len_u32(count));
    out.put_u32(0);
}

/// The areas that a head says there are; all of them have to be there.
fn parse_areas<const N: usize>(
    subject: Subject,
    body: &[u8],
) -> Result<impl Iterator<Item = Structure<'_, N>>, MessageError> {
    let (head, rest) = Structure::<AREAS_HEAD_SIZE>::split(subject, body)?;
    let count = head.u32::<0>() as usize;
    let (areas, _) = rest.as_chunks::<N>();
    match areas.get(..count) {
        Some(areas) => Ok(areas.iter().map(Structure::whole)),
        None => Err(MessageError::Length {
            subject,
            field: "areas",
            actual: rest.len(),
            expected: (count as u64).saturating_mul(N as u64),
        }),
    }
}

/// Appends the chain, the first link of which stands at `start`.
pub(super) fn encode_chain(chain: &[Capability], start: usize, out: &mut Vec<u8>) {
    let mut end = start;
    for (left, capability) in (0..chain.len()).rev().zip(chain) {
        end = end.saturating_add(capability.size());
        out.put_u16(capability.id());
        out.put_u16(capability.version());
        out.put_u32(if left == 0 { 0 } else { len_u32(end) });
        capability.encode_body(out);
    }
}

/// Reads the chain in `payload` from `start` on. Each link has to stand behind the whole one
/// before, so there is no circle, and nothing is read twice.
pub(super) fn parse_chain(
    subject: Subject,
    payload: &[u8],
    start: u32,
) -> Result<Vec<Capability>, MessageError> {
    let mut chain = Vec::new();
    let mut at = start;
    while at != 0 {
        let link = payload.get(at as usize..).unwrap_or_default();
        let (fields, body) = Structure::<LINK_SIZE>::split(subject.part("capability"), link)?;
        let (id, version, next) = (fields.u16::<0>(), fields.u16::<2>(), fields.u32::<4>());
        let capability = Capability::parse_body(subject, id, version, body)?;
        let end = u64::from(at).saturating_add(capability.size() as u64);
        let forward = next == 0 || u64::from(next) >= end;
        check_field(
            subject,
            "next capability",
            next,
            forward,
            "0 or behind this capability",
        )?;
        chain.push(capability);
        at = next;
    }
    Ok(chain)
}
