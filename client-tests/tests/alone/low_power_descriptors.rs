//! Wake-up eventfds that the server holds: one while armed. It shares its descriptors with this
//! process, so this test is alone in it.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};

use client_tests::daemon::{Daemon, Spec};
use client_tests::os::{Event, Memory};
use client_tests::raw::wire::device_feature::{GET, PROBE, SET};

const ENTRY: u32 = 3;
const ENTRY_WITH_WAKEUP: u32 = 4;
const EXIT: u32 = 5;

fn open() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

pub fn wake_up_eventfds_are_given_up() {
    let manual = Spec::named("low-power").unwrap();
    let daemon = Daemon::start(&[manual.set(&["host.suspend-delay-ms=manual"])]).unwrap();
    let mut control = daemon.control(0).unwrap();
    let mut client = daemon.attach(0).unwrap();
    let (event, memory) = (Event::new().unwrap(), Memory::new(4096).unwrap());
    let fd = event.as_fd();
    let before = open();
    let zero = [0; 8];
    let minus_one = [0xff; 8];

    let refused: [(u32, u32, &[u8], &[BorrowedFd<'_>]); 8] = [
        (16, SET | ENTRY_WITH_WAKEUP, &minus_one, &[fd]),
        (8, SET | ENTRY_WITH_WAKEUP, &zero, &[fd]),
        (4, SET | ENTRY_WITH_WAKEUP, &zero, &[fd]),
        (16, SET | ENTRY_WITH_WAKEUP, &[], &[fd]),
        (16, GET | ENTRY_WITH_WAKEUP, &zero, &[fd]),
        (16, SET | ENTRY_WITH_WAKEUP, &zero, &[memory.as_fd()]),
        (16, SET | ENTRY_WITH_WAKEUP, &zero, &[fd, fd]),
        (8, SET | 99, &[], &[fd]),
    ];
    for (argsz, flags, data, fds) in refused {
        let reply = client.device_feature(argsz, flags, data, fds).unwrap();
        reply.failure().unwrap();
        assert_eq!(open(), before, "refused: argsz {argsz}, flags {flags:x}");
    }
    // Those that take none.
    for flags in [PROBE | ENTRY_WITH_WAKEUP, SET | EXIT] {
        client.device_feature(8, flags, &[], &[fd]).unwrap();
        assert_eq!(open(), before, "flags {flags:x}");
    }

    let mut arm = || {
        let reply = client.device_feature(16, SET | ENTRY_WITH_WAKEUP, &zero, &[fd]);
        reply.unwrap().errno()
    };
    assert_eq!(arm(), None);
    assert_eq!(open(), before + 1, "armed");
    assert!(arm().is_some(), "engaged already");
    assert_eq!(open(), before + 1, "still armed");
    client.device_feature(8, SET | EXIT, &[], &[]).unwrap();
    assert_eq!(open(), before, "left before it slept");

    let mut arm = || {
        let reply = client.device_feature(16, SET | ENTRY_WITH_WAKEUP, &zero, &[fd]);
        reply.unwrap().success().unwrap();
        control.command(&["suspend"]).unwrap();
    };
    arm();
    arm();
    assert_eq!(
        open(),
        before + 1,
        "the second entry woke it, and armed it anew"
    );
    client.device_feature(8, SET | ENTRY, &[], &[]).unwrap();
    assert_eq!(open(), before, "entered without");

    client.device_feature(8, SET | EXIT, &[], &[]).unwrap();
    let reply = client.device_feature(16, SET | ENTRY_WITH_WAKEUP, &zero, &[fd]);
    reply.unwrap().success().unwrap();
    // The server's end of the connection, and this one's.
    drop(client);
    while control.command(&["status"]).unwrap()["opens"] != 0 {}
    assert_eq!(open(), before - 2, "the client is gone");
}
