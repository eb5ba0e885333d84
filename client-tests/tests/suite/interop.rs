//! The client of the crate `vfio_user`, which Cloud Hypervisor uses, against the server; one test for
//! each of its habits that a server has to live with.

use std::os::fd::{AsFd, AsRawFd};
use std::time::Instant;

use client_tests::daemon::{Daemon, Spec};
use client_tests::os::{Event, Memory};
use client_tests::raw::PATIENCE;
use client_tests::raw::wire::{irq, region};
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_INFO_AUTOMASKED, VFIO_IRQ_INFO_EVENTFD, VFIO_IRQ_INFO_MASKABLE,
    VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_ACTION_UNMASK, VFIO_IRQ_SET_DATA_EVENTFD,
    VFIO_IRQ_SET_DATA_NONE, VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE,
};
use vfio_user::Client;

const MAGIC: u32 = 0x504d_4456;

fn served() -> (Daemon, Client) {
    let daemon = Daemon::start(&[Spec::named("testdev").unwrap()]).unwrap();
    let client = Client::new(&daemon.socket(0)).unwrap();
    (daemon, client)
}

fn read(client: &mut Client, region: u32, offset: u64) -> u32 {
    let mut data = [0; 4];
    client.region_read(region, offset, &mut data).unwrap();
    u32::from_le_bytes(data)
}

fn write(client: &mut Client, region: u32, offset: u64, value: u32) {
    client
        .region_write(region, offset, &value.to_le_bytes())
        .unwrap();
}

/// Offset of the capability `id`.
fn capability(client: &mut Client, id: u32) -> u64 {
    let mut at = u64::from(read(client, region::CONFIG, 0x34) & 0xff);
    loop {
        assert_ne!(at, 0, "capability {id:#x}");
        let header = read(client, region::CONFIG, at);
        if header & 0xff == id {
            return at;
        }
        at = u64::from(header >> 8 & 0xff);
    }
}

#[test]
fn it_connects_and_learns_the_regions() {
    let (_daemon, client) = served();
    let both = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
    for (index, size, flags) in [
        (0, 0x1000, both),
        (1, 0, 0),
        (2, 0x10000, both),
        (region::CONFIG, 0x1000, both),
    ] {
        let region = client.region(index).unwrap();
        assert_eq!((region.size, region.flags), (size, flags), "region {index}");
        assert!(
            region.file_offset.is_none() && region.sparse_areas.is_empty(),
            "region {index}"
        );
    }
    assert!(client.region(9).is_none());
}

#[test]
fn it_reads_and_writes_regions() {
    let (_daemon, mut client) = served();
    assert_eq!(read(&mut client, region::CONFIG, 0), 0xd3c0_1234);
    write(&mut client, region::CONFIG, 0x10, u32::MAX);
    assert_eq!(read(&mut client, region::CONFIG, 0x10), 0xffff_f000);
    client.region_write(region::CONFIG, 4, &[2, 0]).unwrap();
    assert_eq!(read(&mut client, 0, 0), MAGIC);
    let data: Vec<u8> = (0..0x1000).map(|at| at as u8).collect();
    client.region_write(2, 0x100, &data).unwrap();
    let mut back = vec![0; data.len()];
    client.region_read(2, 0x100, &mut back).unwrap();
    assert_eq!(back, data);
}

#[test]
fn it_waits_for_data_so_a_sleeping_function_answers_with_ones() {
    let (_daemon, mut client) = served();
    client.region_write(region::CONFIG, 4, &[2, 0]).unwrap();
    let pmcsr = capability(&mut client, 1) + 4;
    client.region_write(region::CONFIG, pmcsr, &[3, 0]).unwrap();
    assert_eq!(read(&mut client, 0, 0), u32::MAX);
    write(&mut client, 0, 4, 1);
    client.region_write(region::CONFIG, pmcsr, &[0, 0]).unwrap();
    client.region_write(region::CONFIG, 4, &[2, 0]).unwrap();
    assert_eq!(read(&mut client, 0, 0), MAGIC);
}

#[test]
fn it_maps_memory_and_takes_it_back() {
    let (_daemon, mut client) = served();
    client.region_write(region::CONFIG, 4, &[6, 0]).unwrap();
    let memory = Memory::new(0x2000).unwrap();
    memory.write(0, b"over there").unwrap();
    client
        .dma_map(0, 0x10_0000, 0x2000, memory.as_fd().as_raw_fd())
        .unwrap();
    for (offset, value) in [
        (0x20, 0x10_0000),
        (0x28, 0x10_1000),
        (0x30, 10),
        (0x34, 1),
        (0x38, 1),
    ] {
        write(&mut client, 0, offset, value);
    }
    assert_eq!(copy_status(&mut client), 2, "done");
    assert_eq!(memory.read(0x1000, 10).unwrap(), b"over there");
    client.dma_unmap(0x10_0000, 0x2000).unwrap();
    write(&mut client, 0, 0x38, 1);
    assert_eq!(
        copy_status(&mut client),
        0x106,
        "done, error, nothing is mapped"
    );
}

/// `DMA_STATUS` when the engine is idle.
fn copy_status(client: &mut Client) -> u32 {
    let begun = Instant::now();
    loop {
        let status = read(client, 0, 0x3c);
        if status & 1 == 0 {
            return status;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "the engine is busy: {status:#x}"
        );
    }
}

#[test]
fn it_asks_for_and_sets_up_interrupts() {
    let (daemon, mut client) = served();
    let intx = client.get_irq_info(irq::INTX).unwrap();
    let automasked = VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
    assert_eq!(
        (intx.index, intx.count, intx.flags),
        (irq::INTX, 1, automasked)
    );
    assert_eq!(client.get_irq_info(irq::MSIX).unwrap().count, 16);

    let trigger = Event::new().unwrap();
    let fds = [trigger.as_fd().as_raw_fd()];
    let bind = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    client.set_irqs(irq::INTX, bind, 0, 1, &fds).unwrap();
    daemon
        .control(0)
        .unwrap()
        .command(&["intx", "assert"])
        .unwrap();
    assert_eq!(trigger.take().unwrap(), 1);
    // Cloud Hypervisor sends this after each access to a BAR.
    let unmask = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK;
    client.set_irqs(irq::INTX, unmask, 0, 1, &[]).unwrap();
    assert_eq!(trigger.take().unwrap(), 1);
}

#[test]
fn it_sets_up_16_vectors_at_a_time_whatever_the_server_says() {
    let (daemon, mut client) = served();
    client.region_write(region::CONFIG, 4, &[6, 0]).unwrap();
    let msix = capability(&mut client, 0x11);
    client
        .region_write(region::CONFIG, msix + 2, &[0, 0x80])
        .unwrap();
    let triggers: Vec<Event> = (0..16).map(|_| Event::new().unwrap()).collect();
    let fds: Vec<i32> = triggers
        .iter()
        .map(|trigger| trigger.as_fd().as_raw_fd())
        .collect();
    let bind = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    client.set_irqs(irq::MSIX, bind, 0, 16, &fds).unwrap();
    daemon
        .control(0)
        .unwrap()
        .command(&["interrupt", "15"])
        .unwrap();
    assert_eq!(triggers[15].take().unwrap(), 1);
}

#[test]
fn it_calls_a_function_with_reset_not_resettable_and_resets_it_all_the_same() {
    let (_daemon, mut client) = served();
    assert!(
        !client.resettable(),
        "it reads the flag the wrong way round"
    );
    client.region_write(region::CONFIG, 4, &[2, 0]).unwrap();
    client.reset().unwrap();
    assert_eq!(read(&mut client, region::CONFIG, 4) & 0xffff, 0);
}

#[test]
fn it_takes_refusals_for_success() {
    let (_daemon, mut client) = served();
    let memory = Memory::new(0x1000).unwrap();
    for _ in 0..2 {
        client
            .dma_map(0, 0x10_0000, 0x1000, memory.as_fd().as_raw_fd())
            .expect("EEXIST goes unseen");
    }
    client
        .set_irqs(irq::MSIX, 0, 0, 1, &[])
        .expect("EINVAL goes unseen");
    assert_eq!(
        read(&mut client, region::CONFIG, 0),
        0xd3c0_1234,
        "it stays in step"
    );
}

#[test]
fn it_comes_back() {
    let (daemon, client) = served();
    client.shutdown().unwrap();
    drop(client);
    let mut client = Client::new(&daemon.socket(0)).unwrap();
    assert_eq!(read(&mut client, region::CONFIG, 0), 0xd3c0_1234);
}
