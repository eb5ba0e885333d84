//! The capabilities in VERSION, in both directions.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use super::Source::{LibvfioUser, Qemu, Specification};
use super::subject::{Subject, goes_on};
use super::version::refused;
use super::{Check, Outcome, check, holds, skip};
use crate::raw::RawClient;
use crate::raw::wire::{Bytes, HEADER, command};

pub(super) const CHECKS: &[Check] = &[
    check(
        "version-text.no-nul",
        Specification,
        "A text that does not end in NUL gives EINVAL",
        |s| refused(s, command::VERSION, &Bytes::new().u32(0).bytes(b"{}")),
    ),
    check(
        "version-text.half-an-object",
        LibvfioUser,
        "The text `{` gives EINVAL",
        |s| refused_text(s, "{"),
    ),
    check(
        "version-text.half-a-string",
        LibvfioUser,
        "The text `\"` gives EINVAL",
        |s| refused_text(s, "\""),
    ),
    check(
        "version-text.capabilities-string",
        LibvfioUser,
        "`capabilities` that are no object are EINVAL",
        |s| refused_text(s, r#"{"capabilities":""}"#),
    ),
    check(
        "version-text.max-msg-fds-string",
        LibvfioUser,
        "`max_msg_fds` that is a string gives EINVAL",
        |s| refused_member(s, r#""max_msg_fds":"8""#),
    ),
    check(
        "version-text.max-msg-fds-negative",
        LibvfioUser,
        "`max_msg_fds` below 0 gives EINVAL",
        |s| refused_member(s, r#""max_msg_fds":-1"#),
    ),
    check(
        "version-text.max-msg-fds-1025",
        LibvfioUser,
        "`max_msg_fds` above 1024 gives EINVAL",
        |s| refused_member(s, r#""max_msg_fds":1025"#),
    ),
    check(
        "version-text.max-msg-fds-1024",
        LibvfioUser,
        "`max_msg_fds` of 1024 is accepted",
        |s| accepted_member(s, r#""max_msg_fds":1024"#),
    ),
    check(
        "version-text.max-msg-fds-0",
        LibvfioUser,
        "`max_msg_fds` of 0 is accepted: the client takes none",
        |s| accepted_member(s, r#""max_msg_fds":0"#),
    ),
    check(
        "version-text.max-data-xfer-size-string",
        LibvfioUser,
        "`max_data_xfer_size` that is no integer gives EINVAL",
        |s| refused_member(s, r#""max_data_xfer_size":"1048576""#),
    ),
    check(
        "version-text.max-data-xfer-size-4",
        LibvfioUser,
        "`max_data_xfer_size` of 4 is accepted",
        |s| accepted_member(s, r#""max_data_xfer_size":4"#),
    ),
    check(
        "version-text.migration-number",
        LibvfioUser,
        "`migration` that is no object gives EINVAL",
        |s| refused_member(s, r#""migration":1"#),
    ),
    check(
        "version-text.pgsize-string",
        LibvfioUser,
        "`migration.pgsize` that is a string gives EINVAL",
        |s| refused_member(s, r#""migration":{"pgsize":"4096"}"#),
    ),
    check(
        "version-text.pgsize-4095",
        LibvfioUser,
        "`migration.pgsize` of 4095 gives EINVAL",
        |s| refused_member(s, r#""migration":{"pgsize":4095}"#),
    ),
    check(
        "version-text.twin-socket-bool",
        LibvfioUser,
        "`twin_socket` that is no object gives EINVAL",
        |s| refused_member(s, r#""twin_socket":true"#),
    ),
    check(
        "version-text.twin-socket-supported",
        LibvfioUser,
        "`twin_socket.supported` that is no boolean gives EINVAL",
        |s| refused_member(s, r#""twin_socket":{"supported":1}"#),
    ),
    check(
        "version-text.none",
        Specification,
        "VERSION without a text is accepted: all capabilities have their defaults",
        |s| accepted(s, None).map(|_| super::Verdict::Holds),
    ),
    check(
        "version-text.empty",
        Specification,
        "The text `{}` is accepted",
        |s| accepted(s, Some("{}")).map(|_| super::Verdict::Holds),
    ),
    check(
        "version-text.unknown-members",
        Specification,
        "Members that the server does not know are ignored, inside `capabilities` and beside it",
        |s| {
            let text = r#"{"capabilities":{"max_fds":8,"tea":{}},"cups":2}"#;
            accepted(s, Some(text)).map(|_| super::Verdict::Holds)
        },
    ),
    check(
        "version-text.only-what-was-offered",
        Specification,
        "The reply has only capabilities that the client named",
        |s| {
            for (offered, names) in [
                (None, &[][..]),
                (
                    Some(r#"{"capabilities":{"max_msg_fds":8}}"#),
                    &["max_msg_fds"],
                ),
            ] {
                for name in accepted(s, offered)?.keys() {
                    ensure!(names.contains(&name.as_str()), "{name} was not offered");
                }
            }
            holds()
        },
    ),
    check(
        "version-text.migration-unasked",
        Specification,
        "`migration` is not in the reply to a client that did not name it",
        |s| {
            let answer = accepted(s, Some(r#"{"capabilities":{"max_msg_fds":8}}"#))?;
            ensure!(!answer.contains_key("migration"), "it is");
            holds()
        },
    ),
    check(
        "version-text.fits-the-request",
        Qemu,
        "The reply is no longer than the request: QEMU reads it into the buffer of its request",
        |s| {
            let reply = s.connect()?.version(0, 0, Some(QEMU))?;
            let (size, room) = (HEADER + reply.payload.len(), HEADER + 4 + QEMU.len() + 1);
            ensure!(size <= room, "{size} bytes answer {room}");
            RawClient::version_reply(reply)?;
            holds()
        },
    ),
    check(
        "version-text.numbers-in-range",
        Qemu,
        "Numbers are in the range that QEMU takes: 1 to 16 descriptors, 1 byte to 64 MiB, 1 to 65535 maps, pages of 4096 bytes and more",
        |s| {
            let answer = accepted(s, Some(QEMU))?;
            for (name, most) in [
                ("max_msg_fds", 16),
                ("max_data_xfer_size", 64 << 20),
                ("max_dma_maps", 65_535),
                ("pgsizes", u64::MAX),
            ] {
                let Some(value) = answer.get(name) else {
                    continue;
                };
                let number = value
                    .as_u64()
                    .with_context(|| format!("{name} is {value}"))?;
                ensure!((1..=most).contains(&number), "{name} is {number}");
                ensure!(
                    name != "pgsizes" || number.trailing_zeros() >= 12,
                    "pgsizes is {number:#x}"
                );
            }
            holds()
        },
    ),
    check(
        "version-text.pgsize-answer",
        LibvfioUser,
        "`migration.pgsize` in a reply is a power of two",
        |s| {
            let answer = accepted(s, Some(QEMU))?;
            let Some(pgsize) = answer
                .get("migration")
                .map(|migration| &migration["pgsize"])
            else {
                return skip("the server does not offer migration");
            };
            let right = pgsize.as_u64().is_some_and(u64::is_power_of_two);
            ensure!(right, "it is {pgsize}");
            holds()
        },
    ),
    check(
        "version-text.twin-socket",
        Specification,
        "A reply with `twin_socket` has the descriptor and its index",
        |s| {
            // As long as the reply: a server may not send more than it got.
            let offer = r#"{"capabilities":{"max_msg_fds":8,"max_data_xfer_size":1048576,"twin_socket":{"supported":true}}}"#;
            let mut reply = s.connect()?.version(0, 1, Some(offer))?;
            let fds = std::mem::take(&mut reply.fds).len();
            let answer = capabilities(RawClient::version_reply(reply)?.2)?;
            let twin = answer
                .get("twin_socket")
                .filter(|twin| twin["supported"] == true);
            let Some(twin) = twin else {
                ensure!(fds == 0, "{fds} descriptors came without twin_socket");
                return skip("the server has no twin socket");
            };
            let index = twin["fd_index"].as_u64();
            ensure!(
                index.is_some_and(|index| index < fds as u64),
                "{twin} with {fds} descriptors"
            );
            holds()
        },
    ),
    check(
        "version-text.twin-socket-unasked",
        Specification,
        "Without `twin_socket.supported` true from the client there is none, and no descriptor with the reply",
        |s| {
            for offer in [
                QEMU,
                r#"{"capabilities":{"max_msg_fds":8,"twin_socket":{"supported":false}}}"#,
            ] {
                let reply = s.connect()?.version(0, 1, Some(offer))?;
                ensure!(reply.fds.is_empty(), "{} descriptors came", reply.fds.len());
                let answer = capabilities(RawClient::version_reply(reply)?.2)?;
                let twin = answer
                    .get("twin_socket")
                    .filter(|twin| twin["supported"] == true);
                ensure!(twin.is_none(), "it answers twin_socket");
            }
            holds()
        },
    ),
];

/// The capabilities that QEMU's client offers.
const QEMU: &str = r#"{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"pgsizes":4096,"max_dma_maps":65535,"migration":{"pgsize":4096,"max_bitmap_size":268435456},"write_multiple":true}}"#;

fn refused_text(s: &Subject, text: &str) -> Outcome {
    let payload = Bytes::new().u32(0).bytes(text.as_bytes()).bytes(&[0]);
    refused(s, command::VERSION, &payload)
}

fn refused_member(s: &Subject, member: &str) -> Outcome {
    refused_text(s, &format!(r#"{{"capabilities":{{{member}}}}}"#))
}

fn accepted_member(s: &Subject, member: &str) -> Outcome {
    accepted(s, Some(&format!(r#"{{"capabilities":{{{member}}}}}"#)))?;
    holds()
}

/// Checks that a text is accepted, and returns the capabilities in the reply.
fn accepted(s: &Subject, text: Option<&str>) -> Result<Map<String, Value>> {
    let mut client = s.connect()?;
    let (_, _, answer) = RawClient::version_reply(client.version(0, 1, text)?)?;
    goes_on(&mut client)?;
    capabilities(answer)
}

fn capabilities(text: Option<String>) -> Result<Map<String, Value>> {
    let Some(text) = text else {
        return Ok(Map::new());
    };
    let answer: Value = serde_json::from_str(&text).context("the reply's text")?;
    let answer = answer
        .get("capabilities")
        .and_then(Value::as_object)
        .cloned();
    answer.with_context(|| format!("the reply has no capabilities object: {text}"))
}
