//! DMA: maps and their rules, and what the test function's copy engine reaches through them.

use std::fs::File;
use std::os::fd::AsFd;
use std::time::Instant;

use client_tests::daemon::Daemon;
use client_tests::os::Memory;
use client_tests::raw::wire::dma_map::{FILE_IO, READ, WRITE};
use client_tests::raw::wire::{Bytes, EEXIST, EINVAL, UNMAP_ALL, command, region};
use client_tests::raw::{PATIENCE, RawClient};

/// Bus addresses of the tests: source and destination of copies.
const SOURCE: u64 = 0x10_0000;
const DESTINATION: u64 = 0x20_0000;
const PAGE: u64 = 0x1000;

/// Bits of `DMA_STATUS`.
const BUSY: u32 = 1 << 0;
const DONE: u32 = 1 << 1;
const ERROR: u32 = 1 << 2;

/// A job of the copy engine is over: well, or with an error code.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Copied,
    Failed(u32),
}

/// A client with the copy engine at hand.
struct Copier {
    client: RawClient,
    daemon: Daemon,
}

impl Copier {
    fn new(set: &[&str]) -> Self {
        let (daemon, mut client) = Daemon::testdev(set).unwrap();
        client.write(region::CONFIG, 4, &[6, 0]).unwrap();
        Self { client, daemon }
    }

    fn map(&mut self, flags: u32, address: u64, size: u64, memory: &Memory) {
        let reply = self
            .client
            .dma_map(flags, 0, address, size, Some(memory.as_fd()))
            .unwrap();
        assert!(
            reply.success().unwrap().is_empty(),
            "DMA_MAP has no reply payload"
        );
    }

    fn register(&mut self, offset: u64, value: u64, width: usize) {
        self.client
            .write(0, offset, &value.to_le_bytes()[..width])
            .unwrap();
    }

    fn start(&mut self, from: u64, to: u64, len: u32, count: u32) {
        self.register(0x20, from, 8);
        self.register(0x28, to, 8);
        self.register(0x30, len.into(), 4);
        self.register(0x34, count.into(), 4);
        self.register(0x38, 1, 4);
    }

    fn status(&mut self) -> u32 {
        u32::from_le_bytes(self.client.read(0, 0x3c, 4).unwrap().try_into().unwrap())
    }

    /// Waits until the job is over.
    fn outcome(&mut self) -> Outcome {
        let begun = Instant::now();
        loop {
            let status = self.status();
            if status & BUSY == 0 {
                assert_eq!(status & DONE, DONE, "{status:#x}");
                return match status & ERROR {
                    0 => Outcome::Copied,
                    _ => Outcome::Failed(status >> 8 & 0xff),
                };
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "the engine is still busy: {status:#x}"
            );
        }
    }

    fn copy(&mut self, from: u64, to: u64, len: u32) -> Outcome {
        self.start(from, to, len, 1);
        self.outcome()
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 % 251) as u8).collect()
}

/// Source and destination of `size` bytes each, the source filled, both mapped.
fn buffers(
    copier: &mut Copier,
    make: fn(u64) -> std::io::Result<Memory>,
    flags: u32,
    size: u64,
) -> [Memory; 2] {
    let [source, destination] = [SOURCE, DESTINATION].map(|address| {
        let memory = make(size).unwrap();
        copier.map(flags, address, size, &memory);
        memory
    });
    source.write(0, &pattern(size as usize)).unwrap();
    [source, destination]
}

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
fn memory_that_is_not_shared_is_an_error_when_it_is_used() {
    let mut copier = Copier::new(&[]);
    buffers(&mut copier, Memory::new, READ | WRITE, PAGE);
    let private = 0x30_0000;
    let reply = copier
        .client
        .dma_map(READ | WRITE, 0, private, PAGE, None)
        .unwrap();
    reply.success().unwrap();
    assert_eq!(copier.copy(SOURCE, private, 4), Outcome::Failed(1));
    assert_eq!(copier.copy(private, DESTINATION, 4), Outcome::Failed(1));
    assert_eq!(copier.copy(SOURCE, DESTINATION, 4), Outcome::Copied);
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

#[test]
fn an_unmap_takes_all_that_lies_inside_its_range() {
    let mut copier = Copier::new(&[]);
    let [_source, _destination] = buffers(&mut copier, Memory::new, READ | WRITE, PAGE);
    let memory = Memory::new(PAGE).unwrap();
    let first = 1 << 32;
    for at in 0..600 {
        copier.map(READ | WRITE, first + 2 * at * PAGE, PAGE, &memory);
    }
    assert_eq!(copier.copy(SOURCE, first + 598 * PAGE, 4), Outcome::Copied);
    copier
        .client
        .dma_unmap(0, first, 1 << 32)
        .unwrap()
        .success()
        .unwrap();
    for at in [0, 1, 300, 599] {
        assert_eq!(
            copier.copy(SOURCE, first + 2 * at * PAGE, 4),
            Outcome::Failed(1),
            "map {at}"
        );
    }
    assert_eq!(
        copier.copy(SOURCE, DESTINATION, 4),
        Outcome::Copied,
        "what lies outside"
    );
    copier
        .client
        .dma_unmap(0, first, 1 << 32)
        .unwrap()
        .success()
        .expect("a range without maps");
    copier
        .client
        .dma_unmap(UNMAP_ALL, 0, 0)
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(copier.copy(SOURCE, DESTINATION, 4), Outcome::Failed(1));
}

#[test]
fn rules_of_map_and_unmap() {
    let mut copier = Copier::new(&[]);
    let [_source, _destination] = buffers(&mut copier, Memory::new, READ | WRITE, 4 * PAGE);
    let memory = Memory::new(0x10 * PAGE).unwrap();
    let top = u64::MAX - PAGE + 1;
    for (what, flags, offset, address, size, expected) in [
        ("the same map again", 3, 0, SOURCE, 4 * PAGE, EEXIST),
        ("inside another one", 3, 0, SOURCE + PAGE, PAGE, EEXIST),
        (
            "around another one",
            3,
            0,
            SOURCE - PAGE,
            0x10 * PAGE,
            EEXIST,
        ),
        ("over its beginning", 3, 0, SOURCE - PAGE, 2 * PAGE, EEXIST),
        ("over its end", 3, 0, SOURCE + 3 * PAGE, 2 * PAGE, EEXIST),
        ("an odd address", 3, 0, 0x70_0001, PAGE, EINVAL),
        ("an odd size", 3, 0, 0x70_0000, PAGE + 1, EINVAL),
        ("half a page", 3, 0, 0x70_0800, 0x800, EINVAL),
        ("no size", 3, 0, 0x70_0000, 0, EINVAL),
        ("a range that wraps around", 3, 0, top, 2 * PAGE, EINVAL),
        (
            "an offset that wraps around",
            3,
            u64::MAX - 1,
            0x70_0000,
            PAGE,
            EINVAL,
        ),
        (
            "both modes of access",
            3 | 4 | 8,
            0,
            0x70_0000,
            PAGE,
            EINVAL,
        ),
        ("an unknown flag", 3 | 1 << 9, 0, 0x70_0000, PAGE, EINVAL),
    ] {
        let reply = copier
            .client
            .dma_map(flags, offset, address, size, Some(memory.as_fd()));
        assert_eq!(reply.unwrap().failure().expect(what), expected, "{what}");
        assert_eq!(
            copier.copy(SOURCE, DESTINATION, 4),
            Outcome::Copied,
            "{what}"
        );
    }
    let reply = copier
        .client
        .dma_map(3 | FILE_IO, 0, 0x70_0000, PAGE, None)
        .unwrap();
    assert_eq!(reply.failure().unwrap(), EINVAL, "file I/O without a file");
    for argsz in [0, 31] {
        let map = Bytes::new()
            .u32(argsz)
            .u32(3)
            .u64(0)
            .u64(0x70_0000)
            .u64(PAGE);
        let reply = copier
            .client
            .request(command::DMA_MAP, &map, &[memory.as_fd()])
            .unwrap();
        assert_eq!(reply.failure().unwrap(), EINVAL, "argsz {argsz}");
    }
    copier.map(READ, top, PAGE, &memory);
    copier.map(READ, SOURCE + 4 * PAGE, PAGE, &memory);
    assert_eq!(
        copier.copy(top, DESTINATION, PAGE as u32),
        Outcome::Copied,
        "the last page"
    );

    for (what, flags, address, size) in [
        ("the first page of four", 0, SOURCE, PAGE),
        ("the last page of four", 0, SOURCE + 3 * PAGE, PAGE),
        ("two in the middle", 0, SOURCE + PAGE, 2 * PAGE),
        ("one and a half maps", 0, SOURCE + 2 * PAGE, 3 * PAGE),
        ("no size", 0, SOURCE, 0),
        ("a range that wraps around", 0, top, 2 * PAGE),
        ("all, with an address", UNMAP_ALL, SOURCE, 0),
        ("all, with a size", UNMAP_ALL, 0, PAGE),
        ("an unknown flag", 4, SOURCE, 4 * PAGE),
        ("a dirty bitmap of all", UNMAP_ALL | 1, 0, 0),
    ] {
        let reply = copier.client.dma_unmap(flags, address, size).unwrap();
        assert_eq!(reply.failure().expect(what), EINVAL, "{what}");
        assert_eq!(
            copier.copy(SOURCE, DESTINATION, 4 * PAGE as u32),
            Outcome::Copied,
            "{what}"
        );
    }
    let unmap = Bytes::new().u32(8).u32(0).u64(SOURCE).u64(4 * PAGE);
    let reply = copier
        .client
        .request(command::DMA_UNMAP, &unmap, &[])
        .unwrap();
    assert_eq!(reply.failure().unwrap(), EINVAL, "argsz 8");
}

#[test]
fn whole_address_spaces_can_be_unmapped() {
    let mut copier = Copier::new(&[]);
    buffers(&mut copier, Memory::new, READ | WRITE, PAGE);
    // QEMU with a guest IOMMU takes back both halves, since the whole does not fit a 64-bit size.
    copier
        .client
        .dma_unmap(0, 0, 1 << 63)
        .unwrap()
        .success()
        .unwrap();
    copier
        .client
        .dma_unmap(0, 1 << 63, 1 << 63)
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(copier.copy(SOURCE, DESTINATION, 4), Outcome::Failed(1));
}

#[test]
fn files_that_are_no_memory_are_refused() {
    let mut copier = Copier::new(&[]);
    let (reader, _writer) = std::io::pipe().unwrap();
    let folder = File::open("/").unwrap();
    let null = File::open("/dev/null").unwrap();
    for (what, file) in [
        ("a pipe", reader.as_fd()),
        ("a folder", folder.as_fd()),
        ("/dev/null", null.as_fd()),
    ] {
        let reply = copier
            .client
            .dma_map(READ, 0, SOURCE, PAGE, Some(file))
            .unwrap();
        assert_eq!(reply.failure().expect(what), EINVAL, "{what}");
    }
}

#[test]
fn the_next_client_finds_no_maps() {
    let mut copier = Copier::new(&["host.on-disconnect=retain"]);
    let [_source, destination] = buffers(&mut copier, Memory::new, READ | WRITE, PAGE);
    assert_eq!(copier.copy(SOURCE, DESTINATION, 4), Outcome::Copied);
    let Copier { client, daemon } = copier;
    drop(client);
    destination.write(0, &[0; 4]).unwrap();
    let client = daemon.attach(0).unwrap();
    let mut copier = Copier { client, daemon };
    assert_eq!(copier.copy(SOURCE, DESTINATION, 4), Outcome::Failed(1));
    assert_eq!(destination.read(0, 4).unwrap(), [0; 4]);
}
