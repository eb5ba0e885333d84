//! As many maps as a function takes: a guest that maps 1 GiB page by page, each with a descriptor of
//! its own. The server shares this process, so no other test runs beside this one.

use std::fs;
use std::os::fd::AsFd;

use client_tests::os::Memory;
use client_tests::raw::wire::dma_map::{READ, WRITE};
use client_tests::raw::wire::{Bytes, ENOSPC, command, flag};

use crate::copier::{Copier, Outcome, PAGE, pattern};

const PAGES: u64 = 262_144;
/// Bus address of the first page.
const FIRST: u64 = 1 << 32;

/// File descriptors and mappings of this process.
fn held() -> (usize, usize) {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
    let mappings = fs::read_to_string("/proc/self/maps").unwrap();
    let of_memory = |line: &&str| line.contains("memfd:client-memory");
    (descriptors, mappings.lines().filter(of_memory).count())
}

/// The pages lie in the file in the opposite order, so that no two maps are one.
const fn offset(page: u64) -> u64 {
    (PAGES - 1 - page) * PAGE
}

const fn address(page: u64) -> u64 {
    FIRST + page * PAGE
}

/// Maps pages, waiting for the last one only.
fn map(copier: &mut Copier, memory: &Memory, pages: std::ops::Range<u64>) {
    let last = pages.end - 1;
    for page in pages {
        let fd = memory.as_fd();
        let (offset, address) = (offset(page), address(page));
        let client = &mut copier.client;
        if page == last {
            let reply = client.dma_map(READ | WRITE, offset, address, PAGE, Some(fd));
            reply.unwrap().success().expect("there is room for all");
        } else {
            let map = Bytes::new().u32(32).u32(READ | WRITE).u64(offset);
            let map = map.u64(address).u64(PAGE);
            let posted = client.post(command::DMA_MAP, flag::NO_REPLY, &map, &[fd]);
            posted.unwrap();
        }
    }
}

/// As many maps are there as may be.
fn full(copier: &mut Copier, memory: &Memory) {
    let fd = Some(memory.as_fd());
    let reply = copier.client.dma_map(READ, 0, 0, PAGE, fd).unwrap();
    assert_eq!(reply.failure().unwrap(), ENOSPC, "one too many");
}

pub fn a_gigabyte_of_pages_takes_one_descriptor_and_one_mapping() {
    let mut copier = Copier::new(&["host.client-memory=map-sealed"]);
    let memory = Memory::sealed(PAGES * PAGE).unwrap();
    let (descriptors, mappings) = held();
    map(&mut copier, &memory, 0..PAGES);
    full(&mut copier, &memory);
    assert_eq!(held(), (descriptors + 1, mappings + 1));

    let data = pattern(2 * PAGE as usize);
    let (front, back) = data.split_at(PAGE as usize);
    memory.write(offset(7), front).unwrap();
    memory.write(offset(8), back).unwrap();
    let copies_to = |copier: &mut Copier, page| {
        let len = 2 * PAGE as u32;
        assert_eq!(copier.copy(address(7), address(page), len), Outcome::Copied);
        let copied = [page, page + 1].map(|page| memory.read(offset(page), PAGE as usize).unwrap());
        assert!(copied.concat() == data, "pages {page} and {}", page + 1);
    };
    copies_to(&mut copier, PAGES - 2);

    let (gone, size) = (100_000..100_700, 700 * PAGE);
    let unmapped = copier.client.dma_unmap(0, address(gone.start), size);
    unmapped.unwrap().success().unwrap();
    for page in gone.clone() {
        let outcome = copier.copy(address(7), address(page), 4);
        assert_eq!(outcome, Outcome::Failed(1), "page {page}");
    }
    for page in [gone.start - 1, gone.end] {
        assert_eq!(copier.copy(address(7), address(page), 4), Outcome::Copied);
    }
    copies_to(&mut copier, 50_000);
    map(&mut copier, &memory, gone);
    full(&mut copier, &memory);
    copies_to(&mut copier, 100_300);
    assert_eq!(held(), (descriptors + 1, mappings + 1));
}
