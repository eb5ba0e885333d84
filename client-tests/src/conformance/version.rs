//! VERSION without its text, and the messages before and after it.

use anyhow::ensure;

use super::Source::{LibvfioUser, Specification};
use super::subject::{OFFER, Subject, Witness, goes_on};
use super::{Check, Outcome, check, holds};
use crate::raw::RawClient;
use crate::raw::wire::{self, Bytes, EINVAL, command, header};

pub(super) const CHECKS: &[Check] = &[
    check(
        "version.header-only",
        LibvfioUser,
        "VERSION without a payload gives EINVAL",
        |s| refused(s, command::VERSION, &[]),
    ),
    check(
        "version.short",
        LibvfioUser,
        "VERSION with half of its version numbers gives EINVAL",
        |s| refused(s, command::VERSION, &Bytes::new().u16(0)),
    ),
    check(
        "version.size-above-maximum",
        LibvfioUser,
        "A first message that says it is larger than any may be does not attach: EINVAL or a closed connection",
        |s| {
            let client = s.connect()?;
            client.send(&header(1, command::VERSION, u32::MAX, 0, 0), &[])?;
            match client.receive() {
                Ok(reply) => ensure!(reply.failure()? == EINVAL, "the errno is not EINVAL"),
                Err(_) => client.closed()?,
            }
            drop(client);
            goes_on(&mut s.attach()?)?;
            holds()
        },
    ),
    check(
        "version.first-command-unknown",
        LibvfioUser,
        "A first message with a number that is no command gives EINVAL",
        |s| refused(s, 999, &[0; 16]),
    ),
    check(
        "version.comes-first",
        Specification,
        "A command before VERSION gives EINVAL",
        |s| refused(s, command::DEVICE_GET_INFO, &super::payload::info(16, 0)),
    ),
    check(
        "version.comes-once",
        LibvfioUser,
        "A second VERSION gives EINVAL",
        |s| {
            let payload = Bytes::new().u32(0).bytes(OFFER.as_bytes()).bytes(&[0]);
            s.refused(command::VERSION, &payload)
        },
    ),
    check(
        "version.major",
        Specification,
        "A major version that the server does not speak (999) gives EINVAL",
        |s| {
            let payload = Bytes::new().u16(999).u16(0);
            refused(
                s,
                command::VERSION,
                &payload.bytes(OFFER.as_bytes()).bytes(&[0]),
            )
        },
    ),
    check(
        "version.minors",
        Specification,
        "Minor versions 0, 1 and 2 are accepted; the reply has the same major and no higher minor",
        |s| {
            for proposed in 0..=2 {
                let reply = s.connect()?.version(0, proposed, Some(OFFER))?;
                let (major, minor, _) = RawClient::version_reply(reply)?;
                ensure!(
                    major == 0 && minor <= proposed,
                    "0.{proposed} is answered with {major}.{minor}"
                );
            }
            holds()
        },
    ),
    check(
        "version.later-minor",
        Specification,
        "A minor version that does not exist yet (7) is answered with one that does",
        |s| {
            let mut client = s.connect()?;
            let reply = client.version(0, 7, Some(OFFER))?;
            let (major, minor, _) = RawClient::version_reply(reply)?;
            ensure!(
                (major, minor) < (0, 7),
                "0.7 is answered with {major}.{minor}"
            );
            goes_on(&mut client)?;
            holds()
        },
    ),
    check(
        "version.descriptor",
        LibvfioUser,
        "VERSION with a file descriptor gives EINVAL, and the descriptor is closed",
        |s| {
            let mut client = s.connect()?;
            let witness = Witness::new()?;
            let payload = Bytes::new().u32(0).bytes(OFFER.as_bytes()).bytes(&[0]);
            let reply = client.request(command::VERSION, &payload, &[witness.fd()])?;
            ensure!(reply.failure()? == EINVAL, "the errno is not EINVAL");
            witness.closed(s)?;
            holds()
        },
    ),
];

/// Checks that a first message is refused with EINVAL, after which the server accepts other
/// clients.
pub(super) fn refused(s: &Subject, command: u16, payload: &[u8]) -> Outcome {
    let mut client = s.connect()?;
    let errno = client.request(command, payload, &[])?.failure()?;
    ensure!(errno == EINVAL, "the errno is {}", wire::name(errno));
    drop(client);
    goes_on(&mut s.attach()?)?;
    holds()
}
