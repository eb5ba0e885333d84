//! The rules of DMA_MAP and DMA_UNMAP.

use std::fs::File;
use std::os::fd::AsFd;

use client_tests::os::Memory;
use client_tests::raw::wire::dma_map::{FILE_IO, READ, WRITE};
use client_tests::raw::wire::{Bytes, EEXIST, EINVAL, UNMAP_ALL, command};

use crate::copier::{Copier, DESTINATION, Outcome, PAGE, SOURCE, buffers};

#[test]
fn an_unmapped_range_is_out_of_reach_although_its_file_is_mapped_elsewhere() {
    let mut copier = Copier::new(&[]);
    let memory = Memory::new(PAGE).unwrap();
    copier.map(READ | WRITE, SOURCE, PAGE, &memory);
    copier.map(READ | WRITE, DESTINATION, PAGE, &memory);
    assert_eq!(copier.copy(SOURCE, SOURCE + 0x800, 4), Outcome::Copied);
    copier
        .client
        .dma_unmap(0, SOURCE, PAGE)
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(copier.copy(SOURCE, SOURCE + 0x800, 4), Outcome::Failed(1));
    assert_eq!(
        copier.copy(DESTINATION, DESTINATION + 0x800, 4),
        Outcome::Copied
    );
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

const PAGES: u64 = 512;
const PAGES_PER_FILE: u64 = 8;
/// Bus address of the first page.
const FIRST: u64 = 1 << 32;

const fn address(page: u64) -> u64 {
    FIRST + page * PAGE
}

/// The files behind some maps of a page each.
struct Files(Vec<Memory>);

impl Files {
    fn new() -> Self {
        let files = 0..PAGES / PAGES_PER_FILE;
        let memory = |_| Memory::sealed(PAGES_PER_FILE * PAGE).unwrap();
        Self(files.map(memory).collect())
    }

    /// Neighbours lie in a file in the opposite order, so that no two maps are one.
    fn place(&self, page: u64) -> (&Memory, u64) {
        let from_end = page % PAGES_PER_FILE + 1;
        let offset = (PAGES_PER_FILE - from_end) * PAGE;
        (&self.0[(page / PAGES_PER_FILE) as usize], offset)
    }

    fn map(&self, copier: &mut Copier, page: u64) {
        let (file, offset) = self.place(page);
        let (flags, file) = (READ | WRITE, Some(file.as_fd()));
        let client = &mut copier.client;
        let reply = client.dma_map(flags, offset, address(page), PAGE, file);
        reply.unwrap().success().expect("nothing is mapped there");
    }

    fn write(&self, page: u64, word: u64) {
        let (file, offset) = self.place(page);
        file.write(offset, &word.to_le_bytes()).unwrap();
    }

    fn read(&self, page: u64) -> u64 {
        let (file, offset) = self.place(page);
        first_word(file, offset)
    }
}

fn first_word(memory: &Memory, offset: u64) -> u64 {
    let word = memory.read(offset, 8).unwrap();
    u64::from_le_bytes(word.try_into().unwrap())
}

/// QEMU with a guest IOMMU takes back many maps at once and maps other pages at their addresses. Old ones would be read and written without
/// anybody noticing.
#[test]
fn an_unmap_of_many_maps_leaves_no_stale_page() {
    for set in [
        "host.client-memory=file-io",
        "host.client-memory=map-sealed",
    ] {
        let mut copier = Copier::new(&[set]);
        let [source, destination] = buffers(&mut copier, Memory::sealed, READ | WRITE, PAGE);
        let mut earlier: Vec<Files> = Vec::new();
        // The maps' own range, and more than that.
        for (round, unmapped) in (1..).zip([PAGES * PAGE, 1 << 32, PAGES * PAGE]) {
            let files = Files::new();
            for page in 0..PAGES {
                files.write(page, round << 32 | page);
            }
            // Others are left out in the next round.
            let is_mapped = |page: &u64| page % 3 != (round + 2) % 3;
            for page in (0..PAGES).filter(is_mapped) {
                files.map(&mut copier, page);
            }
            for step in 0..PAGES {
                // The page reached last before the unmap is asked for first after it, and is gone.
                let page = if round % 2 == 1 {
                    step
                } else {
                    PAGES - 1 - step
                };
                let what = format!("{set}, round {round}, page {page}");
                let out = copier.copy(address(page), DESTINATION, 8);
                let copied = !(round << 32 | page);
                source.write(0, &copied.to_le_bytes()).unwrap();
                let into = copier.copy(SOURCE, address(page), 8);
                if is_mapped(&page) {
                    assert_eq!([out, into], [const { Outcome::Copied }; 2], "{what}");
                    assert_eq!(first_word(&destination, 0), round << 32 | page, "{what}");
                    assert_eq!(files.read(page), copied, "{what}");
                } else {
                    assert_eq!([out, into], [const { Outcome::Failed(1) }; 2], "{what}");
                }
            }
            for (earlier_round, files) in (1..).zip(&earlier) {
                for page in 0..PAGES {
                    let kept = earlier_round << 32 | page;
                    let kept = if page % 3 == (earlier_round + 2) % 3 {
                        kept
                    } else {
                        !kept
                    };
                    assert_eq!(files.read(page), kept, "{set}, round {round}, page {page}");
                }
            }
            earlier.push(files);
            let unmap = copier.client.dma_unmap(0, FIRST, unmapped);
            unmap.unwrap().success().unwrap();
        }
    }
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
