//! Dirty page logging: features 6 to 8.

use anyhow::{Result, ensure};

use super::Source::{LibvfioUser, Specification};
use super::dma::{ADDRESS, PAGE, map};
use super::feature::probe;
use super::payload::feature;
use super::subject::{Subject, refused_on};
use super::{Check, Outcome, check, holds, skip};
use crate::os::Memory;
use crate::raw::RawClient;
use crate::raw::wire::device_feature::{GET, SET};
use crate::raw::wire::dma_map::{READ, WRITE};
use crate::raw::wire::{Bytes, EINVAL, ENOENT, command, field_u64};

const START: u32 = SET | 6;
const STOP: u32 = SET | 7;
const REPORT: u32 = GET | 8;
/// Size in bytes of header and fixed part of a report.
const REPORT_HEAD: usize = 8 + 24;

pub(super) const CHECKS: &[Check] = &[
    check(
        "logging.complete",
        Specification,
        "A server that can start logging can stop it and report",
        |s| {
            let mut client = s.attach()?;
            let start = probe(&mut client, START & 0xffff, SET)?;
            let stop = probe(&mut client, STOP & 0xffff, SET)?;
            let report = probe(&mut client, REPORT & 0xffff, GET)?;
            ensure!(
                start == stop && start == report,
                "start {start}, stop {stop}, report {report}"
            );
            if start { holds() } else { skip(NOT_HERE) }
        },
    ),
    check(
        "logging.page-size-0",
        LibvfioUser,
        "START with page size 0 gives EINVAL",
        |s| {
            logging(s, |client| {
                refused_on(client, command::DEVICE_FEATURE, &start(0), &[], EINVAL)?;
                holds()
            })
        },
    ),
    check(
        "logging.start-twice",
        LibvfioUser,
        "START once more with the same page size succeeds",
        |s| {
            logging(s, |client| {
                for _ in 0..2 {
                    client
                        .request(command::DEVICE_FEATURE, &start(PAGE), &[])?
                        .success()?;
                }
                holds()
            })
        },
    ),
    check(
        "logging.start-other-size",
        LibvfioUser,
        "START once more with another page size gives EINVAL",
        |s| {
            logging(s, |client| {
                client
                    .request(command::DEVICE_FEATURE, &start(PAGE), &[])?
                    .success()?;
                for size in [PAGE / 2, PAGE * 2] {
                    refused_on(client, command::DEVICE_FEATURE, &start(size), &[], EINVAL)?;
                }
                holds()
            })
        },
    ),
    check(
        "logging.clean",
        Specification,
        "A report about memory that the device did not write has no bit set, and as many words as the range needs",
        |s| {
            logging(s, |client| {
                map_and_start(client)?;
                clean(client, ADDRESS, MAPPED, PAGE, 2)?;
                holds()
            })
        },
    ),
    check(
        "logging.report-argsz",
        LibvfioUser,
        "A report without room for its bitmap gives EINVAL",
        |s| {
            logging(s, |client| {
                let memory = Memory::sealed(PAGE)?;
                map(client, READ | WRITE, ADDRESS, PAGE, Some(&memory))?;
                client
                    .request(command::DEVICE_FEATURE, &start(PAGE), &[])?
                    .success()?;
                let request = report((REPORT_HEAD + 7) as u32, ADDRESS, PAGE, PAGE);
                refused_on(client, command::DEVICE_FEATURE, &request, &[], EINVAL)?;
                holds()
            })
        },
    ),
    check(
        "logging.report-while-off",
        LibvfioUser,
        "A report while nothing is logged gives EINVAL",
        |s| {
            logging(s, |client| {
                let request = report((REPORT_HEAD + 8) as u32, ADDRESS, PAGE, PAGE);
                refused_on(client, command::DEVICE_FEATURE, &request, &[], EINVAL)?;
                holds()
            })
        },
    ),
    check(
        "logging.report-page-sizes",
        LibvfioUser,
        "A report may be about pages of another size than the log's: half, twice, 16 times as large",
        |s| {
            logging(s, |client| {
                map_and_start(client)?;
                for size in [PAGE / 2, 2 * PAGE, 16 * PAGE] {
                    let words = (MAPPED / size).div_ceil(64) as usize;
                    clean(client, ADDRESS, MAPPED, size, words)?;
                }
                holds()
            })
        },
    ),
    check(
        "logging.report-page-size-0",
        LibvfioUser,
        "A report about pages of 0 bytes gives EINVAL",
        |s| {
            logging(s, |client| {
                refused_report(client, ADDRESS, MAPPED, 0, EINVAL)
            })
        },
    ),
    check(
        "logging.report-page-size-above-maximum",
        LibvfioUser,
        "A report about pages of 16 MiB gives EINVAL",
        |s| {
            logging(s, |client| {
                refused_report(client, ADDRESS, MAPPED, 1 << 24, EINVAL)
            })
        },
    ),
    check(
        "logging.report-part",
        Specification,
        "A report may be about a part of a map",
        |s| {
            logging(s, |client| {
                map_and_start(client)?;
                clean(client, ADDRESS + PAGE, PAGE, PAGE, 1)?;
                holds()
            })
        },
    ),
    check(
        "logging.report-unmapped",
        LibvfioUser,
        "A report about addresses where nothing is mapped gives ENOENT",
        |s| {
            logging(s, |client| {
                refused_report(client, ADDRESS - MAPPED, MAPPED, PAGE, ENOENT)
            })
        },
    ),
    check(
        "logging.report-no-descriptor",
        LibvfioUser,
        "A report about a map without a descriptor gives EINVAL",
        |s| {
            logging(s, |client| {
                let address = ADDRESS + MAPPED;
                map(client, READ | WRITE, address, PAGE, None)?;
                refused_report(client, address, PAGE, PAGE, EINVAL)
            })
        },
    ),
    check(
        "logging.unmap-of-another",
        LibvfioUser,
        "An unmap leaves the log of other maps",
        |s| {
            logging(s, |client| {
                map_and_start(client)?;
                let other = ADDRESS + MAPPED;
                let memory = Memory::sealed(PAGE)?;
                map(client, READ | WRITE, other, PAGE, Some(&memory))?;
                client.dma_unmap(0, other, PAGE)?.success()?;
                clean(client, ADDRESS, MAPPED, PAGE, 2)?;
                holds()
            })
        },
    ),
    check(
        "logging.unmap-with-bitmap",
        LibvfioUser,
        "While dirty pages are logged, an unmap with a bitmap is answered with one",
        |s| {
            logging(s, |client| {
                let memory = Memory::sealed(PAGE)?;
                map(client, READ | WRITE, ADDRESS, PAGE, Some(&memory))?;
                client
                    .request(command::DEVICE_FEATURE, &start(PAGE), &[])?
                    .success()?;
                let request = super::payload::dma_unmap(48, 1, ADDRESS, PAGE)
                    .u64(PAGE)
                    .u64(8);
                let reply = client
                    .request(command::DMA_UNMAP, &request, &[])?
                    .success()?;
                ensure!(
                    reply.len() == 48 && field_u64(&reply, 40) == 0,
                    "the reply is {reply:x?}"
                );
                holds()
            })
        },
    ),
];

/// Number of mapped bytes, for which the bitmap has a second word.
const MAPPED: u64 = 65 * PAGE;
const NOT_HERE: &str = "the server does not log dirty pages";

fn start(page_size: u64) -> Bytes {
    // No ranges: all memory.
    feature(START, &Bytes::new().u64(page_size).u32(0).u32(0))
}

fn report(argsz: u32, iova: u64, length: u64, page_size: u64) -> Bytes {
    let head = Bytes::new().u32(argsz).u32(REPORT);
    head.u64(iova).u64(length).u64(page_size)
}

/// Maps memory and logs all of it.
fn map_and_start(client: &mut RawClient) -> Result<()> {
    let memory = Memory::sealed(MAPPED)?;
    map(client, READ | WRITE, ADDRESS, MAPPED, Some(&memory))?;
    let started = client.request(command::DEVICE_FEATURE, &start(PAGE), &[])?;
    started.success().map(drop)
}

/// Checks that a report has a number of words, and no bit is set.
fn clean(
    client: &mut RawClient,
    iova: u64,
    length: u64,
    page_size: u64,
    words: usize,
) -> Result<()> {
    let size = REPORT_HEAD + 8 * words;
    let request = report(size as u32, iova, length, page_size);
    let reply = client
        .request(command::DEVICE_FEATURE, &request, &[])?
        .success()?;
    ensure!(
        reply.len() == size && reply[REPORT_HEAD..].iter().all(|&byte| byte == 0),
        "pages of {page_size:#x}: the reply is {reply:x?}"
    );
    Ok(())
}

/// Checks that a report fails although everything is logged and mapped.
fn refused_report(
    client: &mut RawClient,
    iova: u64,
    length: u64,
    page_size: u64,
    errno: u32,
) -> Outcome {
    map_and_start(client)?;
    let request = report(REPORT_HEAD as u32 + 16, iova, length, page_size);
    refused_on(client, command::DEVICE_FEATURE, &request, &[], errno)?;
    holds()
}

/// Runs a check with a client of a server that logs, and stops the logging afterwards.
fn logging(s: &Subject, body: fn(&mut RawClient) -> Outcome) -> Outcome {
    let mut client = s.attach()?;
    if !probe(&mut client, START & 0xffff, SET)? {
        return skip(NOT_HERE);
    }
    let outcome = body(&mut client);
    let stopped = client.request(command::DEVICE_FEATURE, &stop(), &[]);
    outcome.and_then(|verdict| stopped.map(|_| verdict))
}

fn stop() -> Bytes {
    feature(STOP, &Bytes::new().u64(PAGE).u64(0))
}
