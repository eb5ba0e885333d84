//! DMA into memory that a client does not share: the server asks for it, by messages on the one
//! socket on which it is asked itself.

use std::os::fd::AsFd;

use client_tests::daemon::{Daemon, Spec};
use client_tests::os::Memory;
use client_tests::raw::wire::dma_map::{READ, WRITE};
use client_tests::raw::wire::{Bytes, command, field_u64, flag, message, region};
use client_tests::raw::{Message, RawClient};

use crate::asked::{self, Asked, BASE, EFAULT, ENOSYS, error};

const PAGE: u64 = 0x1000;
/// A destination far from the source, which is [`BASE`].
const FAR: u64 = BASE + 0x8_0000;

/// The result of the copy engine's jobs.
const COPIED: u32 = 0;
const UNMAPPED: u32 = 1;
const NOT_PERMITTED: u32 = 2;
const ABORTED: u32 = 4;

/// A client that negotiates this largest transfer, if it names one.
fn attach(daemon: &Daemon, max_transfer: Option<u32>) -> RawClient {
    let mut client = RawClient::connect(&daemon.socket(0)).unwrap();
    let json =
        max_transfer.map(|max| format!(r#"{{"capabilities":{{"max_data_xfer_size":{max}}}}}"#));
    let reply = client.version(0, 1, json.as_deref()).unwrap();
    reply.success().unwrap();
    client
}

/// A daemon with its client, which has announced all its memory and shares none.
fn served(set: &[&str]) -> (Daemon, Asked) {
    let daemon = Daemon::start(&[Spec::named("testdev").unwrap().set(set)]).unwrap();
    let mut asked = Asked::new(attach(&daemon, None));
    asked.map(BASE, asked::SIZE);
    (daemon, asked)
}

/// A counter of the daemon's.
fn counted(daemon: &Daemon, name: &str) -> u64 {
    let status = daemon.control(0).unwrap().command(&["status"]).unwrap();
    status["connection"][name].as_u64().unwrap()
}

/// Returns the bytes that the client's memory holds there.
fn bytes(asked: &Asked, address: u64, len: usize) -> &[u8] {
    let at = (address - BASE) as usize;
    &asked.memory[at..at + len]
}

/// A command of the server's, which stays unanswered.
fn next_command(asked: &Asked) -> Message {
    let message = asked.client.receive().unwrap();
    assert_eq!(message.flags, flag::COMMAND, "{message:?}");
    message
}

/// A reply with that payload.
fn reply(asked: &Message, payload: &[u8]) -> Vec<u8> {
    message(asked.id, asked.command, flag::REPLY, payload)
}

/// Offset of PMCSR.
fn pmcsr(asked: &mut Asked) -> u64 {
    let config = asked.read(region::CONFIG, 0, 0x100);
    let mut at = usize::from(config[0x34]);
    while config[at] != 1 {
        at = usize::from(config[at + 1]);
        assert_ne!(at, 0, "there is no PM capability");
    }
    at as u64 + 4
}

fn write_config(asked: &mut Asked, offset: u64, value: u8) {
    let access = Bytes::new().u64(offset).u32(region::CONFIG).u32(1);
    let reply = asked.request(command::REGION_WRITE, &access.bytes(&[value]));
    reply.unwrap().success().unwrap();
}

#[test]
fn a_copy_reads_and_writes_by_messages() {
    let (daemon, mut asked) = served(&[]);
    assert_eq!(asked.copy(BASE + 3, FAR + 5, 100), COPIED);
    assert_eq!(bytes(&asked, FAR + 5, 100), bytes(&asked, BASE + 3, 100));
    assert_eq!(
        asked.commands,
        [
            (command::DMA_READ, BASE + 3, 100),
            (command::DMA_WRITE, FAR + 5, 100)
        ]
    );
    assert_eq!(counted(&daemon, "dma_commands"), 2);
    assert_eq!(counted(&daemon, "dma_replies_dropped"), 0);
    assert_eq!(asked.copy(BASE, FAR, 0x8_0000), COPIED, "many slices");
    assert_eq!(bytes(&asked, FAR, 0x8_0000), bytes(&asked, BASE, 0x8_0000));
}

#[test]
fn commands_are_as_large_as_the_client_takes() {
    for (max, len) in [(4096, 0x5003), (4, 0x203), (7, 0x203), (1, 33)] {
        let daemon = Daemon::start(&[Spec::named("testdev").unwrap()]).unwrap();
        let mut asked = Asked::new(attach(&daemon, Some(max)));
        asked.map(BASE, asked::SIZE);
        assert_eq!(asked.copy(BASE + 1, FAR, len), COPIED, "{max}");
        let (source, copy) = (BASE + 1, FAR);
        assert_eq!(
            bytes(&asked, copy, len as usize),
            bytes(&asked, source, len as usize),
            "{max}"
        );
        let largest = asked.commands.iter().map(|(_, _, count)| *count).max();
        assert_eq!(largest, Some(max.into()));
        let reads = asked.commands.iter();
        let reads = reads.filter(|(command, ..)| *command == command::DMA_READ);
        assert_eq!(reads.count(), len.div_ceil(max) as usize, "{max}");
    }
}

#[test]
fn copies_span_maps_with_and_without_files() {
    for (first_shared, what) in [(true, "file first"), (false, "file second")] {
        let daemon = Daemon::start(&[Spec::named("testdev").unwrap()]).unwrap();
        let mut asked = Asked::new(attach(&daemon, None));
        let file = Memory::new(asked::SIZE).unwrap();
        file.write(0, &asked.memory).unwrap();
        let mut shared = Vec::new();
        for (at, page) in (BASE..BASE + asked::SIZE).step_by(PAGE as usize).zip(0..) {
            let is_shared = (page % 2 == 0) == first_shared;
            if is_shared {
                let rights = READ | WRITE;
                let map = asked
                    .client
                    .dma_map(rights, at - BASE, at, PAGE, Some(file.as_fd()));
                map.unwrap().success().unwrap();
                shared.push(at);
            } else {
                asked.map(at, PAGE);
            }
        }
        // The pages of source and destination do not coincide.
        let (source, to, len) = (BASE + 0x801, FAR + 0x1403, 0x5005);
        let expected = bytes(&asked, source, len).to_vec();
        assert_eq!(asked.copy(source, to, len as u32), COPIED, "{what}");
        for (address, byte) in (to..).zip(expected) {
            let page = address / PAGE * PAGE;
            let got = if shared.contains(&page) {
                file.read(address - BASE, 1).unwrap()[0]
            } else {
                bytes(&asked, address, 1)[0]
            };
            assert_eq!(got, byte, "{what}: {address:#x}");
        }
        for (_, address, count) in &asked.commands {
            let page = address / PAGE * PAGE;
            assert!(!shared.contains(&page), "{what}: {address:#x} has a file");
            assert!(address + count <= page + PAGE, "{what}: {address:#x}");
        }
    }
}

#[test]
fn memory_with_a_file_is_never_asked_for() {
    let (daemon, mut asked) = served(&[]);
    let file = Memory::new(2 * PAGE).unwrap();
    let map = asked
        .client
        .dma_map(READ | WRITE, 0, 0, 2 * PAGE, Some(file.as_fd()));
    map.unwrap().success().unwrap();
    assert_eq!(asked.copy(0, PAGE, PAGE as u32), COPIED);
    assert_eq!(counted(&daemon, "dma_commands"), 0);
    assert_eq!(asked.copy(0, FAR, PAGE as u32), COPIED, "out of the file");
    assert_eq!(asked.copy(FAR, PAGE, PAGE as u32), COPIED, "into the file");
    assert_eq!(counted(&daemon, "dma_commands"), 2);
}

#[test]
fn rights_and_gaps_are_known_without_asking() {
    let daemon = Daemon::start(&[Spec::named("testdev").unwrap()]).unwrap();
    let mut asked = Asked::new(attach(&daemon, None));
    let (read_only, write_only, gap) = (BASE, BASE + PAGE, BASE + 2 * PAGE);
    for (rights, address) in [(READ, read_only), (WRITE, write_only)] {
        let map = asked.client.dma_map(rights, 0, address, PAGE, None);
        map.unwrap().success().unwrap();
    }
    for (from, to, expected) in [
        (write_only, write_only, NOT_PERMITTED),
        (gap, write_only, UNMAPPED),
    ] {
        assert_eq!(asked.copy(from, to, 8), expected);
        assert_eq!(asked.commands, []);
    }
    assert_eq!(asked.copy(read_only, read_only, 8), NOT_PERMITTED);
    assert_eq!(asked.copy(read_only, gap, 8), UNMAPPED);
    assert_eq!(asked.copy(read_only, write_only, 8), COPIED);
}

#[test]
fn short_replies_are_gone_on_with() {
    let (_daemon, mut asked) = served(&[]);
    for most in [1, 13, 99] {
        asked.most = most;
        asked.memory[0x8_0000..].fill(0);
        assert_eq!(asked.copy(BASE, FAR, 100), COPIED, "{most} at a time");
        assert_eq!(bytes(&asked, FAR, 100), bytes(&asked, BASE, 100));
    }
}

/// Answers to a read of 8 bytes, and how the copy ends.
type Case = (&'static str, fn(&Message) -> Vec<u8>, u32);

fn head(asked: &Message, count: u64) -> Bytes {
    Bytes::new().u64(field_u64(&asked.payload, 0)).u64(count)
}

#[test]
fn whatever_is_answered_to_a_read_ends_the_copy_or_serves_it() {
    let cases: &[Case] = &[
        ("EFAULT", |asked| error(asked, EFAULT), UNMAPPED),
        ("ENODEV", |asked| error(asked, 19), UNMAPPED),
        ("E2BIG", |asked| error(asked, 7), UNMAPPED),
        ("EIO", |asked| error(asked, 5), UNMAPPED),
        (
            "an error without a number",
            |asked| error(asked, 0),
            UNMAPPED,
        ),
        (
            "an unheard-of errno",
            |asked| error(asked, u32::MAX),
            UNMAPPED,
        ),
        ("EINVAL", |asked| error(asked, 22), UNMAPPED),
        ("ENOSYS", |asked| error(asked, ENOSYS), UNMAPPED),
        ("EPERM", |asked| error(asked, 1), NOT_PERMITTED),
        ("EACCES", |asked| error(asked, 13), NOT_PERMITTED),
        ("a bare header", |asked| reply(asked, &[]), UNMAPPED),
        ("half a structure", |asked| reply(asked, &[0; 9]), UNMAPPED),
        ("no data", |asked| reply(asked, &head(asked, 8)), UNMAPPED),
        (
            "zero bytes",
            |asked| reply(asked, &head(asked, 0)),
            UNMAPPED,
        ),
        (
            "less data than its count",
            |asked| reply(asked, &head(asked, 8).u32(1)),
            UNMAPPED,
        ),
        (
            "more data than its count",
            |asked| reply(asked, &head(asked, 4).u64(1)),
            UNMAPPED,
        ),
        (
            "more than was asked for",
            |asked| reply(asked, &head(asked, 16).u64(1).u64(1)),
            UNMAPPED,
        ),
        (
            "a count beyond everything",
            |asked| reply(asked, &head(asked, u64::MAX).u64(1)),
            UNMAPPED,
        ),
        (
            "another address",
            |asked| reply(asked, &Bytes::new().u64(BASE).u64(8).u64(1)),
            UNMAPPED,
        ),
        (
            "what was asked for",
            |asked| reply(asked, &head(asked, 8).u64(1)),
            COPIED,
        ),
    ];
    let (_daemon, mut asked) = served(&[]);
    for (what, answer, expected) in cases {
        asked.odd = Some(Box::new(answer));
        assert_eq!(asked.copy(BASE + 8, FAR, 8), *expected, "{what}");
        assert!(asked.odd.is_none(), "{what}");
        assert_eq!(asked.copy(BASE + 8, FAR, 8), COPIED, "after {what}");
        assert_eq!(bytes(&asked, FAR, 8), bytes(&asked, BASE + 8, 8));
    }
}

#[test]
fn whatever_is_answered_to_a_write_ends_the_copy_or_serves_it() {
    let cases: &[Case] = &[
        ("EFAULT", |asked| error(asked, EFAULT), UNMAPPED),
        ("EROFS", |asked| error(asked, 30), NOT_PERMITTED),
        ("ENOSYS", |asked| error(asked, ENOSYS), UNMAPPED),
        ("half a structure", |asked| reply(asked, &[0; 9]), UNMAPPED),
        (
            "zero bytes",
            |asked| reply(asked, &head(asked, 0)),
            UNMAPPED,
        ),
        (
            "more than was sent",
            |asked| reply(asked, &head(asked, 9)),
            UNMAPPED,
        ),
        (
            "a count beyond everything",
            |asked| reply(asked, &head(asked, u64::MAX)),
            UNMAPPED,
        ),
        (
            "another address",
            |asked| reply(asked, &Bytes::new().u64(BASE).u64(8)),
            UNMAPPED,
        ),
        ("all", |asked| reply(asked, &head(asked, 8)), COPIED),
        ("a bare header", |asked| reply(asked, &[]), COPIED),
        (
            "a count of 32 bits",
            |asked| reply(asked, &asked.payload[..12]),
            COPIED,
        ),
    ];
    let (_daemon, mut asked) = served(&[]);
    let file = Memory::new(PAGE).unwrap();
    let map = asked
        .client
        .dma_map(READ, 0, 0, PAGE, Some(file.as_fd()))
        .unwrap();
    map.success().unwrap();
    for (what, answer, expected) in cases {
        asked.odd = Some(Box::new(answer));
        assert_eq!(asked.copy(0, FAR, 8), *expected, "{what}");
        assert!(asked.odd.is_none(), "{what}");
        assert_eq!(asked.copy(0, FAR, 8), COPIED, "after {what}");
    }
}

#[test]
fn replies_to_nothing_are_dropped_without_a_word() {
    let (daemon, mut asked) = served(&[]);
    asked.start(BASE, FAR, 8, 1);
    let read = next_command(&asked);
    let other = |id: u16, command: u16| Message {
        id,
        command,
        payload: read.payload.clone(),
        fds: Vec::new(),
        ..read
    };
    for wrong in [
        other(read.id.wrapping_add(1), read.command),
        other(read.id, command::DMA_WRITE),
    ] {
        asked.client.send(&error(&wrong, EFAULT), &[]).unwrap();
    }
    let answer = asked.answer(&read).unwrap();
    asked.client.send(&answer, &[]).unwrap();
    asked.client.send(&answer, &[]).unwrap();
    assert_eq!(asked.outcome(), COPIED);
    asked.client.send(&answer, &[]).unwrap();
    asked.status();
    assert_eq!(counted(&daemon, "dma_replies_dropped"), 4);
    assert_eq!(counted(&daemon, "error_replies"), 0);
}

#[test]
fn a_client_that_does_not_answer_in_time_loses_the_transfer() {
    let (daemon, mut asked) = served(&[]);
    let mut control = daemon.control(0).unwrap();
    asked.start(BASE, FAR, 8, 1);
    let late = next_command(&asked);
    control.command(&["clock", "advance", "4999ms"]).unwrap();
    assert_eq!(asked.status() & 1, 1, "there is a millisecond left");
    control.command(&["clock", "advance", "1ms"]).unwrap();
    assert_eq!(asked.outcome(), UNMAPPED);
    // The answer comes when the next copy waits for another one.
    asked.start(BASE + 8, FAR, 8, 1);
    let read = next_command(&asked);
    let late = asked.answer(&late).unwrap();
    asked.client.send(&late, &[]).unwrap();
    assert_eq!(asked.status() & 1, 1, "it was for another copy");
    asked.serve(&read).unwrap();
    assert_eq!(asked.outcome(), COPIED);
    assert_eq!(bytes(&asked, FAR, 8), bytes(&asked, BASE + 8, 8));
    assert_eq!(counted(&daemon, "dma_replies_dropped"), 1);
    assert_eq!(counted(&daemon, "dma_errors"), 1);
}

#[test]
fn every_command_has_its_own_deadline() {
    let (daemon, mut asked) = served(&[]);
    let mut control = daemon.control(0).unwrap();
    asked.start(BASE, FAR, 8, 3);
    for _ in 0..6 {
        let command = next_command(&asked);
        control.command(&["clock", "advance", "4s"]).unwrap();
        asked.serve(&command).unwrap();
    }
    assert_eq!(asked.outcome(), COPIED);
}

#[test]
fn a_function_that_falls_asleep_or_is_reset_needs_no_answer() {
    for what in ["D3hot", "reset"] {
        let (daemon, mut asked) = served(&["capabilities.pm.no-soft-reset=true"]);
        let pmcsr = pmcsr(&mut asked);
        asked.start(BASE, FAR, 8, u32::MAX);
        let late = next_command(&asked);
        if what == "D3hot" {
            write_config(&mut asked, pmcsr, 3);
        } else {
            let reset = asked.request(command::DEVICE_RESET, &[]);
            reset.unwrap().success().unwrap();
        }
        let late = asked.answer(&late).unwrap();
        asked.client.send(&late, &[]).unwrap();
        assert_eq!(asked.commands.len(), 1, "{what}");
        if what == "D3hot" {
            write_config(&mut asked, pmcsr, 0);
        } else {
            write_config(&mut asked, 4, 6);
        }
        assert_eq!(asked.outcome(), ABORTED, "{what}");
        assert_eq!(asked.commands.len(), 1, "{what}: nothing more was asked");
        assert_eq!(counted(&daemon, "dma_replies_dropped"), 1, "{what}");
        assert_eq!(asked.copy(BASE, FAR, 8), COPIED, "after {what}");
    }
}

#[test]
fn an_unmapped_range_is_not_waited_for() {
    let (daemon, mut asked) = served(&[]);
    asked.start(BASE, FAR, 8, 1);
    let late = next_command(&asked);
    let unmap = asked.client.dma_unmap(0, BASE, asked::SIZE).unwrap();
    unmap.success().unwrap();
    assert_eq!(asked.outcome(), UNMAPPED);
    asked.map(BASE, asked::SIZE);
    asked.serve(&late).unwrap();
    assert_eq!(asked.copy(BASE, FAR, 8), COPIED, "mapped again");
    assert_eq!(counted(&daemon, "dma_replies_dropped"), 1);
}

#[test]
fn a_client_that_goes_ends_what_waits_for_it() {
    let (daemon, mut gone) = served(&["host.max-clients=2"]);
    let mut stays = Asked::new(attach(&daemon, None));
    gone.start(BASE, FAR, 8, 1);
    next_command(&gone);
    drop(gone);
    assert_eq!(stays.outcome(), UNMAPPED, "it was asked");
    assert_eq!(stays.copy(BASE, FAR, 8), UNMAPPED, "its map is there still");
    let unmap = stays.client.dma_unmap(0, BASE, asked::SIZE).unwrap();
    unmap.success().unwrap();
    stays.map(BASE, asked::SIZE);
    assert_eq!(stays.copy(BASE, FAR, 8), COPIED, "its own map");

    // The next one has the place of the one that went, but not its memory.
    let mut next = Asked::new(attach(&daemon, None));
    assert_eq!(
        next.client
            .dma_map(READ, 0, BASE, PAGE, None)
            .unwrap()
            .failure()
            .unwrap(),
        17
    );
    stays.start(BASE, FAR, 8, 1);
    let read = next_command(&stays);
    stays.serve(&read).unwrap();
    assert_eq!(stays.outcome(), COPIED);
    assert_eq!(next.commands, []);
}

#[test]
fn the_last_client_may_go_in_the_middle() {
    for set in ["host.on-disconnect=reset", "host.on-disconnect=retain"] {
        let (daemon, mut asked) = served(&[set]);
        asked.start(BASE, FAR, 8, u32::MAX);
        next_command(&asked);
        drop(asked);
        let mut asked = Asked::new(attach(&daemon, None));
        asked.map(BASE, asked::SIZE);
        assert_ne!(asked.outcome(), COPIED, "{set}");
        assert_eq!(asked.copy(BASE, FAR, 8), COPIED, "{set}");
    }
}

#[test]
fn the_client_may_ask_before_it_answers() {
    let (_daemon, mut asked) = served(&[]);
    // A map of the function's own BAR 2: what reads it by DMA asks the client, who asks the server.
    asked.start(BASE, FAR, 8, 1);
    for number in [command::DMA_READ, command::DMA_WRITE] {
        let command = next_command(&asked);
        assert_eq!(command.command, number);
        let access = Bytes::new().u64(0x100).u32(2).u32(8);
        let bytes = match number {
            command::DMA_READ => {
                asked.client.write(2, 0x100, b"by P2P..").unwrap();
                let read = asked.client.request(command::REGION_READ, &access, &[]);
                read.unwrap().success().unwrap().split_off(16)
            }
            _ => {
                let data = &command.payload[16..];
                asked.client.write(2, 0x200, data).unwrap();
                Vec::new()
            }
        };
        let answer = head(&command, 8).bytes(&bytes);
        let answer = reply(&command, &answer);
        asked.client.send(&answer, &[]).unwrap();
    }
    assert_eq!(asked.outcome(), COPIED);
    assert_eq!(asked.read(2, 0x200, 8), b"by P2P..");
}

#[test]
fn ten_thousand_transfers_with_requests_under_way_in_both_directions() {
    const TRANSFERS: u32 = 10_000;
    const UNDER_WAY: u32 = 16;
    let (daemon, mut asked) = served(&[]);
    asked.start(BASE, FAR, 64, TRANSFERS);
    for _ in 0..UNDER_WAY {
        asked.client.post_read(region::CONFIG, 0, 4).unwrap();
    }
    let (mut commands, mut replies) = (0, 0);
    while commands < 2 * TRANSFERS {
        let message = asked.client.receive().unwrap();
        if message.flags & flag::TYPE == flag::COMMAND {
            commands += 1;
            asked.serve(&message).unwrap();
        } else {
            replies += 1;
            let payload = message.success().unwrap();
            assert_eq!(payload[16..], [0x34, 0x12, 0xc0, 0xd3]);
            asked.client.post_read(region::CONFIG, 0, 4).unwrap();
        }
    }
    assert!(
        replies >= TRANSFERS,
        "{replies} requests were served meanwhile"
    );
    for _ in 0..UNDER_WAY {
        asked.client.receive().unwrap().success().unwrap();
    }
    assert_eq!(asked.outcome(), COPIED);
    assert_eq!(bytes(&asked, FAR, 64), bytes(&asked, BASE, 64));
    assert_eq!(counted(&daemon, "dma_commands"), u64::from(2 * TRANSFERS));
    assert_eq!(counted(&daemon, "dma_transfers"), u64::from(TRANSFERS));
}
