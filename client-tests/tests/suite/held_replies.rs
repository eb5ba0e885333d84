//! A reply that is held back because its request takes time, while the function does DMA into memory
//! that its client does not share: there is one socket for both.

use std::os::fd::AsFd;
use std::time::Instant;

use client_tests::control::Control;
use client_tests::daemon::Daemon;
use client_tests::os::Memory;
use client_tests::raw::wire::device_feature::SET;
use client_tests::raw::wire::dma_map::{READ, WRITE};
use client_tests::raw::wire::{Bytes, command, flag};
use client_tests::raw::{PATIENCE, RawClient};

use crate::asked::{self, Asked, BASE};

const LOW_POWER_ENTRY: u32 = 3;
const LOW_POWER_EXIT: u32 = 5;
/// The target of copies, far from the source.
const FAR: u64 = BASE + 0x8_0000;
const LEN: u32 = 0x4_0000;

/// The messages that are sent before the function has woken up, each with the message id of its reply.
type Later = fn(&mut RawClient) -> Vec<u16>;

fn connection(control: &mut Control) -> serde_json::Value {
    control.command(&["status"]).unwrap()["connection"].clone()
}

/// A function asleep whose copy engine is set up, and the write that wakes it and starts the engine:
/// waking takes 10 ms, and the copies begin at once.
fn waking() -> (Daemon, Asked, u16) {
    let set = [
        "platform.delays=enforce",
        "platform.deepest-state=d3hot",
        "capabilities.pm.no-soft-reset=true",
    ];
    let (daemon, client) = Daemon::testdev(&set).unwrap();
    let mut asked = Asked::new(client);
    asked.map(BASE, asked::SIZE);
    asked.register(0x20, BASE, 8);
    asked.register(0x28, FAR, 8);
    asked.register(0x30, LEN.into(), 4);
    asked.register(0x34, 2, 4);
    let entered = asked
        .client
        .device_feature(8, SET | LOW_POWER_ENTRY, &[], &[]);
    entered.unwrap().success().unwrap();
    let start = asked.client.post_write(0, 0x38, &[1, 0, 0, 0]).unwrap();
    (daemon, asked, start)
}

/// The first thing to do once the function is awake, lest it falls asleep again.
fn stay_awake(client: &mut RawClient) -> u16 {
    let exit = Bytes::new().u32(8).u32(SET | LOW_POWER_EXIT);
    let id = client.post(command::DEVICE_FEATURE, flag::COMMAND, &exit, &[]);
    id.unwrap()
}

/// Lets the time pass that waking takes, and once more for the request to stay awake: after the
/// first one, there was nothing to stay awake for.
fn wake(control: &mut Control) {
    for _ in 0..2 {
        control.command(&["clock", "advance", "10ms"]).unwrap();
    }
}

fn status(client: &mut RawClient) -> u16 {
    client.post_read(0, 0x3c, 4).unwrap()
}

#[test]
fn dma_goes_on_while_a_reply_is_held_back() {
    let nothing: Later = |_| Vec::new();
    let requests: Later = |client| {
        let awake = stay_awake(client);
        std::iter::once(awake)
            .chain((0..1000).map(|_| status(client)))
            .collect()
    };
    for later in [nothing, requests] {
        let (daemon, mut asked, start) = waking();
        let mut control = daemon.control(0).unwrap();
        let mut expected = vec![start];
        expected.extend(later(&mut asked.client));
        let begun = Instant::now();
        while connection(&mut control)["dma_transfers"] != 2 {
            while asked.client.has_message().unwrap() {
                let message = asked.client.receive().unwrap();
                assert_eq!(message.flags, flag::COMMAND, "{message:?}");
                asked.serve(&message).unwrap();
            }
            assert!(begun.elapsed() < PATIENCE, "a reply was not read");
        }
        let from = 0x8_0000;
        assert!(asked.memory[from..from + LEN as usize] == asked.memory[..LEN as usize]);
        expected.push(status(&mut asked.client));
        assert!(!asked.client.has_message().unwrap(), "it is waking");
        wake(&mut control);
        for id in expected {
            let reply = asked.client.receive().unwrap();
            assert_eq!(reply.id, id);
            let is_read = reply.command == command::REGION_READ;
            assert!(!is_read || reply.payload[16..] == [2, 0, 0, 0], "{reply:?}");
        }
        assert_eq!(connection(&mut control)["dma_replies_dropped"], 0);
    }
}

/// More than the server keeps meanwhile, descriptors too.
#[test]
fn what_waits_behind_a_held_reply_is_served_in_order_and_with_its_descriptors() {
    const MAPS: u64 = 200;
    const PAGE: u64 = 0x1000;
    let (daemon, asked, start) = waking();
    let mut client = asked.client;
    let asked = client.receive().unwrap();
    assert_eq!(asked.command, command::DMA_READ, "{asked:?}");
    let mut expected = vec![(start, false), (stay_awake(&mut client), false)];
    for at in 0..MAPS {
        let memory = Memory::new(PAGE).unwrap();
        // The second one of a pair maps what the first has mapped.
        let map = Bytes::new().u32(32).u32(READ | WRITE).u64(0);
        let map = map.u64((1 << 32) + at / 2 * PAGE).u64(PAGE);
        let id = client.post(command::DMA_MAP, flag::COMMAND, &map, &[memory.as_fd()]);
        expected.push((id.unwrap(), at % 2 == 1));
    }
    let odd = client.post(command::DMA_MAP, flag::REPLY, &[0; 4], &[]);
    expected.push((odd.unwrap(), true));
    expected.push((status(&mut client), false));
    let mut control = daemon.control(0).unwrap();
    assert!(!client.has_message().unwrap(), "it is waking");
    wake(&mut control);
    for (id, fails) in expected {
        let reply = client.receive().unwrap();
        assert_eq!((reply.id, reply.errno().is_some()), (id, fails));
    }
    assert_eq!(connection(&mut control)["dma_maps"], 1 + MAPS / 2);
}
