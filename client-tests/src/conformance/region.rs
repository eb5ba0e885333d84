//! REGION_READ, REGION_WRITE and REGION_WRITE_MULTI.

use anyhow::ensure;

use super::Source::{CloudHypervisor, LibvfioUser, Specification};
use super::payload::access;
use super::subject::{Subject, goes_on, refused_on};
use super::{Check, Outcome, check, holds, skip};
use crate::raw::RegionInfo;
use crate::raw::wire::{Bytes, EINVAL, command, field_u64, flag, region};

pub(super) const CHECKS: &[Check] = &[
    check(
        "region.read-short",
        LibvfioUser,
        "REGION_READ of 15 bytes gives EINVAL",
        |s| s.refused(command::REGION_READ, &[0; 15]),
    ),
    check(
        "region.write-short",
        LibvfioUser,
        "REGION_WRITE of 8 bytes gives EINVAL",
        |s| s.refused(command::REGION_WRITE, &[0; 8]),
    ),
    check(
        "region.read-reply",
        Specification,
        "A read is answered with offset, region, count and that many bytes",
        |s| {
            // The client compares the head.
            s.attach()?.read(region::CONFIG, 0, 4)?;
            holds()
        },
    ),
    check(
        "region.write-reply",
        Specification,
        "A write is answered with offset, region and count and no data",
        |s| {
            let mut client = s.attach()?;
            let line = client.read(region::CONFIG, 0x3c, 1)?;
            client.write(region::CONFIG, 0x3c, &line)?;
            holds()
        },
    ),
    check(
        "region.read-nothing",
        LibvfioUser,
        "A read of no bytes succeeds",
        |s| {
            s.attach()?.region_read(region::CONFIG, 0, 0)?.success()?;
            holds()
        },
    ),
    check(
        "region.write-nothing",
        LibvfioUser,
        "A write of no bytes succeeds",
        |s| {
            s.attach()?
                .region_write(region::CONFIG, 0, &[])?
                .success()?;
            holds()
        },
    ),
    check(
        "region.nothing-head",
        Specification,
        "The reply to an access of no bytes repeats its 16 bytes",
        |s| {
            let reply = s.attach()?.region_read(region::CONFIG, 0, 0)?.success()?;
            ensure!(
                reply == *access(region::CONFIG, 0, 0),
                "the reply is {reply:x?}"
            );
            holds()
        },
    ),
    check(
        "region.read-surplus",
        LibvfioUser,
        "Bytes behind the 16 of a read are ignored",
        |s| {
            let request = access(region::CONFIG, 0, 4).u64(0);
            let mut client = s.attach()?;
            client
                .request(command::REGION_READ, &request, &[])?
                .success()?;
            goes_on(&mut client)?;
            holds()
        },
    ),
    check(
        "region.above-limit",
        Specification,
        "A read of more bytes than the server's `max_data_xfer_size` gives EINVAL",
        |s| {
            let Ok(count) = u32::try_from(s.largest_transfer() + 8) else {
                return skip("the server's limit is above all counts");
            };
            s.refused(command::REGION_READ, &access(target(s), 0, count))
        },
    ),
    check(
        "region.as-much-as-possible",
        Specification,
        "Config space can be read in one access",
        |s| {
            s.config_space(&mut s.attach()?)?;
            holds()
        },
    ),
    check(
        "region.index",
        LibvfioUser,
        "Accesses to an index that the device does not have are EINVAL",
        |s| {
            for index in [s.found.num_regions, u32::MAX] {
                s.refused(command::REGION_READ, &access(index, 0, 4))?;
                s.refused(command::REGION_WRITE, &access(index, 0, 4).u32(0))?;
            }
            holds()
        },
    ),
    check(
        "region.absent",
        LibvfioUser,
        "Accesses to a region without size are EINVAL",
        |s| {
            let Some(absent) = s.absent_region() else {
                return skip("all regions are there");
            };
            s.refused(command::REGION_READ, &access(absent, 0, 4))?;
            s.refused(command::REGION_WRITE, &access(absent, 0, 4).u32(0))
        },
    ),
    check(
        "region.begins-beyond-bar",
        LibvfioUser,
        "Accesses that begin at the end of a BAR are EINVAL",
        |s| beyond(s, s.largest_bar(), |size| (size, 4)),
    ),
    check(
        "region.ends-beyond-bar",
        LibvfioUser,
        "Accesses that begin inside a BAR and end outside are EINVAL",
        |s| beyond(s, s.largest_bar(), |size| (size - 2, 4)),
    ),
    check(
        "region.wraps",
        LibvfioUser,
        "Accesses at offset 2^64 - 1 are EINVAL",
        |s| beyond(s, s.largest_bar(), |_| (u64::MAX, 4)),
    ),
    check(
        "region.begins-beyond-config",
        LibvfioUser,
        "Accesses that begin at the end of config space are EINVAL",
        |s| beyond(s, s.region(region::CONFIG), |size| (size, 4)),
    ),
    check(
        "region.ends-beyond-config",
        LibvfioUser,
        "Accesses that begin inside config space and end outside are EINVAL",
        |s| beyond(s, s.region(region::CONFIG), |size| (size - 2, 4)),
    ),
    check(
        "region.write-too-few-bytes",
        LibvfioUser,
        "A write with fewer bytes than its count gives EINVAL",
        |s| {
            s.refused(
                command::REGION_WRITE,
                &access(region::CONFIG, 0x3c, 4).bytes(&[0; 3]),
            )
        },
    ),
    check(
        "region.write-too-many-bytes",
        LibvfioUser,
        "A write with more bytes than its count gives EINVAL",
        |s| {
            s.refused(
                command::REGION_WRITE,
                &access(region::CONFIG, 0x3c, 1).bytes(&[0; 4]),
            )
        },
    ),
    check(
        "region.no-errors-in-range",
        CloudHypervisor,
        "Reads inside a BAR never fail, also while the BAR does not decode: a client that overlooks errors would wait for data",
        |s| {
            let mut client = s.attach()?;
            for bar in s.bars() {
                client.read(bar.index, 0, 4)?;
            }
            holds()
        },
    ),
    check(
        "region.write-multi",
        Specification,
        "A server that answers `write_multiple` performs the writes of REGION_WRITE_MULTI in order and says how many",
        write_multi,
    ),
    check(
        "region.write-multi-malformed",
        Specification,
        "REGION_WRITE_MULTI with fewer writes than it says, or a write of more than 8 bytes, gives EINVAL",
        |s| {
            if !has_write_multi(s)? {
                return skip("the server does not answer write_multiple");
            }
            let mut client = s.attach_offering(WRITE_MULTIPLE)?;
            let one = |count| access(region::CONFIG, 0x3c, count).u64(0);
            for request in [
                Bytes::new().u64(2).bytes(&one(1)),
                Bytes::new().u64(u64::MAX).bytes(&one(1)),
                Bytes::new().u64(1).bytes(&one(9)),
            ] {
                refused_on(
                    &mut client,
                    command::REGION_WRITE_MULTI,
                    &request,
                    &[],
                    EINVAL,
                )?;
            }
            goes_on(&mut client)?;
            holds()
        },
    ),
    check(
        "region.write-multi-no-reply",
        Specification,
        "REGION_WRITE_MULTI with No_reply gets none: this is how QEMU sends it",
        |s| {
            if !has_write_multi(s)? {
                return skip("the server does not answer write_multiple");
            }
            let mut client = s.attach_offering(WRITE_MULTIPLE)?;
            let line = client.read(region::CONFIG, 0x3c, 1)?;
            let request = Bytes::new().u64(1).bytes(&access(region::CONFIG, 0x3c, 1));
            let request = request.bytes(&line).bytes(&[0; 7]);
            client.post(command::REGION_WRITE_MULTI, flag::NO_REPLY, &request, &[])?;
            goes_on(&mut client)?;
            holds()
        },
    ),
];

const WRITE_MULTIPLE: &str = r#"{"capabilities":{"max_msg_fds":16,"write_multiple":true}}"#;

/// Returns the region on which large reads are tested.
fn target(s: &Subject) -> u32 {
    s.largest_bar().map_or(region::CONFIG, |bar| bar.index)
}

/// Checks a read and a write outside the region.
fn beyond(s: &Subject, region: Option<RegionInfo>, range: fn(u64) -> (u64, u32)) -> Outcome {
    let Some(region) = region else {
        return skip("the device has no such region");
    };
    let (offset, count) = range(region.size);
    s.refused(command::REGION_READ, &access(region.index, offset, count))?;
    s.refused(
        command::REGION_WRITE,
        &access(region.index, offset, count).u32(0),
    )
}

fn has_write_multi(s: &Subject) -> anyhow::Result<bool> {
    let reply = s.connect()?.version(0, 0, Some(WRITE_MULTIPLE))?;
    let (_, _, text) = crate::raw::RawClient::version_reply(reply)?;
    let answer: serde_json::Value = match text {
        Some(text) => serde_json::from_str(&text)?,
        None => return Ok(false),
    };
    Ok(answer["capabilities"]["write_multiple"] == true)
}

/// Checks two writes to the same register, of which the last counts.
fn write_multi(s: &Subject) -> Outcome {
    if !has_write_multi(s)? {
        return skip("the server does not answer write_multiple");
    }
    let mut client = s.attach_offering(WRITE_MULTIPLE)?;
    let before = client.read(region::CONFIG, 0x3c, 1)?;
    let one = |value: u8| access(region::CONFIG, 0x3c, 1).bytes(&[value, 0, 0, 0, 0, 0, 0, 0]);
    let request = Bytes::new().u64(2).bytes(&one(0x5a)).bytes(&one(0xa5));
    let reply = client
        .request(command::REGION_WRITE_MULTI, &request, &[])?
        .success()?;
    let after = client.read(region::CONFIG, 0x3c, 1)?;
    client.write(region::CONFIG, 0x3c, &before)?;
    ensure!(
        reply.len() == 8 && field_u64(&reply, 0) == 2,
        "the reply is {reply:x?}"
    );
    ensure!(
        after == [0xa5],
        "Interrupt Line reads {after:x?} after 0x5a and 0xa5 were written"
    );
    holds()
}
