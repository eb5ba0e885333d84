//! File descriptors of the server: few, and none that is not needed any more. It shares them with
//! this process, so no other test runs beside this one.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use client_tests::daemon::Daemon;
use client_tests::os::{Event, Memory};
use client_tests::raw::wire::set_irqs::{ACTION_TRIGGER, DATA_EVENTFD, DATA_NONE};
use client_tests::raw::wire::{UNMAP_ALL, dma_map, irq};
use client_tests::raw::{PATIENCE, SetIrqs};

fn open() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

pub fn the_server_holds_no_more_descriptors_than_it_needs() {
    let (daemon, mut client) = Daemon::testdev(&["host.client-memory=map-sealed"]).unwrap();
    let memory = Memory::sealed(1000 * 0x1000).unwrap();
    let events: Vec<Event> = (0..16).map(|_| Event::new().unwrap()).collect();
    let before = open();

    for at in 0..1000 {
        let copy = memory.as_fd().try_clone_to_owned().unwrap();
        let rights = dma_map::READ | dma_map::WRITE;
        let (offset, address) = (at * 0x1000, at * 0x2000);
        let reply = client.dma_map(rights, offset, address, 0x1000, Some(copy.as_fd()));
        reply.unwrap().success().unwrap();
    }
    assert!(
        open() <= before + 1,
        "1000 maps of one file took {} descriptors",
        open() - before
    );
    client.dma_unmap(0, 0, 0x2000).unwrap().success().unwrap();
    client
        .dma_unmap(UNMAP_ALL, 0, 0)
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(open(), before, "after the last unmap");

    let fds: Vec<BorrowedFd<'_>> = events.iter().map(Event::as_fd).collect();
    let bind = |start: u32, count| SetIrqs {
        flags: DATA_EVENTFD | ACTION_TRIGGER,
        index: irq::MSIX,
        start,
        count,
        bools: &[],
    };
    for _ in 0..3 {
        client
            .set_irqs(bind(0, 16), &fds)
            .unwrap()
            .success()
            .unwrap();
        assert_eq!(
            open(),
            before + 16,
            "each trigger once, however often it is bound"
        );
    }
    client.set_irqs(bind(4, 8), &[]).unwrap().success().unwrap();
    assert_eq!(open(), before + 8, "half of them unbound");
    let disable = SetIrqs {
        flags: DATA_NONE | ACTION_TRIGGER,
        ..bind(0, 0)
    };
    client.set_irqs(disable, &[]).unwrap().success().unwrap();
    assert_eq!(open(), before, "disabled");

    client
        .set_irqs(bind(0, 16), &fds)
        .unwrap()
        .success()
        .unwrap();
    let rights = dma_map::READ;
    client
        .dma_map(rights, 0, 0, 0x1000, Some(memory.as_fd()))
        .unwrap()
        .success()
        .unwrap();
    drop(client);
    // The client's socket is gone on both sides.
    let begun = Instant::now();
    while open() != before - 2 {
        assert!(
            begun.elapsed() < PATIENCE,
            "{} are open, {} expected",
            open(),
            before - 2
        );
    }
    daemon.stop().unwrap();
}
