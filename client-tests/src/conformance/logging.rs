//! Dirty page logging: features 6 to 8.

use anyhow::ensure;

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
use crate::raw::wire::{Bytes, EINVAL, command, field_u64};

const START: u32 = SET | 6;
const STOP: u32 = SET | 7;
const REPORT: u32 = GET | 8;
/// Header and fixed part of a report.
const REPORT_HEAD: usize = 8 + 24;

pub(super) const CHECKS: &[Check] = &[
    check(
        "logging.complete",
        Specification,
        "Who can start logging can stop it and report",
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
        "START with page size 0 is EINVAL",
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
        "START once more with another page size is EINVAL",
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
                let memory = Memory::sealed(65 * PAGE)?;
                map(client, READ | WRITE, ADDRESS, 65 * PAGE, Some(&memory))?;
                client
                    .request(command::DEVICE_FEATURE, &start(PAGE), &[])?
                    .success()?;
                let argsz = (REPORT_HEAD + 16) as u32;
                let request = report(argsz, ADDRESS, 65 * PAGE, PAGE);
                let reply = client
                    .request(command::DEVICE_FEATURE, &request, &[])?
                    .success()?;
                ensure!(
                    reply.len() == REPORT_HEAD + 16
                        && field_u64(&reply, REPORT_HEAD) == 0
                        && field_u64(&reply, REPORT_HEAD + 8) == 0,
                    "the reply is {reply:x?}"
                );
                holds()
            })
        },
    ),
    check(
        "logging.report-argsz",
        LibvfioUser,
        "A report without room for its bitmap is EINVAL",
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
        "A report while nothing is logged is EINVAL",
        |s| {
            logging(s, |client| {
                let request = report((REPORT_HEAD + 8) as u32, ADDRESS, PAGE, PAGE);
                refused_on(client, command::DEVICE_FEATURE, &request, &[], EINVAL)?;
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

const NOT_HERE: &str = "the server does not log dirty pages";

fn start(page_size: u64) -> Bytes {
    // No ranges: all memory.
    feature(START, &Bytes::new().u64(page_size).u32(0).u32(0))
}

fn report(argsz: u32, iova: u64, length: u64, page_size: u64) -> Bytes {
    let head = Bytes::new().u32(argsz).u32(REPORT);
    head.u64(iova).u64(length).u64(page_size)
}

/// A client of a server that logs; afterwards it does not any more.
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
