//! DEVICE_GET_REGION_IO_FDS.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use super::Source::{LibvfioUser, Specification};
use super::subject::Subject;
use super::{Check, check, holds, payload, skip};
use crate::raw::Message;
use crate::raw::wire::{Bytes, command, field_u32, field_u64};

/// The `fd_index` of an entry that has no descriptor.
const NO_FD: u32 = u32::MAX;
const HEAD: usize = 16;

pub(super) const CHECKS: &[Check] = &[
    check(
        "io-fds.short",
        LibvfioUser,
        "A request of 8 bytes gives EINVAL",
        |s| s.refused(command::DEVICE_GET_REGION_IO_FDS, &[0; 8]),
    ),
    check(
        "io-fds.flags",
        LibvfioUser,
        "Flags other than 0 are EINVAL",
        |s| {
            let request = Bytes::new().u32(16).u32(1).u32(0).u32(0);
            s.refused(command::DEVICE_GET_REGION_IO_FDS, &request)
        },
    ),
    check(
        "io-fds.count",
        LibvfioUser,
        "A count other than 0 gives EINVAL in a request",
        |s| {
            let request = Bytes::new().u32(16).u32(0).u32(0).u32(1);
            s.refused(command::DEVICE_GET_REGION_IO_FDS, &request)
        },
    ),
    check("io-fds.argsz", LibvfioUser, "argsz 15 gives EINVAL", |s| {
        s.refused(command::DEVICE_GET_REGION_IO_FDS, &payload::info(15, 0))
    }),
    check(
        "io-fds.argsz-above-maximum",
        LibvfioUser,
        "argsz above 1 MiB gives EINVAL",
        |s| {
            s.refused(
                command::DEVICE_GET_REGION_IO_FDS,
                &payload::info((1 << 20) + 1, 0),
            )
        },
    ),
    check(
        "io-fds.index",
        LibvfioUser,
        "An index that the device does not have gives EINVAL",
        |s| s.refused(command::DEVICE_GET_REGION_IO_FDS, &payload::info(16, 512)),
    ),
    check(
        "io-fds.absent-region",
        LibvfioUser,
        "A region that is not there gives EINVAL",
        |s| {
            let Some(absent) = s.absent_region() else {
                return skip("all regions are there");
            };
            s.refused(
                command::DEVICE_GET_REGION_IO_FDS,
                &payload::info(16, absent),
            )
        },
    ),
    check(
        "io-fds.head",
        LibvfioUser,
        "The reply repeats the index, has flags 0, and with argsz 16 it has neither entries nor descriptors but says how much room they take",
        |s| {
            for region in s.present_regions() {
                let reply = ask(s, region.index, 16)?;
                let (fds, reply) = (reply.fds.len(), reply.payload);
                let head = (field_u32(&reply, 4), field_u32(&reply, 8));
                ensure!(
                    reply.len() == HEAD && fds == 0,
                    "{reply:x?} with {fds} descriptors"
                );
                ensure!(
                    head == (0, region.index),
                    "region {}: {reply:x?}",
                    region.index
                );
                let (argsz, count) = (field_u32(&reply, 0), field_u32(&reply, 12));
                let room = argsz.checked_sub(16);
                let right =
                    room.is_some_and(|room| [40, 48].map(|stride| count * stride).contains(&room));
                ensure!(right || count == 0, "argsz {argsz} for {count} entries");
            }
            holds()
        },
    ),
    check(
        "io-fds.entries",
        Specification,
        "Entries lie inside their region and name descriptors by index, each descriptor is sent once",
        |s| {
            let mut seen = false;
            for region in s.present_regions() {
                let argsz = field_u32(&ask(s, region.index, 16)?.payload, 0);
                let reply = ask(s, region.index, argsz.clamp(16, 1 << 20))?;
                let count = field_u32(&reply.payload, 12) as usize;
                if count == 0 || reply.payload.len() == HEAD {
                    continue;
                }
                seen = true;
                let mut named = BTreeSet::new();
                let stride = (reply.payload.len() - HEAD) / count;
                ensure!(stride == 40 || stride == 48, "entries of {stride} bytes");
                for entry in reply.payload.split_at(HEAD).1.chunks_exact(stride) {
                    let end = field_u64(entry, 0).checked_add(field_u64(entry, 8));
                    let fd = field_u32(entry, 16);
                    ensure!(
                        end.is_some_and(|end| end <= region.size)
                            && (fd == NO_FD || (fd as usize) < reply.fds.len()),
                        "entry {entry:x?} with {} descriptors",
                        reply.fds.len()
                    );
                    named.extend((fd != NO_FD).then_some(fd));
                }
                ensure!(
                    named.len() == reply.fds.len(),
                    "{} descriptors, of which entries name {named:?}",
                    reply.fds.len()
                );
            }
            if seen {
                holds()
            } else {
                skip("no region has descriptors for accesses")
            }
        },
    ),
];

/// Returns the reply about a region, which has to succeed.
fn ask(s: &Subject, index: u32, argsz: u32) -> Result<Message> {
    let request = payload::info(argsz, index);
    let mut client = s.attach()?;
    let reply = client.request(command::DEVICE_GET_REGION_IO_FDS, &request, &[])?;
    ensure!(reply.errno().is_none(), "region {index}: {reply:?}");
    Ok(reply)
}
