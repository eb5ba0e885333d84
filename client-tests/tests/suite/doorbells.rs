//! Doorbells: eventfds that stand for register writes, from DEVICE_GET_REGION_IO_FDS.

use std::os::fd::AsFd;

use client_tests::control::Control;
use client_tests::daemon::{Daemon, Spec};
use client_tests::os::{self, Event};
use client_tests::raw::wire::{Bytes, command, field_u32, field_u64, flag, irq, region, set_irqs};
use client_tests::raw::{Message, PATIENCE, RawClient, SetIrqs};
use client_tests::testdev::MSIX;

/// The test function's registers: one that holds what is written to it, and one that fires an
/// interrupt.
const SCRATCH: u64 = 4;
const IRQ_TRIGGER: u64 = 8;
const HEAD: u32 = 16;
const ENTRY: u32 = 40;
const DATAMATCH: u32 = 1;
const PIO: u32 = 2;

/// Three doorbells in BAR0: two values of the scratch register, and an interrupt.
const DOORBELLS: [&str; 8] = [
    "doorbell.0.bar=0",
    "doorbell.0.offset=4",
    "doorbell.0.datamatch=0x11223344",
    "doorbell.1.bar=0",
    "doorbell.1.offset=4",
    "doorbell.1.datamatch=0x55667788",
    "doorbell.2.bar=0",
    "doorbell.2.offset=8",
];

fn daemon(set: &[&str]) -> Daemon {
    let spec = Spec::named("testdev").unwrap().set(&DOORBELLS).set(set);
    Daemon::start(&[spec]).unwrap()
}

/// A client that takes so many descriptors in a message, with memory BARs that decode.
fn attach(daemon: &Daemon, max_msg_fds: u32) -> RawClient {
    let mut client = RawClient::connect(&daemon.socket(0)).unwrap();
    let text = format!(r#"{{"capabilities":{{"max_msg_fds":{max_msg_fds}}}}}"#);
    let agreed = client.version(0, 1, Some(&text)).unwrap();
    agreed.success().unwrap();
    client.write(region::CONFIG, 4, &[3, 0]).unwrap();
    client
}

fn served(set: &[&str]) -> (Daemon, RawClient, Control) {
    let daemon = daemon(set);
    let (client, control) = (attach(&daemon, 16), daemon.control(0).unwrap());
    (daemon, client, control)
}

/// Asks for the doorbells of BAR0 with room for all of them.
fn ask(client: &mut RawClient) -> Message {
    client.get_region_io_fds(0, HEAD + 3 * ENTRY).unwrap()
}

fn doorbells(client: &mut RawClient) -> Vec<Event> {
    ask(client).fds.into_iter().map(Event::from).collect()
}

/// argsz, flags, index and count of a reply.
fn head(payload: &[u8]) -> [u32; 4] {
    [0, 4, 8, 12].map(|at| field_u32(payload, at))
}

/// Returns the number of signals that the server has answered.
fn answered(control: &mut Control) -> u64 {
    let status = control.command(&["status"]).unwrap();
    status["connection"]["doorbells"].as_u64().unwrap()
}

#[test]
fn every_doorbell_has_an_entry_of_40_bytes_and_an_eventfd() {
    let (_daemon, mut client, _) = served(&["doorbell.2.size=8"]);
    let reply = ask(&mut client);
    assert_eq!(reply.fds.len(), 3);
    let payload = reply.success().unwrap();
    assert_eq!(head(&payload), [HEAD + 3 * ENTRY, 0, 0, 3]);
    assert_eq!(payload.len(), 136);
    let expected = [
        (4, 4, 0, DATAMATCH, 0x1122_3344),
        (4, 4, 1, DATAMATCH, 0x5566_7788),
        (8, 8, 2, 0, 0),
    ];
    for (entry, expected) in payload[16..].chunks(40).zip(expected) {
        let (offset, size) = (field_u64(entry, 0), field_u64(entry, 8));
        let [fd_index, kind, flags, padding] = [16, 20, 24, 28].map(|at| field_u32(entry, at));
        let datamatch = field_u64(entry, 32);
        assert_eq!((kind, padding), (0, 0), "an ioeventfd");
        assert_eq!((offset, size, fd_index, flags, datamatch), expected);
    }
}

#[test]
fn a_doorbell_of_an_io_bar_says_so() {
    let set = [
        "bar.5.kind=io",
        "bar.5.size=0x80",
        "doorbell.3.bar=5",
        "doorbell.3.offset=2",
        "doorbell.3.size=2",
        "doorbell.3.datamatch=7",
    ];
    let (_daemon, mut client, mut control) = served(&set);
    let reply = client.get_region_io_fds(5, HEAD + ENTRY).unwrap();
    let doorbell = Event::from(reply.fds.into_iter().next().unwrap());
    assert_eq!(field_u32(&reply.payload, 16 + 24), PIO | DATAMATCH);
    doorbell.signal().unwrap();
    client.read(region::CONFIG, 0, 4).unwrap();
    assert_eq!(answered(&mut control), 1);
}

#[test]
fn a_signal_is_a_write_of_the_value_or_of_zero() {
    let (_daemon, mut client, mut control) = served(&[]);
    let trigger = Event::new().unwrap();
    let request = SetIrqs {
        flags: set_irqs::DATA_EVENTFD | set_irqs::ACTION_TRIGGER,
        index: irq::INTX,
        count: 1,
        ..SetIrqs::default()
    };
    let bound = client.set_irqs(request, &[trigger.as_fd()]).unwrap();
    bound.success().unwrap();
    let [first, second, interrupt] = doorbells(&mut client).try_into().unwrap();
    for (doorbell, value) in [(&second, 0x5566_7788_u32), (&first, 0x1122_3344)] {
        doorbell.signal().unwrap();
        assert_eq!(client.read(0, SCRATCH, 4).unwrap(), value.to_le_bytes());
    }
    interrupt.signal().unwrap();
    assert_eq!(trigger.take_within(PATIENCE).unwrap(), 1);
    assert_eq!(answered(&mut control), 3);
    // By message the registers are written as ever.
    client.write(0, SCRATCH, &[1, 2, 3, 4]).unwrap();
    assert_eq!(client.read(0, SCRATCH, 4).unwrap(), [1, 2, 3, 4]);
    client.write(0, IRQ_TRIGGER, &[0; 4]).unwrap();
}

/// A client that rings and then sends finds the ring done before its message is.
#[test]
fn a_doorbell_comes_before_the_messages_sent_after_it() {
    let (_daemon, mut client, _) = served(&[]);
    let bells = doorbells(&mut client);
    for round in 0..2000 {
        let (doorbell, value) = match round % 2 {
            0 => (&bells[0], 0x1122_3344_u32),
            _ => (&bells[1], 0x5566_7788),
        };
        doorbell.signal().unwrap();
        let read = client.read(0, SCRATCH, 4).unwrap();
        assert_eq!(read, value.to_le_bytes(), "round {round}");
    }
}

#[test]
fn a_client_gets_as_many_as_it_takes_in_a_message() {
    for (max_msg_fds, expected) in [(0, 0), (1, 1), (2, 2), (3, 3), (1024, 3)] {
        let daemon = daemon(&[]);
        let reply = ask(&mut attach(&daemon, max_msg_fds));
        assert_eq!(reply.fds.len(), expected, "{max_msg_fds}");
        let count = expected as u32;
        assert_eq!(
            head(&reply.success().unwrap()),
            [HEAD + count * ENTRY, 0, 0, count],
            "{max_msg_fds}"
        );
    }
    let daemon = daemon(&[]);
    let reply = ask(&mut daemon.attach(0).unwrap());
    assert_eq!(reply.fds.len(), 1, "one is the default");
}

#[test]
fn a_message_carries_sixteen_at_most() {
    let set: Vec<String> = (3..20)
        .flat_map(|index| {
            [
                format!("doorbell.{index}.bar=0"),
                format!("doorbell.{index}.offset={}", 0x100 + 4 * index),
            ]
        })
        .collect();
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    let daemon = daemon(&set);
    let mut client = attach(&daemon, 64);
    let reply = client.get_region_io_fds(0, 4096).unwrap();
    assert_eq!((reply.fds.len(), head(&reply.payload)[3]), (16, 16));
}

#[test]
fn a_client_without_room_is_told_how_much_it_takes() {
    let (_daemon, mut client, _) = served(&[]);
    for argsz in [HEAD, HEAD + 3 * ENTRY - 1] {
        let reply = client.get_region_io_fds(0, argsz).unwrap();
        assert!(reply.fds.is_empty(), "{argsz}");
        let payload = reply.success().unwrap();
        assert_eq!(head(&payload), [HEAD + 3 * ENTRY, 0, 0, 0], "{argsz}");
        assert_eq!(payload.len(), 16, "{argsz}");
    }
    for bar in [1, 2, 4, region::ROM, region::CONFIG] {
        let reply = client.get_region_io_fds(bar, 4096).unwrap();
        assert!(reply.fds.is_empty(), "{bar}");
        assert_eq!(head(&reply.success().unwrap()), [HEAD, 0, bar, 0], "{bar}");
    }
}

#[test]
fn no_reply_is_no_descriptors_either() {
    let (_daemon, mut client, _) = served(&[]);
    let request = Bytes::new().u32(4096).u32(0).u64(0);
    let number = command::DEVICE_GET_REGION_IO_FDS;
    client.post(number, flag::NO_REPLY, &request, &[]).unwrap();
    let next = client.region_read(region::CONFIG, 0, 4).unwrap();
    assert!(next.fds.is_empty());
    assert_eq!(ask(&mut client).fds.len(), 3);
}

#[test]
fn clients_at_once_have_the_same_doorbells() {
    let daemon = daemon(&["host.max-clients=2"]);
    let (mut one, mut other) = (attach(&daemon, 16), attach(&daemon, 16));
    let (ones, others) = (doorbells(&mut one), doorbells(&mut other));
    ones[0].signal().unwrap();
    assert_eq!(one.read(0, SCRATCH, 1).unwrap(), [0x44]);
    others[1].signal().unwrap();
    assert_eq!(other.read(0, SCRATCH, 1).unwrap(), [0x88]);
    // They last as long as anybody has the function open.
    drop(one);
    ones[0].signal().unwrap();
    assert_eq!(other.read(0, SCRATCH, 1).unwrap(), [0x44]);
}

#[test]
fn what_a_client_that_is_gone_still_holds_rings_nothing() {
    let (daemon, mut client, mut control) = served(&["host.on-disconnect=retain"]);
    let stale = doorbells(&mut client);
    drop(client);
    while control.command(&["status"]).unwrap()["connection"]["connected"] == true {}
    let mut client = attach(&daemon, 16);
    let fresh = doorbells(&mut client);
    stale[0].signal().unwrap();
    assert_eq!(client.read(0, SCRATCH, 4).unwrap(), [0; 4]);
    fresh[1].signal().unwrap();
    assert_eq!(client.read(0, SCRATCH, 1).unwrap(), [0x88]);
    assert_eq!(answered(&mut control), 1);
    assert_eq!(stale[0].take().unwrap(), 1, "nobody has looked at it");
}

/// A function that does not decode loses the write, as it does one that comes by message.
#[test]
fn a_function_outside_d0_is_not_written() {
    let (_daemon, mut client, mut control) = served(&["capabilities.pm.no-soft-reset=true"]);
    let bells = doorbells(&mut client);
    client.write(region::CONFIG, 4, &[0, 0]).unwrap();
    bells[0].signal().unwrap();
    client.write(region::CONFIG, 4, &[2, 0]).unwrap();
    assert_eq!(client.read(0, SCRATCH, 4).unwrap(), [0; 4]);
    let violations = control.command(&["violations"]).unwrap();
    assert_eq!(violations["counts"]["decode-off"], 1, "{violations}");
}

/// A doorbell whose write raises the interrupt that rings it again.
#[test]
fn a_doorbell_that_rings_itself_keeps_nobody_waiting() {
    let spec = Spec::named("testdev").unwrap();
    let daemon = Daemon::start(&[spec.clone().set(&DOORBELLS), spec]).unwrap();
    let (mut client, mut neighbour) = (attach(&daemon, 16), daemon.attach(1).unwrap());
    let mut control = daemon.control(0).unwrap();
    client.write(region::CONFIG, 4, &[6, 0]).unwrap();
    let config = client.read(region::CONFIG, 0, 0x100).unwrap();
    let mut msix = usize::from(config[0x34]);
    while config[msix] != MSIX {
        msix = usize::from(config[msix + 1]);
    }
    let enable = [config[msix + 2], config[msix + 3] | 0x80];
    client
        .write(region::CONFIG, msix as u64 + 2, &enable)
        .unwrap();
    let bell = doorbells(&mut client).pop().unwrap();
    let request = SetIrqs {
        flags: set_irqs::DATA_EVENTFD | set_irqs::ACTION_TRIGGER,
        index: irq::MSIX,
        count: 1,
        ..SetIrqs::default()
    };
    let bound = client.set_irqs(request, &[bell.as_fd()]).unwrap();
    bound.success().unwrap();
    bell.signal().unwrap();
    while answered(&mut control) < 100 {}
    for _ in 0..500 {
        neighbour.read(region::CONFIG, 0, 4).unwrap();
        client.read(region::CONFIG, 0, 4).unwrap();
        answered(&mut control);
    }
}

#[test]
fn ringing_often_keeps_nobody_waiting() {
    let (_daemon, mut client, mut control) = served(&[]);
    let bells = doorbells(&mut client);
    for _ in 0..10_000 {
        bells[0].signal().unwrap();
    }
    client.read(region::CONFIG, 0, 4).unwrap();
    let count = answered(&mut control);
    assert!((1..=10_000).contains(&count), "{count}");
    assert!(!os::readable(bells[0].as_fd(), std::time::Duration::ZERO).unwrap());
}
