//! The server's replies to messages, well-formed or not: every malformed one gets its errno in a
//! reply of 16 bytes, and the connection goes on.

use std::os::fd::{AsFd, BorrowedFd};

use client_tests::daemon::Daemon;
use client_tests::os::{self, Event};
use client_tests::raw::wire::{Bytes, EINVAL, ENOTTY, HEADER, command, flag, header, region};
use client_tests::raw::{PATIENCE, RawClient};

use crate::common::{SCRATCH, decoding, goes_on, served};

const MAGIC: [u8; 4] = 0x504d_4456_u32.to_le_bytes();

/// Sends a command that has to fail with EINVAL, and checks that the connection goes on.
fn refused(client: &mut RawClient, what: &str, command: u16, payload: &[u8]) {
    let reply = client.request(command, payload, &[]).expect(what);
    assert_eq!(reply.failure().expect(what), EINVAL, "{what}");
    goes_on(client, what);
}

#[test]
fn a_header_that_makes_no_sense_is_answered_with_einval() {
    let (_daemon, mut client) = served();
    for (what, command, size, flags) in [
        ("size 0", command::DEVICE_RESET, 0, flag::COMMAND),
        ("size 15", command::DEVICE_RESET, 15, flag::COMMAND),
        ("a reply to nothing", command::DEVICE_RESET, 16, flag::REPLY),
        ("type 2", command::DEVICE_RESET, 16, 2),
        ("type 15", command::DEVICE_RESET, 16, 15),
    ] {
        client
            .send(&header(0xbad1, command, size, flags, 0), &[])
            .unwrap();
        let reply = client.receive().expect(what);
        assert_eq!((reply.id, reply.command), (0xbad1, command), "{what}");
        assert_eq!(reply.failure().expect(what), EINVAL, "{what}");
        goes_on(&mut client, what);
    }
}

#[test]
fn a_message_above_the_largest_size_is_refused() {
    let (daemon, client) = served();
    client
        .send(
            &header(7, command::REGION_WRITE, u32::MAX, flag::COMMAND, 0),
            &[],
        )
        .unwrap();
    let reply = client.receive().unwrap();
    assert_eq!((reply.id, reply.failure().unwrap()), (7, EINVAL));
    // Nobody can tell the start of the next message, so this connection is over; the next is not.
    client.closed().unwrap();
    goes_on(&mut daemon.attach(0).unwrap(), "another client");
}

#[test]
fn commands_that_are_not_served_are_einval() {
    let (_daemon, mut client) = served();
    for number in [
        0,
        command::DMA_READ,
        command::DMA_WRITE,
        14,
        19,
        999,
        u16::MAX,
    ] {
        for payload in [&[][..], &[0], &[0; 64]] {
            refused(&mut client, &format!("command {number}"), number, payload);
        }
    }
}

#[test]
fn a_payload_shorter_than_its_structure_is_einval() {
    let (_daemon, mut client) = served();
    for (number, least) in [
        (command::DMA_MAP, 32),
        (command::DMA_UNMAP, 24),
        (command::DEVICE_GET_INFO, 16),
        (command::DEVICE_GET_REGION_INFO, 32),
        (command::DEVICE_GET_REGION_IO_FDS, 16),
        (command::DEVICE_GET_IRQ_INFO, 16),
        (command::DEVICE_SET_IRQS, 20),
        (command::REGION_READ, 16),
        (command::REGION_WRITE, 16),
        (command::REGION_WRITE_MULTI, 8),
        (command::DEVICE_FEATURE, 8),
    ] {
        for length in [0, 1, least / 2, least - 1] {
            let what = format!("command {number} with {length} bytes");
            refused(&mut client, &what, number, &vec![0; length]);
        }
    }
}

#[test]
fn version_says_what_is_wrong_with_it() {
    let (daemon, client) = served();
    drop(client);
    for (what, payload) in [
        ("no payload", Bytes::new()),
        ("half a version", Bytes::new().u16(0)),
        ("major 1", Bytes::new().u16(1).u16(0)),
        ("major 999", Bytes::new().u16(999).u16(0)),
        ("no NUL", Bytes::new().u32(0).bytes(b"{}")),
        ("half an object", json("{")),
        ("half a string", json("\"")),
        ("an array", json("[]")),
        ("capabilities as a string", capabilities("\"\"")),
        (
            "max_msg_fds as a string",
            capabilities(r#"{"max_msg_fds":"8"}"#),
        ),
        (
            "max_msg_fds negative",
            capabilities(r#"{"max_msg_fds":-1}"#),
        ),
        ("max_msg_fds 1025", capabilities(r#"{"max_msg_fds":1025}"#)),
        (
            "max_data_xfer_size as a string",
            capabilities(r#"{"max_data_xfer_size":"1"}"#),
        ),
        (
            "max_data_xfer_size 0",
            capabilities(r#"{"max_data_xfer_size":0}"#),
        ),
        (
            "max_data_xfer_size negative",
            capabilities(r#"{"max_data_xfer_size":-1}"#),
        ),
        ("migration as a number", capabilities(r#"{"migration":1}"#)),
        (
            "twin_socket as a bool",
            capabilities(r#"{"twin_socket":true}"#),
        ),
        (
            "write_multiple as a number",
            capabilities(r#"{"write_multiple":1}"#),
        ),
    ] {
        let mut client = RawClient::connect(&daemon.socket(0)).unwrap();
        let reply = client.request(command::VERSION, &payload, &[]).expect(what);
        assert_eq!(reply.failure().expect(what), EINVAL, "{what}");
    }
    goes_on(
        &mut daemon.attach(0).unwrap(),
        "a client that says it right",
    );
}

fn json(text: &str) -> Bytes {
    Bytes::new().u32(0).bytes(text.as_bytes()).bytes(&[0])
}

fn capabilities(text: &str) -> Bytes {
    json(&format!(r#"{{"capabilities":{text}}}"#))
}

#[test]
fn versions_and_capabilities_in_use_are_agreed_on() {
    let (daemon, client) = served();
    drop(client);
    let qemu = r#"{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"pgsizes":4096,"max_dma_maps":65535,"migration":{"pgsize":4096,"max_bitmap_size":268435456},"write_multiple":true}}"#;
    for (what, minor, text) in [
        ("no text", 0, None),
        ("an empty object", 2, Some("{}")),
        ("no capabilities", 1, Some(r#"{"capabilities":{}}"#)),
        (
            "one that nobody knows",
            2,
            Some(r#"{"capabilities":{"max_fds":8,"tea":{}},"cups":2}"#),
        ),
        (
            "small transfers",
            1,
            Some(r#"{"capabilities":{"max_data_xfer_size":4}}"#),
        ),
        (
            "1024 fds",
            1,
            Some(r#"{"capabilities":{"max_msg_fds":1024}}"#),
        ),
        ("no fds", 1, Some(r#"{"capabilities":{"max_msg_fds":0}}"#)),
        ("what QEMU sends", 0, Some(qemu)),
        ("a later minor version", 7, Some("{}")),
    ] {
        let mut client = RawClient::connect(&daemon.socket(0)).unwrap();
        let reply = client.version(0, minor, text).expect(what);
        let size = HEADER + reply.payload.len();
        assert!(
            reply.fds.is_empty(),
            "{what}: descriptors that nobody asked for"
        );
        let request = HEADER + 4 + text.map_or(0, |text| text.len() + 1);
        assert!(
            size <= request,
            "{what}: {size} bytes answer {request}, more than QEMU reads"
        );
        let (major, agreed, answer) = RawClient::version_reply(reply).expect(what);
        assert_eq!((major, agreed), (0, minor.min(2)), "{what}");
        for name in answer.iter().flat_map(|answer| answered(answer)) {
            assert!(
                text.unwrap_or_default().contains(&name),
                "{what}: {name} was not offered"
            );
        }
        goes_on(&mut client, what);
    }
}

#[test]
fn options_are_answered_to_who_offers_them() {
    let (daemon, client) = served();
    drop(client);
    for (offered, answered) in [
        ("{}", None),
        (r#"{"write_multiple":false}"#, None),
        (r#"{"write_multiple":true}"#, Some(true)),
    ] {
        let mut client = RawClient::connect(&daemon.socket(0)).unwrap();
        let text = format!(r#"{{"capabilities":{offered}}}"#);
        let reply = client.version(0, 1, Some(&text)).unwrap();
        let (_, _, answer) = RawClient::version_reply(reply).unwrap();
        let answer: serde_json::Value =
            serde_json::from_str(answer.as_deref().unwrap_or("{}")).unwrap();
        assert_eq!(
            answer["capabilities"]["write_multiple"].as_bool(),
            answered,
            "{offered}"
        );
    }
}

/// The names of the capabilities in a VERSION reply.
fn answered(text: &str) -> Vec<String> {
    let reply: serde_json::Value = serde_json::from_str(text).unwrap();
    reply["capabilities"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

#[test]
fn version_comes_first_and_once() {
    let (daemon, mut client) = served();
    assert_eq!(
        client.version(0, 1, None).unwrap().failure().unwrap(),
        EINVAL
    );
    goes_on(&mut client, "a second VERSION");
    drop(client);
    let mut client = RawClient::connect(&daemon.socket(0)).unwrap();
    let early = client.region_read(region::CONFIG, 0, 4).unwrap();
    assert_eq!(early.failure().unwrap(), EINVAL);
}

#[test]
fn info_requests_check_argsz_and_index() {
    let (_daemon, mut client) = served();
    let info = |argsz, index| Bytes::new().u32(argsz).u32(0).u32(index).u32(0);
    let long = |argsz, index| info(argsz, index).u64(0).u64(0);
    for (what, number, payload) in [
        ("GET_INFO, argsz 8", command::DEVICE_GET_INFO, info(8, 0)),
        (
            "GET_REGION_INFO, argsz 31",
            command::DEVICE_GET_REGION_INFO,
            long(31, 0),
        ),
        (
            "GET_REGION_INFO, index 9",
            command::DEVICE_GET_REGION_INFO,
            long(32, 9),
        ),
        (
            "GET_REGION_INFO, index -1",
            command::DEVICE_GET_REGION_INFO,
            long(32, u32::MAX),
        ),
        (
            "GET_REGION_IO_FDS, argsz 15",
            command::DEVICE_GET_REGION_IO_FDS,
            info(15, 0),
        ),
        (
            "GET_REGION_IO_FDS, index 9",
            command::DEVICE_GET_REGION_IO_FDS,
            info(16, 9),
        ),
        (
            "GET_REGION_IO_FDS, flags 1",
            command::DEVICE_GET_REGION_IO_FDS,
            Bytes::new().u32(16).u32(1).u64(0),
        ),
        (
            "GET_REGION_IO_FDS, count 1",
            command::DEVICE_GET_REGION_IO_FDS,
            Bytes::new().u32(16).u32(0).u32(0).u32(1),
        ),
        (
            "GET_IRQ_INFO, argsz 8",
            command::DEVICE_GET_IRQ_INFO,
            info(8, 0),
        ),
        (
            "GET_IRQ_INFO, index 5",
            command::DEVICE_GET_IRQ_INFO,
            info(16, 5),
        ),
    ] {
        refused(&mut client, what, number, &payload);
    }
}

#[test]
fn info_requests_say_what_the_function_has() {
    let (_daemon, mut client) = served();
    assert_eq!(
        client.device_info().unwrap(),
        (0b11, 9, 5),
        "reset and PCI, regions, irqs"
    );
    // Clients exist that count the header in argsz.
    let reply = client.request(
        command::DEVICE_GET_INFO,
        &Bytes::new().u32(32).u32(0).u64(0),
        &[],
    );
    assert_eq!(reply.unwrap().success().unwrap()[..4], 16_u32.to_ne_bytes());
    let sizes: Vec<(u64, u32)> = (0..9)
        .map(|index| {
            let info = client.region_info(index).unwrap();
            assert_eq!(
                (info.argsz, info.index, info.cap_offset, info.offset),
                (32, index, 0, 0)
            );
            (info.size, info.flags)
        })
        .collect();
    let expected = [
        (0x1000, 3),
        (0, 0),
        (0x10000, 3),
        (0, 0),
        (0x1000, 3),
        (0, 0),
        (0, 0),
        (0x1000, 3),
        (0, 0),
    ];
    assert_eq!(
        sizes, expected,
        "size, and whether it can be read (1) and written (2)"
    );
    let counts: Vec<u32> = (0..5)
        .map(|index| client.irq_info(index).unwrap().count)
        .collect();
    assert_eq!(counts, [1, 8, 16, 1, 1], "INTx, MSI, MSI-X, ERR, REQ");
    let none = client.request(
        command::DEVICE_GET_REGION_IO_FDS,
        &Bytes::new().u32(16).u32(0).u64(0),
        &[],
    );
    let none = none.unwrap();
    assert!(none.fds.is_empty());
    assert_eq!(
        none.success().unwrap(),
        *Bytes::new().u32(16).u32(0).u64(0),
        "none, and argsz 16"
    );
}

#[test]
fn accesses_stay_inside_their_region() {
    let (_daemon, mut client) = decoding();
    let limit = 1 << 20;
    for (index, offset, count) in [
        (0, 0x1000, 1),
        (0, 0xfff, 2),
        (0, 0, 0x1001),
        (0, u64::MAX, 1),
        (0, u64::MAX - 3, 8),
        (1, 0, 1),
        (region::ROM, 0, 1),
        (region::CONFIG, 0x1000, 4),
        (region::CONFIG, 0xffe, 4),
        (region::VGA, 0, 1),
        (9, 0, 4),
        (u32::MAX, 0, 4),
        (2, 0, limit + 8),
        (2, 0, u32::MAX),
    ] {
        let what = format!("{count} bytes at {offset:#x} of region {index}");
        let access = Bytes::new().u64(offset).u32(index).u32(count);
        refused(
            &mut client,
            &format!("reading {what}"),
            command::REGION_READ,
            &access,
        );
        if count <= limit {
            let write = access.bytes(&vec![0; count as usize]);
            refused(
                &mut client,
                &format!("writing {what}"),
                command::REGION_WRITE,
                &write,
            );
        }
    }
    for (count, sent) in [(4, 3), (4, 5), (0, 1), (8, 0)] {
        let write = Bytes::new().u64(0).u32(2).u32(count).bytes(&vec![0; sent]);
        let what = format!("writing {count} bytes with {sent}");
        refused(&mut client, &what, command::REGION_WRITE, &write);
    }
    assert!(
        client.read(2, 0, 0).unwrap().is_empty(),
        "no bytes are no error"
    );
    client.write(2, 0, &[]).unwrap();
    assert_eq!(client.read(2, 0xfffc, 4).unwrap(), [0; 4], "the last bytes");
}

#[test]
fn odd_offsets_and_widths_are_served() {
    let (_daemon, mut client) = decoding();
    let pattern: Vec<u8> = (1..=64).collect();
    client.write(2, 0x101, &pattern).unwrap();
    for (offset, count) in [(0x101, 64), (0x102, 3), (0x105, 7), (0x110, 1)] {
        let from = offset - 0x101;
        let expected = &pattern[from..from + count];
        assert_eq!(
            client.read(2, offset as u64, count as u32).unwrap(),
            expected,
            "{offset:#x}"
        );
    }
    client.write(0, SCRATCH + 1, &[0xaa, 0xbb]).unwrap();
    assert_eq!(client.read(0, 0, 8).unwrap()[4..], [0, 0xaa, 0xbb, 0]);
}

#[test]
fn reading_as_much_as_the_limit_allows_is_one_reply() {
    let (_daemon, mut client) = Daemon::testdev(&["bar.2.size=0x200000"]).unwrap();
    client.write(region::CONFIG, 4, &[2, 0]).unwrap();
    let data: Vec<u8> = (0..1 << 20).map(|at: u32| (at % 251) as u8).collect();
    client.write(2, 0x8_0000, &data).unwrap();
    assert!(client.read(2, 0x8_0000, 1 << 20).unwrap() == data);
    goes_on(&mut client, "a megabyte");
}

#[test]
fn descriptors_that_nobody_takes_are_closed() {
    let (_daemon, mut client) = served();
    let map = Bytes::new().u32(32).u32(3).u64(0).u64(0x1000).u64(0x1000);
    let unaligned = Bytes::new().u32(32).u32(3).u64(0).u64(0x1001).u64(0x1000);
    let irqs = |count| Bytes::new().u32(20).u32(0x24).u32(2).u32(0).u32(count);
    for (what, number, payload, fds) in [
        (
            "GET_INFO takes none",
            command::DEVICE_GET_INFO,
            Bytes::new().u32(16).u32(0).u64(0),
            1,
        ),
        (
            "DEVICE_RESET takes none",
            command::DEVICE_RESET,
            Bytes::new(),
            2,
        ),
        ("an unknown command", 999, Bytes::new(), 1),
        (
            "a short SET_IRQS",
            command::DEVICE_SET_IRQS,
            Bytes::new(),
            1,
        ),
        (
            "two fds for three vectors",
            command::DEVICE_SET_IRQS,
            irqs(3),
            2,
        ),
        (
            "pipes are no eventfds",
            command::DEVICE_SET_IRQS,
            irqs(1),
            1,
        ),
        ("an unaligned map", command::DMA_MAP, unaligned, 1),
        ("a pipe is no memory", command::DMA_MAP, map.clone(), 1),
        ("two fds for a map", command::DMA_MAP, map, 2),
    ] {
        let pipes: Vec<_> = (0..fds).map(|_| std::io::pipe().unwrap()).collect();
        let (ends, sent): (Vec<_>, Vec<_>) = pipes.into_iter().unzip();
        let borrowed: Vec<BorrowedFd<'_>> = sent.iter().map(AsFd::as_fd).collect();
        let reply = client.request(number, &payload, &borrowed).expect(what);
        assert_eq!(reply.failure().expect(what), EINVAL, "{what}");
        // The server's were the last ones: the other end of each pipe sees that nobody is left.
        drop(sent);
        for end in &ends {
            assert!(
                os::readable(end.as_fd(), PATIENCE).unwrap(),
                "{what}: one is still open"
            );
        }
        goes_on(&mut client, what);
    }
}

#[test]
fn more_descriptors_than_the_server_takes_are_refused_and_closed() {
    let (_daemon, mut client) = served();
    let events: Vec<Event> = (0..60).map(|_| Event::new().unwrap()).collect();
    let fds: Vec<BorrowedFd<'_>> = events.iter().map(Event::as_fd).collect();
    let request = Bytes::new().u32(20).u32(0x24).u32(2).u32(0).u32(60);
    let reply = client
        .request(command::DEVICE_SET_IRQS, &request, &fds)
        .unwrap();
    assert_eq!(reply.failure().unwrap(), EINVAL);
    goes_on(&mut client, "60 descriptors");
}

#[test]
fn resets_are_answered() {
    let (_daemon, mut client) = decoding();
    client.write(0, SCRATCH, &[1, 2, 3, 4]).unwrap();
    assert!(client.reset().unwrap().success().unwrap().is_empty());
    assert_eq!(client.read(region::CONFIG, 4, 2).unwrap(), [0, 0]);
    client.write(region::CONFIG, 4, &[2, 0]).unwrap();
    assert_eq!(client.read(0, 0, 8).unwrap(), [MAGIC, [0; 4]].concat());
}

#[test]
fn a_device_feature_that_nobody_knows_is_enotty() {
    let (_daemon, mut client) = served();
    let (get, set, probe) = (1 << 16, 1 << 17, 1 << 18);
    for operation in [get, set, probe | get, probe | set] {
        let reply = client
            .device_feature(8, 0x7fff | operation, &[], &[])
            .unwrap();
        assert_eq!(reply.failure().unwrap(), ENOTTY, "{operation:#x}");
        goes_on(&mut client, "an unknown feature");
    }
}
