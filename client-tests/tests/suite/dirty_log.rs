//! DMA logging: what the client is told of the pages that the device wrote, however it wrote them.

use std::collections::BTreeSet;

use client_tests::daemon::Daemon;
use client_tests::os::Memory;
use client_tests::raw::wire::device_feature::{GET, PROBE, SET};
use client_tests::raw::wire::dma_map::{READ, WRITE};
use client_tests::raw::wire::{Bytes, EINVAL, ENOTTY, command, field_u64};
use client_tests::raw::{Message, RawClient};

use crate::asked::{self, Asked};
use crate::copier::{Copier, DESTINATION, Outcome, PAGE, SOURCE, buffers};

const START: u32 = 6;
const STOP: u32 = 7;
const REPORT: u32 = 8;
const E2BIG: u32 = 7;

const MIB: u64 = 1 << 20;
/// Far from both buffers of the copy engine, and a multiple of every page size.
const TARGET: u64 = 1 << 32;

fn feature(client: &mut RawClient, argsz: u32, flags: u32, data: &Bytes) -> Message {
    client.device_feature(argsz, flags, data, &[]).unwrap()
}

fn start_data(page_size: u64, ranges: &[(u64, u64)]) -> Bytes {
    let head = Bytes::new().u64(page_size).u32(ranges.len() as u32).u32(0);
    ranges
        .iter()
        .fold(head, |data, (iova, length)| data.u64(*iova).u64(*length))
}

fn start(client: &mut RawClient, page_size: u64, ranges: &[(u64, u64)]) -> Message {
    let data = start_data(page_size, ranges);
    feature(client, 8 + data.len() as u32, SET | START, &data)
}

fn stop(client: &mut RawClient) {
    feature(client, 8, SET | STOP, &Bytes::new())
        .success()
        .unwrap();
}

fn report_data(iova: u64, length: u64, page_size: u64) -> Bytes {
    Bytes::new().u64(iova).u64(length).u64(page_size)
}

/// The bits that are set, by number.
fn bits(bitmap: &[u8]) -> BTreeSet<u64> {
    let is_set = |bit: &u64| field_u64(bitmap, (bit / 64 * 8) as usize) >> (bit % 64) & 1 == 1;
    (0..bitmap.len() as u64 * 8).filter(is_set).collect()
}

/// The dirty pages of a range, by number from its beginning on.
fn report(client: &mut RawClient, iova: u64, length: u64, page_size: u64) -> BTreeSet<u64> {
    let data = report_data(iova, length, page_size);
    let size = length.div_ceil(page_size).div_ceil(64) * 8;
    let argsz = (32 + size) as u32;
    let reply = feature(client, argsz, GET | REPORT, &data)
        .success()
        .unwrap();
    assert_eq!(reply.len() as u64, 32 + size);
    let head = Bytes::new().u32(argsz).u32(GET | REPORT).bytes(&data);
    assert_eq!(reply[..32], *head);
    bits(&reply[32..])
}

/// Unmaps with a bitmap of that many bytes.
fn unmap(client: &mut RawClient, iova: u64, length: u64, page_size: u64, size: u64) -> Message {
    let request = Bytes::new().u32(40 + size as u32).u32(1).u64(iova);
    let request = request.u64(length).u64(page_size).u64(size);
    client.request(command::DMA_UNMAP, &request, &[]).unwrap()
}

#[test]
fn the_log_is_what_the_device_wrote() {
    for (set, page_size) in [
        ("host.client-memory=file-io", 4 << 10),
        ("host.client-memory=map-sealed", 64 << 10),
        ("host.client-memory=map-sealed", 4 << 10),
        ("host.client-memory=file-io", 2 * MIB),
    ] {
        let mut copier = Copier::new(&[set]);
        let length = 70 * page_size;
        let _source = buffers(&mut copier, Memory::sealed, READ | WRITE, 16 * PAGE);
        let target = Memory::sealed(length).unwrap();
        copier.map(READ | WRITE, TARGET, length, &target);
        let copied = copier.copy(SOURCE, TARGET, 1);
        assert_eq!(copied, Outcome::Copied, "before anything is logged");
        let reply = start(&mut copier.client, page_size, &[]);
        let expected = Bytes::new().u32(24).u32(SET | START);
        let expected = expected.bytes(&start_data(page_size, &[]));
        assert_eq!(reply.success().unwrap(), *expected);
        assert!(report(&mut copier.client, TARGET, length, page_size).is_empty());

        let mut written = BTreeSet::new();
        for (at, len) in [
            (7 * page_size, 1),
            (9 * page_size - 1, 2),
            (15 * page_size + 3, 0x1000),
            (24 * page_size - 0x1234, 0x5000),
            (64 * page_size - 1, 1),
            (length - 1, 1),
        ] {
            let copied = copier.copy(SOURCE + 5, TARGET + at, len as u32);
            assert_eq!(copied, Outcome::Copied);
            written.extend(at / page_size..=(at + len - 1) / page_size);
        }
        let copied = copier.copy(TARGET + 40 * page_size, DESTINATION, 0x100);
        assert_eq!(copied, Outcome::Copied, "what is read is not dirty");
        let client = &mut copier.client;
        let reported = report(client, TARGET, length, page_size);
        assert_eq!(reported, written, "{set} {page_size:#x}");
        assert!(report(client, TARGET, length, page_size).is_empty());
        let of_copies = report(client, DESTINATION, 16 * PAGE, PAGE);
        let whole = page_size.min(16 * PAGE) / PAGE;
        assert_eq!(of_copies, (0..whole).collect(), "another map");
        stop(client);
    }
}

#[test]
fn what_a_client_writes_for_the_device_is_logged_and_what_it_refuses_is_not() {
    let (_daemon, client) = Daemon::testdev(&[]).unwrap();
    let mut asked = Asked::new(client);
    asked.map(asked::BASE, asked::SIZE);
    start(&mut asked.client, PAGE, &[]).success().unwrap();
    let target = asked::BASE + 0x8_0000;
    let all = |asked: &mut Asked| report(&mut asked.client, asked::BASE, asked::SIZE, PAGE);
    assert_eq!(asked.copy(asked::BASE, target + PAGE - 1, 2), 0);
    assert_eq!(all(&mut asked), BTreeSet::from([0x80, 0x81]));
    asked.most = 0x300;
    assert_eq!(asked.copy(asked::BASE, target, 0x2001), 0, "piece by piece");
    assert_eq!(all(&mut asked), BTreeSet::from([0x80, 0x81, 0x82]));
    asked.start(asked::BASE, target, 0x100, 1);
    let read = asked.client.receive().unwrap();
    asked.serve(&read).unwrap();
    asked.odd = Some(Box::new(|command| asked::error(command, asked::ENOSYS)));
    assert_ne!(asked.outcome(), 0);
    assert!(all(&mut asked).is_empty());
}

#[test]
fn only_named_ranges_are_logged_and_any_range_is_reported() {
    let mut copier = Copier::new(&[]);
    buffers(&mut copier, Memory::sealed, READ | WRITE, 16 * PAGE);
    let logged = [(DESTINATION + 8 * PAGE, PAGE), (DESTINATION, 2 * PAGE)];
    let client = &mut copier.client;
    start(client, PAGE, &logged).success().unwrap();
    start(client, PAGE, &logged).success().unwrap();
    let copied = copier.copy(SOURCE, DESTINATION, 16 * PAGE as u32);
    assert_eq!(copied, Outcome::Copied);
    let client = &mut copier.client;
    // From before the first map to behind the last one.
    let reported = report(client, SOURCE - PAGE, 0x200 * PAGE, PAGE);
    assert_eq!(reported, BTreeSet::from([0x101, 0x102, 0x109]));
    let copied = copier.copy(SOURCE, DESTINATION, 16 * PAGE as u32);
    assert_eq!(copied, Outcome::Copied);
    let client = &mut copier.client;
    let reported = report(client, DESTINATION, 16 * PAGE, 2 * PAGE);
    assert_eq!(reported, BTreeSet::from([0, 4]));
    let refused = start(client, 2 * PAGE, &logged).failure().unwrap();
    assert_eq!(refused, EINVAL, "another page size");
    stop(client);
    start(client, 2 * PAGE, &logged).success().unwrap();
    assert!(report(client, DESTINATION, 16 * PAGE, PAGE).is_empty());
}

#[test]
fn an_unmap_brings_the_dirty_pages_along() {
    let mut copier = Copier::new(&[]);
    buffers(&mut copier, Memory::sealed, READ | WRITE, 16 * PAGE);
    let client = &mut copier.client;
    let refused = |message: Message| message.failure().unwrap();
    let (iova, length) = (DESTINATION, 16 * PAGE);
    assert_eq!(refused(unmap(client, iova, length, PAGE, 8)), EINVAL, "off");
    start(client, PAGE, &[]).success().unwrap();
    let copied = copier.copy(SOURCE, DESTINATION + 3 * PAGE, 2 * PAGE as u32);
    assert_eq!(copied, Outcome::Copied);
    let client = &mut copier.client;
    for (what, page_size, size, errno) in [
        ("no room", PAGE, 0, EINVAL),
        ("no page size", 0, 8, EINVAL),
        ("not a power of two", 3 * PAGE, 8, EINVAL),
        ("too much room", PAGE, MIB + 8, E2BIG),
    ] {
        let reply = unmap(client, iova, length, page_size, size);
        assert_eq!(refused(reply), errno, "{what}");
    }
    let reply = unmap(client, iova, length, PAGE, 16).success().unwrap();
    let expected = Bytes::new().u32(56).u32(1).u64(iova).u64(length);
    let expected = expected.u64(PAGE).u64(16).u64(0b1_1000).u64(0);
    assert_eq!(reply, *expected);
    assert!(report(client, iova, length, PAGE).is_empty());
    assert_eq!(copier.copy(SOURCE, DESTINATION, 4), Outcome::Failed(1));

    // Without a bitmap, the pages wait for a report.
    let copied = copier.copy(SOURCE, SOURCE + 8 * PAGE, 1);
    assert_eq!(copied, Outcome::Copied);
    let client = &mut copier.client;
    client
        .dma_unmap(0, SOURCE, 16 * PAGE)
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(report(client, SOURCE, length, PAGE), BTreeSet::from([8]));
}

#[test]
fn rules_of_logging_in_either_dialect() {
    for dialect in ["host.pm-dialect=mainline", "host.pm-dialect=v4"] {
        let (_daemon, mut client) = Daemon::testdev(&[dialect]).unwrap();
        rules_of_logging(&mut client);
    }
}

fn rules_of_logging(client: &mut RawClient) {
    let room = report_data(TARGET, 64 * PAGE, PAGE);
    for (what, flags, argsz, data, expected) in [
        ("probe start", PROBE | SET | START, 8, Bytes::new(), 0),
        ("probe stop", PROBE | SET | STOP, 8, Bytes::new(), 0),
        ("probe report", PROBE | GET | REPORT, 8, Bytes::new(), 0),
        ("probe for nothing", PROBE | START, 8, Bytes::new(), 0),
        ("probe get", PROBE | GET | START, 8, Bytes::new(), EINVAL),
        (
            "probe both",
            PROBE | GET | SET | REPORT,
            8,
            Bytes::new(),
            EINVAL,
        ),
        ("get start", GET | START, 24, start_data(PAGE, &[]), EINVAL),
        ("no operation", START, 24, start_data(PAGE, &[]), EINVAL),
        ("odd flags", 1 << 19 | START, 8, Bytes::new(), EINVAL),
        ("set report", SET | REPORT, 40, room, EINVAL),
        ("no page size", SET | START, 24, start_data(0, &[]), EINVAL),
        (
            "an odd page size",
            SET | START,
            24,
            start_data(5000, &[]),
            EINVAL,
        ),
        ("argsz", SET | START, 23, start_data(PAGE, &[]), EINVAL),
        (
            "no bytes",
            SET | START,
            40,
            start_data(PAGE, &[(0, 0)]),
            EINVAL,
        ),
        (
            "too much",
            SET | START,
            40,
            start_data(PAGE, &[(0, u64::MAX)]),
            E2BIG,
        ),
        (
            "a range that wraps around",
            SET | START,
            40,
            start_data(PAGE, &[(!0, 2)]),
            EINVAL,
        ),
        (
            "a range that is missing",
            SET | START,
            24,
            Bytes::new().u64(PAGE).u32(1).u32(0),
            EINVAL,
        ),
        (
            "a report of no log",
            GET | REPORT,
            40,
            report_data(TARGET, PAGE, PAGE),
            EINVAL,
        ),
        ("stop without start", SET | STOP, 8, Bytes::new(), 0),
        (
            "there is no such feature",
            SET | 11,
            8,
            Bytes::new(),
            ENOTTY,
        ),
    ] {
        let reply = feature(client, argsz, flags, &data);
        match expected {
            0 => assert_eq!(
                reply.success().expect(what),
                *Bytes::new().u32(argsz).u32(flags).bytes(&data)
            ),
            errno => assert_eq!(reply.failure().expect(what), errno, "{what}"),
        }
    }

    let chosen = |reply: Message| field_u64(&reply.success().unwrap(), 8);
    assert_eq!(chosen(start(client, 512, &[])), PAGE);
    stop(client);
    assert_eq!(chosen(start(client, 1 << 30, &[])), 2 * MIB);
    for (what, argsz, data, errno) in [
        ("argsz", 39, report_data(TARGET, 64 * PAGE, PAGE), EINVAL),
        ("no bytes", 40, report_data(TARGET, 0, PAGE), EINVAL),
        ("no page size", 40, report_data(TARGET, PAGE, 0), EINVAL),
        (
            "an odd page size",
            40,
            report_data(TARGET, PAGE, 12),
            EINVAL,
        ),
        ("too short", 40, Bytes::new().u64(TARGET).u64(PAGE), EINVAL),
        ("wraps around", 40, report_data(!0, 2, PAGE), EINVAL),
        (
            "too large",
            16 << 20,
            report_data(TARGET, 1 << 36, PAGE),
            E2BIG,
        ),
    ] {
        let reply = feature(client, argsz, GET | REPORT, &data);
        assert_eq!(reply.failure().expect(what), errno, "{what}");
    }
    assert!(report(client, TARGET, 1 << 35, PAGE).is_empty());
}

#[test]
fn logging_ends_with_the_client() {
    let (daemon, mut client) = Daemon::testdev(&[]).unwrap();
    start(&mut client, PAGE, &[]).success().unwrap();
    drop(client);
    let mut client = daemon.attach(0).unwrap();
    let data = report_data(TARGET, PAGE, PAGE);
    let reply = feature(&mut client, 40, GET | REPORT, &data);
    assert_eq!(reply.failure().unwrap(), EINVAL);
    start(&mut client, 2 * PAGE, &[]).success().unwrap();
}
