//! The part of client memory that the test function's copy engine reaches, and its errors elsewhere.

use std::os::fd::AsFd;
use std::time::Instant;

use client_tests::os::Memory;
use client_tests::raw::wire::dma_map::{FILE_IO, MMAP, READ, WRITE};
use client_tests::raw::wire::{Bytes, region};
use client_tests::raw::{PATIENCE, RawClient};

use crate::copier::{BUSY, Copier, DESTINATION, Outcome, PAGE, SOURCE, buffers, pattern};

#[test]
fn copies_go_through_shared_memory_however_it_is_reached() {
    let unsealed: fn(u64) -> std::io::Result<Memory> = Memory::new;
    for (what, set, make, flags) in [
        (
            "file I/O",
            "host.client-memory=file-io",
            unsealed,
            READ | WRITE,
        ),
        (
            "sealed, but not to be mapped",
            "host.client-memory=file-io",
            Memory::sealed,
            READ | WRITE,
        ),
        (
            "sealed and mapped",
            "host.client-memory=map-sealed",
            Memory::sealed,
            READ | WRITE,
        ),
        (
            "unsealed, so not mapped",
            "host.client-memory=map-sealed",
            unsealed,
            READ | WRITE,
        ),
        (
            "file I/O at the client's wish",
            "host.client-memory=map-sealed",
            Memory::sealed,
            READ | WRITE | FILE_IO,
        ),
        (
            "mapped at the client's wish",
            "host.client-memory=file-io",
            Memory::sealed,
            READ | WRITE | MMAP,
        ),
        (
            "not mapped in spite of the client's wish",
            "host.client-memory=file-io",
            unsealed,
            READ | WRITE | MMAP,
        ),
    ] {
        let mut copier = Copier::new(&[set]);
        let size = 4 * PAGE;
        let [source, destination] = buffers(&mut copier, make, flags, size);
        assert_eq!(
            copier.copy(SOURCE, DESTINATION, size as u32),
            Outcome::Copied,
            "{what}"
        );
        assert!(
            destination.read(0, size as usize).unwrap() == pattern(size as usize),
            "{what}"
        );
        assert_eq!(
            copier.copy(SOURCE + 3, DESTINATION + 0x1001, 5),
            Outcome::Copied,
            "{what}"
        );
        let moved = destination.read(0x1001, 5).unwrap();
        assert_eq!(moved, source.read(3, 5).unwrap(), "{what}: odd addresses");
    }
}

#[test]
fn a_map_begins_where_its_offset_says() {
    let mut copier = Copier::new(&[]);
    let memory = Memory::new(4 * PAGE).unwrap();
    memory.write(2 * PAGE, b"from here").unwrap();
    let map = |copier: &mut Copier, address, offset| {
        let reply =
            copier
                .client
                .dma_map(READ | WRITE, offset, address, PAGE, Some(memory.as_fd()));
        reply.unwrap().success().unwrap();
    };
    map(&mut copier, SOURCE, 2 * PAGE);
    map(&mut copier, DESTINATION, PAGE);
    assert_eq!(copier.copy(SOURCE, DESTINATION, 9), Outcome::Copied);
    assert_eq!(memory.read(PAGE, 9).unwrap(), b"from here");
}

#[test]
fn copies_span_maps_that_adjoin_and_stop_at_gaps() {
    for set in [
        "host.client-memory=file-io",
        "host.client-memory=map-sealed",
    ] {
        let mut copier = Copier::new(&[set]);
        let pieces: Vec<Memory> = (0..3).map(|_| Memory::sealed(PAGE).unwrap()).collect();
        for (at, piece) in (0..).zip(&pieces) {
            piece.write(0, &[b'a' + at as u8; PAGE as usize]).unwrap();
            copier.map(READ | WRITE, SOURCE + at * PAGE, PAGE, piece);
        }
        let whole = Memory::sealed(4 * PAGE).unwrap();
        copier.map(READ | WRITE, DESTINATION, 4 * PAGE, &whole);
        assert_eq!(
            copier.copy(SOURCE + 0x800, DESTINATION, 2 * PAGE as u32),
            Outcome::Copied
        );
        let expected = [&[b'a'; 0x800][..], &[b'b'; 0x1000], &[b'c'; 0x800]].concat();
        assert!(
            whole.read(0, 2 * PAGE as usize).unwrap() == expected,
            "{set}"
        );
        assert_eq!(
            copier.copy(SOURCE + 0x800, DESTINATION, 3 * PAGE as u32),
            Outcome::Failed(1),
            "{set}"
        );
    }
}

#[test]
fn what_may_not_be_done_ends_in_its_error() {
    let mut copier = Copier::new(&[]);
    let [_source, destination] = buffers(&mut copier, Memory::new, READ | WRITE, PAGE);
    let read_only = Memory::new(PAGE).unwrap();
    let write_only = Memory::new(PAGE).unwrap();
    let (no_write, no_read, hole) = (0x30_0000, 0x40_0000, 0x50_0000);
    copier.map(READ, no_write, PAGE, &read_only);
    copier.map(WRITE, no_read, PAGE, &write_only);
    for (what, from, to, expected) in [
        (
            "out of a read-only map",
            no_write,
            DESTINATION,
            Outcome::Copied,
        ),
        ("into a read-only map", SOURCE, no_write, Outcome::Failed(2)),
        ("into a write-only map", SOURCE, no_read, Outcome::Copied),
        (
            "out of a write-only map",
            no_read,
            DESTINATION,
            Outcome::Failed(2),
        ),
        ("out of nowhere", hole, DESTINATION, Outcome::Failed(1)),
        ("into nowhere", SOURCE, hole, Outcome::Failed(1)),
        (
            "over the end of a map",
            SOURCE + 0xff0,
            DESTINATION,
            Outcome::Failed(1),
        ),
        (
            "over the end of addresses",
            u64::MAX - 7,
            DESTINATION,
            Outcome::Failed(1),
        ),
    ] {
        assert_eq!(copier.copy(from, to, 0x100), expected, "{what}");
    }
    assert_eq!(read_only.read(0, 0x100).unwrap(), [0; 0x100]);
    copier.client.write(region::CONFIG, 4, &[2, 0]).unwrap();
    destination.write(0, &[0xee; 4]).unwrap();
    assert_eq!(
        copier.copy(SOURCE, DESTINATION, 4),
        Outcome::Failed(3),
        "bus master off"
    );
    assert_eq!(destination.read(0, 4).unwrap(), [0xee; 4]);
}

#[test]
fn going_to_sleep_cuts_a_job_off() {
    let mut copier = Copier::new(&["capabilities.pm.no-soft-reset=true"]);
    let [_source, destination] = buffers(&mut copier, Memory::new, READ | WRITE, PAGE);
    let pmcsr = pmcsr(&mut copier.client);
    copier.start(SOURCE, DESTINATION, PAGE as u32, u32::MAX);
    assert_eq!(copier.status() & BUSY, BUSY);
    copier.client.write(region::CONFIG, pmcsr, &[3]).unwrap();
    destination.write(0, &[0; PAGE as usize]).unwrap();
    copier.client.device_info().unwrap();
    assert!(
        destination.read(0, PAGE as usize).unwrap() == [0; PAGE as usize],
        "asleep"
    );
    copier.client.write(region::CONFIG, pmcsr, &[0]).unwrap();
    assert_eq!(copier.outcome(), Outcome::Failed(4));
    assert_eq!(
        copier.copy(SOURCE, DESTINATION, PAGE as u32),
        Outcome::Copied,
        "awake"
    );
}

/// Offset of PMCSR.
fn pmcsr(client: &mut RawClient) -> u64 {
    let config = client.read(region::CONFIG, 0, 0x100).unwrap();
    let mut at = usize::from(config[0x34]);
    while config[at] != 1 {
        at = usize::from(config[at + 1]);
        assert_ne!(at, 0, "there is no PM capability");
    }
    at as u64 + 4
}

#[test]
fn a_job_without_end_holds_nothing_up_and_can_be_stopped() {
    let mut copier = Copier::new(&[]);
    buffers(&mut copier, Memory::new, READ | WRITE, 0x10_0000);
    copier.start(SOURCE, DESTINATION, 0x10_0000, u32::MAX);
    for _ in 0..100 {
        assert_eq!(copier.status() & BUSY, BUSY);
    }
    copier.register(0x38, 1 << 31, 4);
    let begun = Instant::now();
    while copier.status() & BUSY != 0 {
        assert!(begun.elapsed() < PATIENCE, "the engine does not stop");
    }
}

#[test]
fn a_file_that_shrinks_during_a_copy_is_an_error_and_nothing_else() {
    for set in [
        "host.client-memory=file-io",
        "host.client-memory=map-sealed",
    ] {
        let mut copier = Copier::new(&[set]);
        let size = 0x10_0000;
        let [source, destination] = buffers(&mut copier, Memory::new, READ | WRITE, size);
        copier.start(SOURCE, DESTINATION, size as u32, u32::MAX);
        assert_eq!(copier.status() & BUSY, BUSY);
        source.resize(PAGE).unwrap();
        assert_eq!(
            copier.outcome(),
            Outcome::Failed(1),
            "{set}: the source is cut short"
        );
        source.resize(size).unwrap();
        copier.start(SOURCE, DESTINATION, size as u32, u32::MAX);
        assert_eq!(
            copier.status() & BUSY,
            BUSY,
            "{set}: it is as long as before"
        );
        destination.resize(0).unwrap();
        copier.register(0x38, 1 << 31, 4);
        // Writing to a file makes it longer again, so this one may well succeed.
        copier.outcome();
        copier.client.device_info().unwrap();
    }
}

#[test]
fn an_unmapped_range_is_out_of_reach_when_the_reply_is_there() {
    let mut copier = Copier::new(&[]);
    let [_source, destination] = buffers(&mut copier, Memory::new, READ | WRITE, PAGE);
    copier.start(SOURCE, DESTINATION, PAGE as u32, u32::MAX);
    assert_eq!(copier.status() & BUSY, BUSY);
    let reply = copier
        .client
        .dma_unmap(0, DESTINATION, PAGE)
        .unwrap()
        .success()
        .unwrap();
    destination.write(0, &[0; PAGE as usize]).unwrap();
    assert_eq!(
        reply,
        *Bytes::new().u32(24).u32(0).u64(DESTINATION).u64(PAGE),
        "the range again"
    );
    assert_eq!(copier.outcome(), Outcome::Failed(1));
    assert!(destination.read(0, PAGE as usize).unwrap() == [0; PAGE as usize]);
}
