//! DEVICE_GET_REGION_INFO and its capabilities.

use anyhow::{Result, ensure};

use super::Source::{LibvfioUser, Specification};
use super::subject::{OFFER, Subject};
use super::{Check, check, holds, payload, skip};
use crate::raw::RawClient;
use crate::raw::wire::{command, field_u16, field_u32, field_u64, region};

const READ_WRITE: u32 = 0b11;
const MMAP: u32 = 1 << 2;
const CAPS: u32 = 1 << 3;
/// Mappable areas, one descriptor for all.
const SPARSE_MMAP: u16 = 1;
/// Mappable areas with a descriptor each. The earlier number stands beside the final one.
const SPARSE_MMAP_FDS: [u16; 2] = [0x8001, 16];
/// Fixed part of a reply.
const FIXED: usize = 32;

pub(super) const CHECKS: &[Check] = &[
    check(
        "region-info.short",
        LibvfioUser,
        "A request of 8 bytes gives EINVAL",
        |s| s.refused(command::DEVICE_GET_REGION_INFO, &[0; 8]),
    ),
    check(
        "region-info.argsz",
        LibvfioUser,
        "argsz below 32 gives EINVAL",
        |s| s.refused(command::DEVICE_GET_REGION_INFO, &payload::region_info(8, 0)),
    ),
    check(
        "region-info.index",
        LibvfioUser,
        "An index that the device does not have gives EINVAL: the first beyond the last, and 2^32 - 1",
        |s| {
            let beyond = payload::region_info(32, s.found.num_regions);
            s.refused(command::DEVICE_GET_REGION_INFO, &beyond)?;
            let last = payload::region_info(32, u32::MAX);
            s.refused(command::DEVICE_GET_REGION_INFO, &last)
        },
    ),
    check(
        "region-info.every-index",
        Specification,
        "Every index below the number of regions is answered with that index and an argsz of 32 or more",
        |s| {
            let mut client = s.attach()?;
            for index in 0..s.found.num_regions.min(100) {
                let info = client.region_info(index)?;
                ensure!(
                    info.index == index && info.argsz >= 32,
                    "region {index}: {info:?}"
                );
            }
            holds()
        },
    ),
    check(
        "region-info.larger-argsz",
        LibvfioUser,
        "argsz 40 on a region without capabilities is answered with 32 bytes, argsz 32, no CAPS flag, cap_offset 0",
        |s| {
            let mut client = s.attach()?;
            let Some(plain) = s.found.regions.iter().find(|region| region.argsz == 32) else {
                return skip("all regions have capabilities");
            };
            let reply = ask(&mut client, plain.index, 40)?.0;
            ensure!(
                reply.len() == FIXED
                    && field_u32(&reply, 0) == 32
                    && field_u32(&reply, 4) & CAPS == 0
                    && field_u32(&reply, 12) == 0,
                "the reply is {reply:x?}"
            );
            holds()
        },
    ),
    check(
        "region-info.absent",
        LibvfioUser,
        "A region that is not there has size, flags, offset and cap_offset 0, which is no error",
        |s| {
            let Some(absent) = s.absent_region() else {
                return skip("all regions are there");
            };
            let info = s.attach()?.region_info(absent)?;
            let empty = (
                info.size,
                info.flags,
                info.offset,
                info.cap_offset,
                info.argsz,
            );
            ensure!(empty == (0, 0, 0, 0, 32), "{info:?}");
            holds()
        },
    ),
    check(
        "region-info.config",
        LibvfioUser,
        "Config space has 256 or 4096 bytes, can be read and written, and has no capabilities",
        |s| {
            let info = s.attach()?.region_info(region::CONFIG)?;
            ensure!(
                [256, 4096].contains(&info.size)
                    && info.flags == READ_WRITE
                    && info.cap_offset == 0,
                "{info:?}"
            );
            holds()
        },
    ),
    check(
        "region-info.bar-size",
        LibvfioUser,
        "The size of a BAR is a power of two and 4 or more, however large it is",
        |s| {
            for bar in s.bars() {
                ensure!(bar.size.is_power_of_two() && bar.size >= 4, "{bar:?}");
            }
            holds()
        },
    ),
    check(
        "region-info.capabilities-do-not-fit",
        Specification,
        "If argsz has no room for the capabilities, the reply is the fixed part with the required argsz and cap_offset 0",
        |s| {
            let Some(full) = s.found.regions.iter().find(|region| region.argsz > 32) else {
                return skip("no region has capabilities");
            };
            ensure!(full.cap_offset == 0, "{full:?}");
            let reply = ask(&mut s.attach()?, full.index, full.argsz - 1)?.0;
            ensure!(
                reply.len() == FIXED && field_u32(&reply, 12) == 0,
                "the reply is {reply:x?}"
            );
            holds()
        },
    ),
    check(
        "region-info.capabilities",
        Specification,
        "Capabilities are a chain inside the reply; mappable areas are inside the region, not empty, and do not overlap",
        |s| {
            let mut seen = false;
            let mut client = s.attach_offering(WITH_FDS)?;
            for index in described(s) {
                let (reply, _) = largest(&mut client, index)?;
                let size = field_u64(&reply, 16);
                for capability in capabilities(&reply)? {
                    seen = true;
                    check_areas(&capability.areas, size)?;
                }
            }
            if seen {
                holds()
            } else {
                skip("no region has capabilities")
            }
        },
    ),
    check(
        "region-info.mappable",
        Specification,
        "A region with MMAP has a descriptor in the complete reply, a region without MMAP has none",
        |s| {
            let mut client = s.attach()?;
            for index in described(s) {
                let (reply, fds) = largest(&mut client, index)?;
                let flags = field_u32(&reply, 4);
                let right = if flags & MMAP != 0 { fds > 0 } else { fds == 0 };
                ensure!(
                    right,
                    "region {index} has flags {flags:#x} and {fds} descriptors"
                );
            }
            holds()
        },
    ),
    check(
        "region-info.several-files-unasked",
        Specification,
        "Only clients that named `sparse_mmap_fds` get areas with a descriptor each, and never beside the other kind",
        |s| {
            for (offer, named) in [(OFFER, false), (WITH_FDS, true)] {
                let mut client = s.attach_offering(offer)?;
                for index in described(s) {
                    let ids = ids(&largest(&mut client, index)?.0)?;
                    let several = ids.iter().any(|id| SPARSE_MMAP_FDS.contains(id));
                    let right = !several || named && !ids.contains(&SPARSE_MMAP);
                    ensure!(right, "region {index} has capabilities {ids:x?}");
                }
            }
            holds()
        },
    ),
];

/// An offer of a client that understands areas from several files.
const WITH_FDS: &str = r#"{"capabilities":{"max_msg_fds":16,"sparse_mmap_fds":true}}"#;

/// Returns the reply with this much room, and the number of descriptors that came with it.
fn ask(client: &mut RawClient, index: u32, argsz: u32) -> Result<(Vec<u8>, usize)> {
    let request = payload::region_info(argsz, index);
    let reply = client.request(command::DEVICE_GET_REGION_INFO, &request, &[])?;
    let fds = reply.fds.len();
    Ok((reply.success()?, fds))
}

/// Returns the reply with all the room that it needs.
fn largest(client: &mut RawClient, index: u32) -> Result<(Vec<u8>, usize)> {
    let (reply, fds) = ask(client, index, 32)?;
    let argsz = field_u32(&reply, 0);
    ensure!(argsz <= 1 << 20, "region {index} wants an argsz of {argsz}");
    if argsz <= 32 {
        return Ok((reply, fds));
    }
    let (reply, fds) = ask(client, index, argsz)?;
    ensure!(
        reply.len() == argsz as usize && field_u32(&reply, 4) & CAPS != 0,
        "region {index} wanted an argsz of {argsz} and answers {} bytes, flags {:#x}",
        reply.len(),
        field_u32(&reply, 4)
    );
    Ok((reply, fds))
}

/// Returns the regions that the server describes.
fn described(s: &Subject) -> impl Iterator<Item = u32> {
    s.found.regions.iter().map(|region| region.index)
}

struct Capability {
    id: u16,
    /// Offset and size of mappable areas.
    areas: Vec<(u64, u64)>,
}

/// Returns the capability chain of a whole reply.
fn capabilities(reply: &[u8]) -> Result<Vec<Capability>> {
    let mut chain = Vec::new();
    let mut at = field_u32(reply, 12) as usize;
    while at != 0 {
        ensure!(
            at >= FIXED && at + 8 <= reply.len() && chain.len() < 64,
            "a capability at {at} of {} bytes",
            reply.len()
        );
        let (id, next) = (field_u16(reply, at), field_u32(reply, at + 4) as usize);
        let stride = match id {
            SPARSE_MMAP => 16,
            _ if SPARSE_MMAP_FDS.contains(&id) => 32,
            _ => 0,
        };
        let count = if stride > 0 {
            field_u32(reply, at + 8) as usize
        } else {
            0
        };
        ensure!(
            count.saturating_mul(stride) <= reply.len() - at,
            "{count} areas do not fit in {} bytes",
            reply.len()
        );
        let size_at = if stride == 32 { 16 } else { 8 };
        let areas = (0..count).map(|nth| at + 16 + nth * stride);
        let areas = areas.map(|at| (field_u64(reply, at), field_u64(reply, at + size_at)));
        chain.push(Capability {
            id,
            areas: areas.collect(),
        });
        at = next;
    }
    Ok(chain)
}

fn ids(reply: &[u8]) -> Result<Vec<u16>> {
    Ok(capabilities(reply)?
        .iter()
        .map(|capability| capability.id)
        .collect())
}

fn check_areas(areas: &[(u64, u64)], size: u64) -> Result<()> {
    let mut sorted = areas.to_vec();
    sorted.sort_unstable();
    let mut last = 0;
    for (offset, length) in sorted {
        let end = offset.checked_add(length);
        ensure!(
            length > 0 && offset >= last && end.is_some_and(|end| end <= size),
            "areas {areas:x?} in a region of {size:#x} bytes"
        );
        last = offset + length;
    }
    Ok(())
}
