//! DMA_MAP.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Result, ensure};

use super::Source::{LibvfioUser, Linux, Qemu, Specification};
use super::payload::{dma_map, dma_unmap};
use super::subject::{Subject, goes_on, refused_on};
use super::{Check, Outcome, check, holds};
use crate::os::Memory;
use crate::raw::RawClient;
use crate::raw::wire::dma_map::{FILE_IO, READ, WRITE};
use crate::raw::wire::{self, Bytes, EEXIST, EINVAL, ENOSPC, UNMAP_ALL, command};

/// The server has to map the file.
const MMAP: u32 = 1 << 2;
/// Bus address at which checks map memory.
pub(super) const ADDRESS: u64 = 0x10_0000;
pub(super) const PAGE: u64 = 0x1000;

pub(super) const CHECKS: &[Check] = &[
    check(
        "dma-map.short",
        LibvfioUser,
        "A request of 31 bytes gives EINVAL",
        |s| s.refused(command::DMA_MAP, &dma_map(READ, ADDRESS, PAGE)[..31]),
    ),
    check(
        "dma-map.argsz",
        LibvfioUser,
        "argsz below 32 gives EINVAL",
        |s| {
            let request = Bytes::new().u32(31).u32(READ).u64(0).u64(ADDRESS).u64(PAGE);
            s.refused(command::DMA_MAP, &request)
        },
    ),
    check(
        "dma-map.flags",
        LibvfioUser,
        "Flags that do not exist are EINVAL",
        |s| {
            s.refused(command::DMA_MAP, &dma_map(READ | 1 << 4, ADDRESS, PAGE))?;
            s.refused(command::DMA_MAP, &dma_map(READ | 1 << 31, ADDRESS, PAGE))
        },
    ),
    check(
        "dma-map.mode-without-descriptor",
        Specification,
        "The flags that say how a file is accessed are EINVAL without a file",
        |s| {
            s.refused(command::DMA_MAP, &dma_map(READ | MMAP, ADDRESS, PAGE))?;
            s.refused(command::DMA_MAP, &dma_map(READ | FILE_IO, ADDRESS, PAGE))
        },
    ),
    check(
        "dma-map.two-descriptors",
        Specification,
        "More than one descriptor gives EINVAL",
        |s| {
            let memory = Memory::new(PAGE)?;
            let (request, fds) = (dma_map(READ, ADDRESS, PAGE), [memory_fd(&memory); 2]);
            s.refused_with(command::DMA_MAP, &request, &fds, EINVAL)
        },
    ),
    check(
        "dma-map.descriptor",
        Specification,
        "A range of a file is mapped for reading and writing, however the file is to be accessed, and answered without a payload",
        |s| {
            for mode in [0, MMAP, FILE_IO] {
                let memory = Memory::sealed(PAGE)?;
                let mut client = s.attach()?;
                map(
                    &mut client,
                    READ | WRITE | mode,
                    ADDRESS,
                    PAGE,
                    Some(&memory),
                )?;
                goes_on(&mut client)?;
            }
            holds()
        },
    ),
    check(
        "dma-map.no-descriptor",
        Specification,
        "A range without a descriptor can be mapped: the server uses DMA_READ and DMA_WRITE messages",
        |s| {
            map(&mut s.attach()?, READ | WRITE, ADDRESS, PAGE, None)?;
            holds()
        },
    ),
    check(
        "dma-map.read-only",
        Qemu,
        "A range that may only be read is mapped",
        |s| {
            let memory = Memory::sealed(PAGE)?;
            map(&mut s.attach()?, READ, ADDRESS, PAGE, Some(&memory))?;
            holds()
        },
    ),
    check(
        "dma-map.identical",
        Specification,
        "The same map once more gives EEXIST",
        |s| overlapping(s, ADDRESS, 2 * PAGE),
    ),
    check(
        "dma-map.overlap",
        Specification,
        "A map that overlaps one that exists gives EEXIST: at its front, at its end, inside it, around it",
        |s| {
            for (address, size) in [
                (ADDRESS - PAGE, 2 * PAGE),
                (ADDRESS + PAGE, 2 * PAGE),
                (ADDRESS + PAGE, PAGE),
                (ADDRESS - PAGE, 4 * PAGE),
            ] {
                overlapping(s, address, size)?;
            }
            holds()
        },
    ),
    check(
        "dma-map.neighbours",
        Specification,
        "Maps that adjoin do not overlap",
        |s| {
            let mut client = s.attach()?;
            for page in [1, 0, 2] {
                map(&mut client, READ, ADDRESS + page * PAGE, PAGE, None)?;
            }
            holds()
        },
    ),
    check(
        "dma-map.nothing",
        Linux,
        "A map of no bytes gives EINVAL",
        |s| s.refused(command::DMA_MAP, &dma_map(READ, ADDRESS, 0)),
    ),
    check(
        "dma-map.wraps",
        Linux,
        "A map that extends beyond the last address gives EINVAL",
        |s| {
            s.refused(
                command::DMA_MAP,
                &dma_map(READ, PAGE.wrapping_neg(), 2 * PAGE),
            )
        },
    ),
    check(
        "dma-map.unaligned",
        Specification,
        "A map whose address or size is not a multiple of the smallest of `pgsizes` gives EINVAL",
        |s| {
            s.refused(command::DMA_MAP, &dma_map(READ, ADDRESS + 1, PAGE))?;
            s.refused(command::DMA_MAP, &dma_map(READ, ADDRESS, PAGE - 1))
        },
    ),
    check(
        "dma-map.too-large",
        LibvfioUser,
        "A map of more than 8 TiB is taken or gives ENOSPC",
        |s| {
            let mut client = s.attach()?;
            let reply = client.dma_map(READ, 0, 0, (8 << 40) + PAGE, None)?;
            if reply.errno().is_some() {
                let errno = reply.failure()?;
                ensure!(errno == ENOSPC, "refused with {}", wire::name(errno));
            }
            goes_on(&mut client)?;
            holds()
        },
    ),
    check(
        "dma-map.many",
        LibvfioUser,
        "64 maps can be there at once",
        |s| {
            let memory = Memory::sealed(64 * PAGE)?;
            let mut client = s.attach()?;
            for page in 0..64 {
                map(
                    &mut client,
                    READ | WRITE,
                    ADDRESS + 2 * page * PAGE,
                    PAGE,
                    Some(&memory),
                )?;
            }
            unmap_all(&mut client)?;
            holds()
        },
    ),
    check(
        "dma-map.failed-leaves-nothing",
        Linux,
        "A map that was refused is not there: the same range can be mapped afterwards",
        |s| {
            let mut client = s.attach()?;
            let wrong = dma_map(READ | MMAP, ADDRESS, PAGE);
            refused_on(&mut client, command::DMA_MAP, &wrong, &[], EINVAL)?;
            map(&mut client, READ, ADDRESS, PAGE, None)?;
            holds()
        },
    ),
];

fn memory_fd(memory: &Memory) -> BorrowedFd<'_> {
    memory.as_fd()
}

/// Performs a map, which has to succeed, from the start of `memory`.
pub(super) fn map(
    client: &mut RawClient,
    flags: u32,
    address: u64,
    size: u64,
    memory: Option<&Memory>,
) -> Result<()> {
    let reply = client.dma_map(flags, 0, address, size, memory.map(memory_fd))?;
    let reply = reply.success()?;
    ensure!(reply.is_empty(), "the reply carries {} bytes", reply.len());
    Ok(())
}

/// Removes every map.
pub(super) fn unmap_all(client: &mut RawClient) -> Result<()> {
    let request = dma_unmap(24, UNMAP_ALL, 0, 0);
    let reply = client
        .request(command::DMA_UNMAP, &request, &[])?
        .success()?;
    ensure!(reply == *request, "the reply is {reply:x?}");
    Ok(())
}

/// Checks that this map is refused while a map of two pages exists.
fn overlapping(s: &Subject, address: u64, size: u64) -> Outcome {
    let memory = Memory::sealed(4 * PAGE)?;
    let mut client = s.attach()?;
    map(&mut client, READ, ADDRESS, 2 * PAGE, Some(&memory))?;
    let (request, fds) = (dma_map(READ, address, size), [memory_fd(&memory)]);
    refused_on(&mut client, command::DMA_MAP, &request, &fds, EEXIST)?;
    goes_on(&mut client)?;
    holds()
}
