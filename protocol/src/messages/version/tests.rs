use proptest::prelude::*;

use super::*;
use crate::errno::Errno;

/// The text that QEMU sends, in JSON of QEMU's own spacing.
const QEMU: &str = concat!(
    r#"{"capabilities": {"pgsizes": 4096, "max_msg_fds": 16, "max_dma_maps": 65535, "max_data_xfer_size": 1048576, "#,
    r#""migration": {"max_bitmap_size": 268435456, "pgsize": 4096}, "write_multiple": true}}"#,
);

fn payload(major: u16, minor: u16, text: &[u8]) -> Vec<u8> {
    let mut bytes = [major.to_ne_bytes(), minor.to_ne_bytes()].concat();
    bytes.extend_from_slice(text);
    bytes
}

fn propose(json: &str) -> Result<Proposal, MessageError> {
    Proposal::parse(&payload(0, 1, format!("{json}\0").as_bytes()))
}

fn answer(json: &str, server: &ServerLimits) -> Option<Capabilities> {
    negotiate(&propose(json).unwrap(), server)
        .unwrap()
        .capabilities
}

/// A server that can do everything.
fn able() -> ServerLimits {
    ServerLimits {
        max_msg_fds: 16,
        write_multiple: true,
        sparse_mmap_fds: true,
        twin_socket: Some(0),
        migration: Some(Migration {
            pgsize: Some(4096),
            max_bitmap_size: Some(1 << 28),
        }),
        pm_dialect: Some("mainline".into()),
        ..ServerLimits::default()
    }
}

#[test]
fn qemu_is_understood_and_answered_within_its_buffer() {
    let proposal = Proposal::parse(&payload(0, 0, format!("{QEMU}\0").as_bytes())).unwrap();
    let offered = proposal.capabilities.as_ref().unwrap();
    assert_eq!(
        offered.migration.unwrap().max_bitmap_size,
        Some(268_435_456)
    );
    assert_eq!(
        (proposal.limits().max_msg_fds, offered.write_multiple),
        (16, Some(true))
    );

    for server in [
        ServerLimits {
            max_msg_fds: 16,
            ..ServerLimits::default()
        },
        able(),
    ] {
        let reply = negotiate(&proposal, &server).unwrap();
        let mut out = Vec::new();
        reply.encode(&mut out);
        assert_eq!((reply.major, reply.minor), (0, 0));
        assert_eq!(out.last(), Some(&0));
        assert!(out.len() <= SIZE + MAX_REPLY_TEXT + 1);
        let told = reply.capabilities.unwrap();
        assert_eq!((told.max_msg_fds, told.pgsizes), (Some(16), Some(4096)));
        assert_eq!(
            (told.twin_socket, told.write_multiple.is_some()),
            (None, server.write_multiple)
        );
    }
}

#[test]
fn minors_are_accepted_and_the_lower_one_holds() {
    for (proposed, holds) in [(0, 0), (1, 1), (2, 2), (3, 2), (u16::MAX, 2)] {
        let reply = negotiate(&Proposal::new(0, proposed, None), &able()).unwrap();
        assert_eq!(
            reply,
            Reply {
                major: 0,
                minor: holds,
                capabilities: None
            }
        );
    }
    let error = negotiate(&Proposal::new(999, 0, None), &able()).unwrap_err();
    assert_eq!(error.errno(), Errno::EINVAL);
    assert_eq!(
        error.to_string(),
        "VERSION request: major version is 0x3e7, it has to be 0"
    );
}

#[test]
fn no_text_means_the_defaults_and_no_text_back() {
    let proposal = Proposal::parse(&payload(0, 2, b"")).unwrap();
    assert_eq!(
        (&proposal.capabilities, proposal.limits()),
        (&None, PeerLimits::default())
    );
    assert_eq!(negotiate(&proposal, &able()).unwrap().capabilities, None);
}

#[test]
fn a_text_is_refused_unless_it_is_an_object_with_a_nul_at_its_end() {
    assert!(Proposal::parse(&payload(0, 1, b"{}")).is_err(), "no NUL");
    assert!(
        Proposal::parse(&payload(0, 1, b"{}\0\0")).is_ok(),
        "padding"
    );
    assert!(
        Proposal::parse(&payload(0, 1, b"{}\0x\0")).is_ok(),
        "the first NUL is the end"
    );
    for text in [
        "",
        "{",
        "\"",
        "[]",
        "5",
        "null",
        r#"{"capabilities": "all"}"#,
        r#"{"capabilities": null}"#,
    ] {
        assert_eq!(propose(text).unwrap_err().errno(), Errno::EINVAL, "{text}");
    }
    for text in ["{}", r#"{"capabilities": {}}"#, r#"{"other": 1}"#] {
        assert_eq!(
            propose(text).unwrap().capabilities,
            Some(Capabilities::default()),
            "{text}"
        );
    }
}

#[test]
fn members_have_types_and_ranges() {
    let whole = |member: &str| format!(r#"{{"capabilities": {{{member}}}}}"#);
    for good in [
        r#""max_msg_fds": 0"#,
        r#""max_msg_fds": 1024"#,
        r#""max_data_xfer_size": 4"#,
        r#""max_data_xfer_size": 18446744073709551615"#,
        r#""max_fds": "unknown member""#,
        r#""migration": {}"#,
        r#""migration": {"pgsize": 4096, "max_data_xfer_size": "unknown here"}"#,
        r#""twin_socket": {"supported": false}"#,
        r#""pm_dialects": []"#,
    ] {
        assert!(propose(&whole(good)).is_ok(), "{good}");
    }
    for bad in [
        r#""max_msg_fds": "1""#,
        r#""max_msg_fds": -1"#,
        r#""max_msg_fds": 1025"#,
        r#""max_msg_fds": 1.5"#,
        r#""max_msg_fds": null"#,
        r#""max_data_xfer_size": 0"#,
        r#""max_data_xfer_size": -1"#,
        r#""max_data_xfer_size": 18446744073709551616"#,
        r#""max_dma_maps": true"#,
        r#""pgsizes": "4096""#,
        r#""migration": 1"#,
        r#""migration": {"pgsize": "4096"}"#,
        r#""migration": {"pgsize": 4095}"#,
        r#""twin_socket": true"#,
        r#""twin_socket": {"supported": 1}"#,
        r#""twin_socket": {"supported": true, "fd_index": 4294967296}"#,
        r#""write_multiple": 1"#,
        r#""sparse_mmap_fds": "yes""#,
        r#""pm_dialects": "mainline""#,
        r#""pm_dialects": [1]"#,
    ] {
        assert_eq!(
            propose(&whole(bad)).unwrap_err().errno(),
            Errno::EINVAL,
            "{bad}"
        );
    }
}

#[test]
fn an_error_names_the_member_and_what_would_be_right() {
    for (text, reason) in [
        (
            r#"{"capabilities": {"max_msg_fds": 1025}}"#,
            "max_msg_fds in capabilities is 1025, it has to be from 0 to 1024",
        ),
        (
            r#"{"capabilities": {"migration": {"pgsize": 3}}}"#,
            "pgsize in migration is 3, it has to be a power of two",
        ),
        (
            r#"{"capabilities": {"write_multiple": "x"}}"#,
            "write_multiple in capabilities is a string, it has to be true or false",
        ),
        ("[]", "the text is an array, it has to be an object"),
    ] {
        assert_eq!(
            propose(text).unwrap_err().to_string(),
            format!("VERSION request: {reason}")
        );
    }
}

#[test]
fn a_long_text_is_refused_before_it_is_read() {
    let text = format!("{{}}{}\0", " ".repeat(MAX_TEXT - 3));
    assert!(Proposal::parse(&payload(0, 1, text.as_bytes())).is_ok());
    let error = Proposal::parse(&payload(0, 1, format!(" {text}").as_bytes())).unwrap_err();
    assert!(error.to_string().contains("65537 bytes long"));
    let nested = format!("{}\0", "[".repeat(MAX_TEXT - 1));
    assert!(Proposal::parse(&payload(0, 1, nested.as_bytes())).is_err());
}

#[test]
fn options_need_both_sides() {
    let wish = r#"{"capabilities": {"write_multiple": true, "sparse_mmap_fds": true, "twin_socket": {"supported": true},
        "migration": {"pgsize": 4096}, "pm_dialects": ["v4", "mainline"], "max_fds": 8}}"#;
    assert_eq!(
        answer(wish, &ServerLimits::default()),
        Some(Capabilities::default())
    );
    let told = answer(wish, &able()).unwrap();
    assert_eq!(
        told.twin_socket,
        Some(TwinSocket {
            supported: true,
            fd_index: Some(0)
        })
    );
    assert_eq!(
        (told.write_multiple, told.sparse_mmap_fds),
        (Some(true), Some(true))
    );
    let migration = able().migration.map(|able| Migration {
        max_bitmap_size: None,
        ..able
    });
    assert_eq!((told.migration, told.max_msg_fds), (migration, None));

    let refusal = r#"{"capabilities": {"write_multiple": false, "twin_socket": {"supported": false}, "pm_dialects": ["v4"],
        "padding for the reply": "................................................................"}}"#;
    assert_eq!(answer(refusal, &able()), Some(Capabilities::default()));
    let dialect = r#"{"capabilities": {"pm_dialects": ["v4", "mainline"]}}"#;
    assert_eq!(
        answer(dialect, &able()).unwrap().pm_dialects,
        Some(vec!["mainline".into()])
    );
}

#[test]
fn what_says_more_than_a_default_stays_longest() {
    let offer = r#"{"capabilities":{"max_msg_fds":1,"max_data_xfer_size":1048576,"max_dma_maps":1,"pgsizes":1}}"#;
    let told = answer(
        offer,
        &ServerLimits {
            max_msg_fds: 8,
            ..ServerLimits::default()
        },
    )
    .unwrap();
    assert_eq!((told.max_msg_fds, told.max_dma_maps), (Some(8), None));
    assert_eq!(
        answer("{}", &able()),
        None,
        "not even an empty set fits into the client's three bytes"
    );
}

fn number() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        Just(None),
        any::<u64>().prop_map(|number| Some(number.max(1))),
        (1..100_000_u64).prop_map(Some)
    ]
}

fn capabilities() -> impl Strategy<Value = Capabilities> {
    let limits = (prop::option::of(0..=1024_u32), number(), number(), number());
    let twin_socket =
        (any::<bool>(), any::<Option<u32>>()).prop_map(|(supported, fd_index)| TwinSocket {
            supported,
            fd_index,
        });
    let migration =
        (prop::option::of(0..64_u32), number()).prop_map(|(bit, max_bitmap_size)| Migration {
            pgsize: bit.map(|bit| 1 << bit),
            max_bitmap_size,
        });
    let options = (
        prop::option::of(twin_socket),
        any::<Option<bool>>(),
        any::<Option<bool>>(),
        prop::option::of(migration),
    );
    let dialects = prop::option::of(prop::collection::vec(
        prop_oneof!["mainline", "v4", ".{0,20}"],
        0..4,
    ));
    (limits, options, dialects).prop_map(|(limits, options, pm_dialects)| {
        let (max_msg_fds, max_data_xfer_size, max_dma_maps, pgsizes) = limits;
        let (twin_socket, write_multiple, sparse_mmap_fds, migration) = options;
        Capabilities {
            max_msg_fds,
            max_data_xfer_size,
            max_dma_maps,
            pgsizes,
            twin_socket,
            write_multiple,
            sparse_mmap_fds,
            migration,
            pm_dialects,
        }
    })
}

proptest! {
    #[test]
    fn proposals_and_replies_survive_the_wire(major: u16, minor: u16, capabilities in prop::option::of(capabilities())) {
        let mut out = Vec::new();
        let proposal = Proposal::new(major, minor, capabilities.clone());
        proposal.encode(&mut out);
        prop_assert_eq!(Proposal::parse(&out), Ok(proposal));
        prop_assert_eq!(Reply::parse(&out), Ok(Reply { major, minor, capabilities }));
        prop_assert!((0..SIZE).all(|end| Proposal::parse(&out[..end]).is_err()));
    }

    #[test]
    fn a_reply_is_a_subset_and_fits(offered in prop::option::of(capabilities()), minor: u16) {
        let proposal = Proposal::new(0, minor, offered.clone());
        let reply = negotiate(&proposal, &able()).unwrap();
        let mut out = Vec::new();
        reply.encode(&mut out);
        prop_assert!(out.len() <= SIZE + proposal.text_size);
        prop_assert!(out.len() <= SIZE + MAX_REPLY_TEXT + 1);
        prop_assert_eq!(Reply::parse(&out), Ok(reply.clone()));
        let offered = offered.unwrap_or_default();
        if let Some(told) = reply.capabilities {
            for (told, offered) in [
                (told.max_msg_fds.is_some(), offered.max_msg_fds.is_some()),
                (told.max_data_xfer_size.is_some(), offered.max_data_xfer_size.is_some()),
                (told.max_dma_maps.is_some(), offered.max_dma_maps.is_some()),
                (told.pgsizes.is_some(), offered.pgsizes.is_some()),
                (told.twin_socket.is_some(), offered.twin_socket.is_some_and(|twin| twin.supported)),
                (told.write_multiple.is_some(), offered.write_multiple == Some(true)),
                (told.sparse_mmap_fds.is_some(), offered.sparse_mmap_fds == Some(true)),
                (told.migration.is_some(), offered.migration.is_some()),
                (told.pm_dialects.is_some(), offered.pm_dialects.is_some()),
            ] {
                prop_assert!(offered || !told);
            }
        }
    }

    #[test]
    fn any_text_is_refused_or_understood(text in "[ -~]{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        for payload in [payload(0, 0, format!("{text}\0").as_bytes()), bytes] {
            if let Ok(proposal) = Proposal::parse(&payload) {
                let reply = negotiate(&Proposal { major: 0, ..proposal }, &able());
                prop_assert!(reply.is_ok());
            }
        }
    }
}
