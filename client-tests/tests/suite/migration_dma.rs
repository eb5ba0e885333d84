//! Transfers while a function is moved: what has begun ends before it stops, the rest goes on where it
//! is moved to.

use std::os::fd::AsFd;
use std::time::Duration;

use client_tests::daemon::Daemon;
use client_tests::migration::state;
use client_tests::os::{Memory, readable};
use client_tests::raw::RawClient;
use client_tests::raw::wire::device_feature::{GET, SET};
use client_tests::raw::wire::dma_map::{READ, WRITE};
use client_tests::raw::wire::{Bytes, command, field_u64, flag, region};
use state::{PRE_COPY, PRE_COPY_P2P, RESUMING, RUNNING, RUNNING_P2P, STOP, STOP_COPY};

use crate::asked::{self, Asked, BASE, SIZE};

const LOGGING_START: u32 = 6;
const LOGGING_REPORT: u32 = 8;

const PAGE: u64 = 0x1000;
/// The copy engine asks for one transfer at a time, of so many bytes.
const SLICE: u64 = 1 << 20;
/// Four slices are copied from 0 on; the second is memory without a file.
const LENGTH: u64 = 4 * SLICE;
const TARGET: u64 = 1 << 28;

const COPIED: u32 = 0;
const UNMAPPED: u32 = 1;

fn map(client: &mut RawClient, offset: u64, address: u64, size: u64, memory: &Memory) {
    let fd = Some(memory.as_fd());
    let reply = client.dma_map(READ | WRITE, offset, address, size, fd);
    reply.unwrap().success().unwrap();
}

/// Maps the source around what has to be asked for, and the target.
fn map_all(asked: &mut Asked, source: &Memory, target: &Memory) {
    map(&mut asked.client, 0, 0, BASE, source);
    asked.map(BASE, SIZE);
    let behind = BASE + SIZE;
    map(&mut asked.client, behind, behind, LENGTH - behind, source);
    map(&mut asked.client, 0, TARGET, LENGTH, target);
}

fn start_log(client: &mut RawClient) {
    let data = Bytes::new().u64(PAGE).u64(0);
    let reply = client.device_feature(24, SET | LOGGING_START, &data, &[]);
    reply.unwrap().success().unwrap();
}

/// The words of the dirty bitmap of the target.
fn dirty(client: &mut RawClient) -> Vec<u64> {
    let size = LENGTH / PAGE / 8;
    let data = Bytes::new().u64(TARGET).u64(LENGTH).u64(PAGE);
    let argsz = 32 + size as u32;
    let reply = client.device_feature(argsz, GET | LOGGING_REPORT, &data, &[]);
    let bitmap = reply.unwrap().success().unwrap().split_off(32);
    (0..bitmap.len())
        .step_by(8)
        .map(|at| field_u64(&bitmap, at))
        .collect()
}

fn arrive(asked: &mut Asked, stream: &[u8]) {
    asked.client.go(RESUMING).unwrap();
    asked.client.write_stream(stream, 1 << 16).unwrap();
    asked.client.go(STOP).unwrap();
}

fn served(set: &[&str]) -> (Daemon, Asked) {
    let (daemon, client) = Daemon::testdev(set).unwrap();
    (daemon, Asked::new(client))
}

/// The next command of the server's.
fn next_command(asked: &Asked) -> client_tests::raw::Message {
    let message = asked.client.receive().unwrap();
    assert_eq!(message.flags & flag::TYPE, flag::COMMAND, "{message:?}");
    message
}

#[test]
fn a_copy_under_way_ends_where_it_is_moved_to() {
    for client_memory in ["file-io", "map-sealed"] {
        let set = [&*format!("host.client-memory={client_memory}")];
        let (_here, mut asked) = served(&set);
        let contents: Vec<u8> = (0..LENGTH).map(|at| (at * 13 % 253) as u8).collect();
        let (from, to) = (BASE as usize, (BASE + SIZE) as usize);
        asked.memory.copy_from_slice(&contents[from..to]);
        let source = Memory::sealed(LENGTH).unwrap();
        source.write(0, &contents).unwrap();
        source.write(BASE, &vec![0; SIZE as usize]).unwrap();
        let target = Memory::sealed(LENGTH).unwrap();
        map_all(&mut asked, &source, &target);
        start_log(&mut asked.client);
        asked.start(0, TARGET, LENGTH as u32, 1);
        for _ in 0..3 {
            let command = next_command(&asked);
            asked.serve(&command).unwrap();
        }
        // The transfer waits for an answer, and so does the transition, and what comes behind it.
        let command = next_command(&asked);
        let stop = asked.client.post_go(STOP_COPY).unwrap();
        let read = asked.client.post_read(region::CONFIG, 0, 4).unwrap();
        let quiet = !readable(asked.client.as_fd(), Duration::from_millis(50)).unwrap();
        assert!(quiet, "the transition waits");
        asked.serve(&command).unwrap();
        asked.reply(stop).unwrap().success().unwrap();
        asked
            .client
            .receive()
            .map(|reply| assert_eq!(reply.id, read))
            .unwrap();
        let asked_for = asked.commands.len();
        let done = 2 * SLICE;
        let moved = target.read(0, LENGTH as usize).unwrap();
        assert!(moved[..done as usize] == contents[..done as usize]);
        assert!(moved[done as usize..].iter().all(|byte| *byte == 0));
        let pages = (done / PAGE / 64) as usize;
        let mut expected = vec![u64::MAX; pages];
        expected.resize((LENGTH / PAGE / 64) as usize, 0);
        assert_eq!(dirty(&mut asked.client), expected);
        let stream = asked.client.read_stream(1 << 20).unwrap();

        let (_there, mut other) = served(&set);
        let elsewhere = Memory::sealed(LENGTH).unwrap();
        elsewhere.write(0, &moved).unwrap();
        map_all(&mut other, &source, &elsewhere);
        arrive(&mut other, &stream);
        assert_eq!(
            elsewhere.read(0, LENGTH as usize).unwrap(),
            moved,
            "it rests"
        );
        other.client.go(RUNNING).unwrap();
        assert_eq!(other.outcome(), COPIED);
        assert!(elsewhere.read(0, LENGTH as usize).unwrap() == contents);
        assert_eq!(other.commands, [], "what was done is not done again");
        // Nothing went on where it came from.
        assert!(target.read(0, LENGTH as usize).unwrap() == moved);
        assert_eq!(asked.commands.len(), asked_for);
        asked.client.go(RUNNING).unwrap();
        assert_eq!(asked.outcome(), COPIED);
        assert!(target.read(0, LENGTH as usize).unwrap() == contents);
    }
}

#[test]
fn copies_by_message_go_on_where_they_are_moved_to() {
    const COPIES: u32 = 8;
    let far = BASE + 0x8_0000;
    let (_here, mut asked) = served(&[]);
    asked.map(BASE, SIZE);
    asked.start(BASE, far, 0x2000, COPIES);
    for _ in 0..5 {
        let command = next_command(&asked);
        asked.serve(&command).unwrap();
    }
    let id = asked.client.post_go(STOP_COPY).unwrap();
    asked.reply(id).unwrap().success().unwrap();
    let done = asked.commands.len();
    assert_eq!(done % 2, 0, "no copy is half done");
    let stream = asked.client.read_stream(1 << 20).unwrap();
    let (_there, mut other) = served(&[]);
    other.memory.clone_from(&asked.memory);
    other.map(BASE, SIZE);
    arrive(&mut other, &stream);
    assert!(!other.client.has_message().unwrap());
    other.client.go(RUNNING).unwrap();
    assert_eq!(other.outcome(), COPIED);
    assert_eq!(done + other.commands.len(), 2 * COPIES as usize);
}

#[test]
fn a_function_without_p2p_begins_nothing() {
    for (rests, on) in [(RUNNING_P2P, RUNNING), (PRE_COPY_P2P, PRE_COPY)] {
        let (_here, mut asked) = served(&[]);
        asked.map(BASE, SIZE);
        asked.client.go(rests).unwrap();
        asked.start(BASE, BASE + 0x8_0000, 0x100, 1);
        assert_eq!(asked.status() & 1, 1, "it runs, but its transfers rest");
        assert!(asked.commands.is_empty());
        asked.client.go(on).unwrap();
        assert_eq!(asked.outcome(), COPIED);
        assert_eq!(asked.copy(BASE, BASE + 0x8_0000, 8), COPIED);
    }
}

#[test]
fn a_job_that_was_begun_at_rest_is_done_where_it_is_moved_to() {
    let (_here, mut asked) = served(&[]);
    asked.client.go(RUNNING_P2P).unwrap();
    asked.start(BASE, BASE + 0x8_0000, 0x100, 1);
    asked.client.go(STOP_COPY).unwrap();
    let stream = asked.client.read_stream(1 << 20).unwrap();
    let (_there, mut other) = served(&[]);
    other.map(BASE, SIZE);
    arrive(&mut other, &stream);
    other.client.go(RUNNING).unwrap();
    assert_eq!(other.outcome(), COPIED);
    assert_eq!(other.memory[0x8_0000..0x8_0100], other.memory[..0x100]);
}

#[test]
fn an_answer_that_does_not_come_holds_a_transition_up_for_its_time_only() {
    let (here, mut asked) = served(&[]);
    let mut control = here.control(0).unwrap();
    asked.map(BASE, SIZE);
    asked.start(BASE, BASE + 0x8_0000, 0x100, 1);
    next_command(&asked);
    let id = asked.client.post_go(STOP).unwrap();
    control.command(&["clock", "advance", "4999ms"]).unwrap();
    assert!(!readable(asked.client.as_fd(), Duration::from_millis(50)).unwrap());
    control.command(&["clock", "advance", "1ms"]).unwrap();
    asked.reply(id).unwrap().success().unwrap();
    asked.client.go(RUNNING).unwrap();
    assert_eq!(asked.outcome(), UNMAPPED);
}

#[test]
fn an_answer_that_refuses_ends_what_a_transition_waits_for() {
    let (_here, mut asked) = served(&[]);
    asked.map(BASE, SIZE);
    asked.start(BASE, BASE + 0x8_0000, 0x100, 3);
    let command = next_command(&asked);
    let id = asked.client.post_go(RUNNING_P2P).unwrap();
    let refusal = asked::error(&command, asked::ENOSYS);
    asked.client.send(&refusal, &[]).unwrap();
    asked.reply(id).unwrap().success().unwrap();
    assert_eq!(asked.outcome(), UNMAPPED);
}

#[test]
fn a_client_that_goes_while_it_waits_leaves_transfers_to_the_others() {
    let (here, mut asked) = served(&["host.max-clients=2"]);
    asked.map(BASE, SIZE);
    let mut gone = here.attach(0).unwrap();
    asked.start(BASE, BASE + 0x8_0000, 0x100, 2);
    let command = next_command(&asked);
    gone.post_go(STOP).unwrap();
    assert!(!readable(gone.as_fd(), Duration::from_millis(50)).unwrap());
    drop(gone);
    asked
        .request(command::DEVICE_GET_INFO, &Bytes::new().u64(16).u64(0))
        .unwrap();
    asked.serve(&command).unwrap();
    assert_eq!(asked.outcome(), COPIED);
    assert_eq!(asked.client.migration_state().unwrap(), RUNNING);
}
