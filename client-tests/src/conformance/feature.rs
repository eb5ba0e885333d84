//! DEVICE_FEATURE: rules for every feature.

use anyhow::{Result, ensure};

use super::Source::{LibvfioUser, Linux, Specification};
use super::payload::feature;
use super::subject::{Subject, goes_on};
use super::{Check, Outcome, check, holds, skip};
use crate::raw::RawClient;
use crate::raw::wire::device_feature::{GET, PROBE, SET};
use crate::raw::wire::{Bytes, command};

/// Features that checks know.
pub(super) const MIGRATION: u32 = 1;
const LOW_POWER_ENTRY: u32 = 3;
const LOW_POWER_EXIT: u32 = 5;
/// A number that no feature has.
const NONE: u32 = 0xfff0;
/// Numbers that are probed for features.
const KNOWN: std::ops::Range<u32> = 0..32;

pub(super) const CHECKS: &[Check] = &[
    check(
        "feature.short",
        LibvfioUser,
        "A request of 7 bytes gives EINVAL",
        |s| s.refused(command::DEVICE_FEATURE, &[0; 7]),
    ),
    check(
        "feature.unknown",
        LibvfioUser,
        "A feature that the server does not have gives EINVAL, whatever the method",
        |s| {
            for method in [GET, SET, PROBE | GET, PROBE | SET] {
                s.refused(command::DEVICE_FEATURE, &feature(method | NONE, &[]))?;
            }
            holds()
        },
    ),
    check(
        "feature.unknown-probe-fails",
        Specification,
        "PROBE of a feature that the server does not have fails",
        |s| {
            let mut client = s.attach()?;
            ensure!(
                !probe(&mut client, NONE, GET)?,
                "GET of feature {NONE:#x} is there"
            );
            ensure!(
                !probe(&mut client, NONE, SET)?,
                "SET of feature {NONE:#x} is there"
            );
            holds()
        },
    ),
    check(
        "feature.get-and-set",
        Specification,
        "GET and SET exclude each other without PROBE: EINVAL",
        |s| {
            with_any(s, |s, number, _| {
                s.refused(
                    command::DEVICE_FEATURE,
                    &feature(GET | SET | number, &[0; 8]),
                )
            })
        },
    ),
    check(
        "feature.no-method",
        Specification,
        "A request without GET, SET and PROBE gives EINVAL",
        |s| {
            with_any(s, |s, number, _| {
                s.refused(command::DEVICE_FEATURE, &feature(number, &[0; 8]))
            })
        },
    ),
    check(
        "feature.flags",
        Linux,
        "Flags above PROBE are EINVAL",
        |s| {
            with_any(s, |s, number, method| {
                s.refused(
                    command::DEVICE_FEATURE,
                    &feature(1 << 19 | PROBE | method | number, &[]),
                )
            })
        },
    ),
    check(
        "feature.probe-echoes",
        Specification,
        "PROBE of a method that a feature has is answered with the request",
        |s| {
            with_any(s, |s, number, method| {
                let request = feature(PROBE | method | number, &[]);
                let mut client = s.attach()?;
                let reply = client
                    .request(command::DEVICE_FEATURE, &request, &[])?
                    .success()?;
                ensure!(reply == *request, "the reply is {reply:x?}");
                holds()
            })
        },
    ),
    check(
        "feature.probe-argsz",
        LibvfioUser,
        "PROBE with argsz below the request gives EINVAL",
        |s| {
            with_any(s, |s, number, method| {
                let request = Bytes::new().u32(2).u32(PROBE | method | number);
                s.refused(command::DEVICE_FEATURE, &request)
            })
        },
    ),
    check(
        "feature.probe-needs-all",
        Specification,
        "PROBE with GET and SET succeeds only for a feature that has both",
        |s| {
            let mut seen = false;
            let mut client = s.attach()?;
            for number in KNOWN {
                let (get, set) = (
                    probe(&mut client, number, GET)?,
                    probe(&mut client, number, SET)?,
                );
                let both = probe(&mut client, number, GET | SET)?;
                ensure!(
                    both == (get && set),
                    "feature {number}: GET {get}, SET {set}, both {both}"
                );
                seen |= get || set;
            }
            if seen {
                holds()
            } else {
                skip("the server has no features")
            }
        },
    ),
    check(
        "feature.low-power",
        Linux,
        "A server with low-power entry has low-power exit, and an exit without entry is no error",
        |s| {
            let mut client = s.attach()?;
            let entry = probe(&mut client, LOW_POWER_ENTRY, SET)?;
            let exit = probe(&mut client, LOW_POWER_EXIT, SET)?;
            ensure!(entry == exit, "entry {entry}, exit {exit}");
            if !exit {
                return skip("the server has no low power features");
            }
            client
                .device_feature(8, SET | LOW_POWER_EXIT, &[], &[])?
                .success()?;
            goes_on(&mut client)?;
            holds()
        },
    ),
];

/// Returns whether a feature supports all of these methods.
pub(super) fn probe(client: &mut RawClient, number: u32, methods: u32) -> Result<bool> {
    let request = feature(PROBE | methods | number, &[]);
    let reply = client.request(command::DEVICE_FEATURE, &request, &[])?;
    match reply.errno() {
        Some(_) => reply.failure().map(|_| false),
        None => Ok(true),
    }
}

/// Runs a check on the first feature that the server has, with a method of it.
fn with_any(s: &Subject, body: fn(&Subject, u32, u32) -> Outcome) -> Outcome {
    let mut client = s.attach()?;
    for number in KNOWN {
        for method in [GET, SET] {
            if probe(&mut client, number, method)? {
                drop(client);
                return body(s, number, method);
            }
        }
    }
    skip("the server has no features")
}
