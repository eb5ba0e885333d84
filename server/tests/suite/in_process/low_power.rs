//! Low power over the wire.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::read;
use vfio_user_protocol::Command;

use super::client::{
    CONFIG, Client, EINVAL, ENTRY, ENTRY_WITH_WAKEUP, EXIT, GET, PROBE, SET, words,
};
use super::*;

const EIO: u32 = 5;
const EBADF: u32 = 9;
const EFAULT: u32 = 14;
const ENOTTY: u32 = 25;

fn event() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap()
}

/// Takes the count of an eventfd.
fn count(fd: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    match read(fd, &mut count) {
        Ok(_) => u64::from_ne_bytes(count),
        Err(_) => 0,
    }
}

fn enter_with_wakeup(client: &mut Client, fd: &OwnedFd) {
    let reply = client.feature(SET | ENTRY_WITH_WAKEUP, &[0, 0], &[fd]);
    assert_eq!(reply, Ok(words(&[16, SET | ENTRY_WITH_WAKEUP, 0, 0])));
}

#[test]
fn a_device_sleeps_between_the_requests_of_a_client_that_gave_it_up() {
    let server = Running::testdev(&[]);
    let (mut client, mut control) = (server.client(), server.control());
    let entered = client.feature(SET | ENTRY, &[], &[]);
    assert_eq!(entered, Ok(words(&[8, SET | ENTRY])));
    for sleeps in 1..4 {
        let status = control.ask("status");
        assert_eq!(status["runtime_status"], "suspended");
        assert_eq!(status["power_state"], "D3cold");
        assert_eq!(status["suspends"], sleeps);
        assert_eq!(client.read(CONFIG, 0, 2).unwrap(), [0x34, 0x12]);
    }
    client.feature(SET | EXIT, &[], &[]).unwrap();
    assert_eq!(control.status("runtime_status"), "active");
    assert_eq!(control.status("runtime_usage"), 1);
}

#[test]
fn features_that_concern_client_memory_wake_the_device_as_all_do() {
    for dialect in ["host.pm-dialect=mainline", "host.pm-dialect=v4"] {
        let server = Running::testdev(&[dialect]);
        let (mut client, mut control) = (server.client(), server.control());
        let entry: &[u32] = if dialect.ends_with("v4") {
            &[1, 0]
        } else {
            &[]
        };
        client.feature(SET | ENTRY, entry, &[]).unwrap();
        for (sleeps, (flags, errno)) in (1..).zip([
            (PROBE | SET | 6, None),
            (SET | 6, Some(EINVAL)),
            (SET | 7, None),
            (GET | 8, Some(EINVAL)),
        ]) {
            assert_eq!(control.status("suspends"), sleeps, "{flags:#x} {dialect}");
            assert_eq!(client.feature(flags, &[], &[]).err(), errno, "{flags:#x}");
        }
        assert_eq!(control.status("suspends"), 5);
    }
}

#[test]
fn pipelined_requests_wake_the_device_one_by_one() {
    let server = Running::testdev(&[]);
    let (mut client, mut control) = (server.client(), server.control());
    let payload = words(&[8, SET | ENTRY]);
    client.send(Command::DeviceFeature.number(), 0, &payload, &[]);
    for _ in 0..9 {
        let payload = words(&[8, PROBE | ENTRY]);
        client.send(Command::DeviceFeature.number(), 0, &payload, &[]);
    }
    for earlier in (0..10).rev() {
        client.receive_earlier(earlier).unwrap();
    }
    assert_eq!(control.status("suspends"), 10);
}

#[test]
fn the_wakeup_eventfd_is_told_once_and_before_the_reply() {
    let server = Running::testdev(&[]);
    let (mut client, mut control) = (server.client(), server.control());
    let first = event();
    enter_with_wakeup(&mut client, &first);
    assert_eq!((count(&first), control.status("engaged")), (0, true.into()));
    client.read(CONFIG, 0, 2).unwrap();
    assert_eq!(
        (count(&first), control.status("engaged")),
        (1, false.into())
    );
    client.read(CONFIG, 0, 2).unwrap();
    assert_eq!(count(&first), 0);

    // An entry that ends the one before tells that one's eventfd, not its own.
    let second = event();
    enter_with_wakeup(&mut client, &first);
    enter_with_wakeup(&mut client, &second);
    assert_eq!((count(&first), count(&second)), (1, 0));
    drop(client);
    while control.ask("status")["connection"]["connected"] == true {}
    assert_eq!((count(&first), count(&second)), (0, 0));
}

#[test]
fn a_wakeup_eventfd_that_is_full_holds_up_nobody() {
    let server = Running::testdev(&[]);
    let mut client = server.client();
    let full = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    rustix::io::write(&full, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    enter_with_wakeup(&mut client, &full);
    assert_eq!(client.read(CONFIG, 0, 2).unwrap(), [0x34, 0x12]);
}

/// Whatever becomes of a request, no descriptor stays behind.
#[test]
fn descriptors_that_are_not_wanted_are_refused_or_ignored_and_closed() {
    let server = Running::testdev(&[]);
    let mut client = server.client();
    let good: &[u32] = &[0, 0];
    let negative: &[u32] = &[!0, 0];
    for (name, flags, data, fds, error) in [
        ("none", SET | ENTRY_WITH_WAKEUP, good, 0, Some(EBADF)),
        ("no eventfd", SET | ENTRY_WITH_WAKEUP, good, 1, Some(EINVAL)),
        ("two", SET | ENTRY_WITH_WAKEUP, good, 2, Some(EINVAL)),
        ("-1", SET | ENTRY_WITH_WAKEUP, negative, 1, Some(EINVAL)),
        ("no data", SET | ENTRY_WITH_WAKEUP, &[], 1, Some(EINVAL)),
        ("probe", PROBE | ENTRY_WITH_WAKEUP, &[], 1, None),
        ("no such feature", SET | 99, &[], 1, Some(ENOTTY)),
        ("exit", SET | EXIT, &[], 1, None),
    ] {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let fds: Vec<&dyn AsFd> = (0..fds).map(|_| &writer as &dyn AsFd).collect();
        let reply = client.feature(flags, data, &fds);
        assert_eq!(reply.err(), error, "{name}");
        drop(writer);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "{name}");
    }
}

#[test]
fn what_is_wrong_in_a_request_wakes_the_device_but_a_broken_frame_does_not() {
    let server = Running::testdev(&[]);
    let mut client = server.client();
    let event = event();
    let cases = [
        (Command::DeviceFeature, words(&[8]), 0),
        (Command::RegionRead, words(&[0; 3]), 0),
        (Command::DmaMap, words(&[32]), 0),
        (Command::DeviceFeature, words(&[7, SET | ENTRY]), 1),
        (Command::DeviceGetInfo, words(&[0; 4]), 1),
        (Command::DeviceGetRegionInfo, words(&[32]), 1),
        (Command::DeviceGetRegionIoFds, words(&[0]), 1),
        (Command::DeviceGetIrqInfo, words(&[16, 0, 5, 0]), 1),
        (Command::DeviceSetIrqs, words(&[20, 0, 0, 0, 0]), 1),
    ];
    for (command, payload, wakes) in cases {
        enter_with_wakeup(&mut client, &event);
        assert_eq!(client.request(command, &payload), Err(EINVAL), "{command}");
        assert_eq!(count(&event), wakes, "{command}");
        client.feature(SET | EXIT, &[], &[]).unwrap();
        count(&event);
    }
    // An access of no bytes succeeds, whatever it is to.
    enter_with_wakeup(&mut client, &event);
    assert_eq!(client.read(99, 0, 0), Ok(Vec::new()));
    assert_eq!(client.write(99, 0, &[]), Ok(()));
    assert_eq!(count(&event), 0);
}

#[test]
fn interrupts_of_a_waking_device_go_to_who_was_bound_before_the_request() {
    let server = Running::testdev(&[]);
    let (mut client, mut control) = (server.client(), server.control());
    let (before, after) = (event(), event());
    client.set_irqs(0x24, 0, (0, 1), &[&before]).unwrap();
    client.feature(SET | ENTRY, &[], &[]).unwrap();
    control.write("{\"verb\":\"intx\",\"level\":\"assert\"}\n");
    let reply = control.line();
    assert!(reply["error"].is_null(), "{reply}");
    assert_eq!(count(&before), 0, "asleep");
    client.set_irqs(0x24, 0, (0, 1), &[&after]).unwrap();
    assert_eq!((count(&before), count(&after)), (1, 0));
}

#[test]
fn the_earlier_dialect_replies_with_its_flags() {
    let server = Running::testdev(&["host.pm-dialect=v4"]);
    let mut client = server.client();
    let state = client.feature(GET | 3, &[0, 0], &[]);
    assert_eq!(state, Ok(words(&[16, GET | 3, 2, 0])));
    let entered = client.feature(SET | 3, &[1, 0], &[]);
    assert_eq!(entered, Ok(words(&[16, SET | 3, 1, 0])));
    let info = client.request(Command::DeviceGetInfo, &words(&[16, 0, 0, 0]));
    assert_eq!(info, Ok(words(&[16, 3, 9, 6])));
}

#[test]
fn the_dialect_is_named_to_clients_that_ask_for_it() {
    for (dialect, offered, answered) in [
        ("mainline", r#"["mainline","v4"]"#, true),
        ("v4", r#"["mainline","v4"]"#, true),
        ("v4", r#"["mainline"]"#, false),
    ] {
        let server = Running::testdev(&[&format!("host.pm-dialect={dialect}")]);
        let mut client = Client::new(server.connect());
        let text = format!("{{\"capabilities\":{{\"pm_dialects\":{offered}}}}}\0");
        let proposal = [words(&[0]), text.into_bytes()].concat();
        let reply = client.request(Command::Version, &proposal).unwrap();
        let reply = String::from_utf8_lossy(&reply[4..]).into_owned();
        let named = format!("\"pm_dialects\":[\"{dialect}\"]");
        assert_eq!(reply.contains(&named), answered, "{reply}");
    }
}

#[test]
fn errors_and_short_counts_of_vfio_pci_reach_the_client() {
    let server = Running::testdev(&["host.view=vfio-pci"]);
    let mut client = server.client();
    client.write(CONFIG, 4, &[0, 0]).unwrap();
    assert_eq!(client.read(0, 0, 4), Err(EIO));
    assert_eq!(client.read(CONFIG, 0x1000, 4), Err(EFAULT));
    client.enable();
    let payload = super::client::access(2, 0xfffc, 8);
    let reply = client.request(Command::RegionRead, &payload).unwrap();
    let short = super::client::access(2, 0xfffc, 4);
    assert_eq!(reply, [&short[..], &[0; 4]].concat());
    let write = [&payload[..], &[1; 8]].concat();
    let reply = client.request(Command::RegionWrite, &write).unwrap();
    assert_eq!(reply, short);
    assert_eq!(client.read(2, 0xfffc, 4).unwrap(), [1; 4]);
}

#[test]
fn a_device_without_a_reset_says_so() {
    let server = Running::testdev(&["host.reset-works=false"]);
    let mut client = server.client();
    let info = client.request(Command::DeviceGetInfo, &words(&[16, 0, 0, 0]));
    assert_eq!(info, Ok(words(&[16, 2, 9, 5])));
    assert_eq!(client.request(Command::DeviceReset, &[]), Err(EINVAL));
}
