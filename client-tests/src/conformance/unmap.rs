//! DMA_UNMAP.

use anyhow::ensure;

use super::Source::{LibvfioUser, Linux, Qemu, Specification};
use super::dma::{ADDRESS, PAGE, map, unmap_all};
use super::payload::dma_unmap;
use super::subject::{goes_on, refused_on};
use super::{Check, check, holds};
use crate::os::Memory;
use crate::raw::wire::dma_map::{READ, WRITE};
use crate::raw::wire::{EINVAL, ENOENT, UNMAP_ALL, command};

const DIRTY_BITMAP: u32 = 1 << 0;

pub(super) const CHECKS: &[Check] = &[
    check(
        "dma-unmap.short",
        LibvfioUser,
        "A request of 8 bytes gives EINVAL",
        |s| s.refused(command::DMA_UNMAP, &[0; 8]),
    ),
    check(
        "dma-unmap.argsz",
        LibvfioUser,
        "argsz below 24 gives EINVAL",
        |s| s.refused(command::DMA_UNMAP, &dma_unmap(8, 0, ADDRESS, PAGE)),
    ),
    check(
        "dma-unmap.argsz-above-maximum",
        LibvfioUser,
        "argsz above 1 MiB gives EINVAL",
        |s| {
            let mut client = s.attach()?;
            map(&mut client, READ, ADDRESS, PAGE, None)?;
            let request = dma_unmap((1 << 20) + 8, 0, ADDRESS, PAGE);
            refused_on(&mut client, command::DMA_UNMAP, &request, &[], EINVAL)?;
            holds()
        },
    ),
    check(
        "dma-unmap.flags",
        LibvfioUser,
        "Flags that do not exist are EINVAL",
        |s| s.refused(command::DMA_UNMAP, &dma_unmap(24, 4, ADDRESS, PAGE)),
    ),
    check(
        "dma-unmap.reply",
        Specification,
        "An unmap of one whole map succeeds and is answered with the 24 bytes of the request",
        |s| {
            let memory = Memory::sealed(PAGE)?;
            let mut client = s.attach()?;
            map(&mut client, READ | WRITE, ADDRESS, PAGE, Some(&memory))?;
            let request = dma_unmap(24, 0, ADDRESS, PAGE);
            let reply = client
                .request(command::DMA_UNMAP, &request, &[])?
                .success()?;
            ensure!(reply == *request, "the reply is {reply:x?}");
            holds()
        },
    ),
    check(
        "dma-unmap.removes",
        Specification,
        "A range that was unmapped can be mapped again",
        |s| {
            let mut client = s.attach()?;
            for _ in 0..3 {
                map(&mut client, READ, ADDRESS, PAGE, None)?;
                client.dma_unmap(0, ADDRESS, PAGE)?.success()?;
            }
            holds()
        },
    ),
    check(
        "dma-unmap.unknown",
        LibvfioUser,
        "A range that holds no map gives ENOENT",
        |s| {
            s.refused_with(
                command::DMA_UNMAP,
                &dma_unmap(24, 0, ADDRESS, PAGE),
                &[],
                ENOENT,
            )
        },
    ),
    check(
        "dma-unmap.part",
        Linux,
        "A range that cuts a map in two is refused, and the map stays",
        |s| {
            let mut client = s.attach()?;
            map(&mut client, READ, ADDRESS, 2 * PAGE, None)?;
            client.dma_unmap(0, ADDRESS, PAGE)?.failure()?;
            client.dma_unmap(0, ADDRESS, 2 * PAGE)?.success()?;
            holds()
        },
    ),
    check(
        "dma-unmap.all",
        Qemu,
        "The flag ALL removes every map, and succeeds when there is none",
        |s| {
            let mut client = s.attach()?;
            for _ in 0..2 {
                for page in 0..64 {
                    map(&mut client, READ, ADDRESS + 2 * page * PAGE, PAGE, None)?;
                }
                unmap_all(&mut client)?;
            }
            unmap_all(&mut client)?;
            holds()
        },
    ),
    check(
        "dma-unmap.all-with-address",
        LibvfioUser,
        "ALL with an address or a size gives EINVAL",
        |s| {
            s.refused(command::DMA_UNMAP, &dma_unmap(24, UNMAP_ALL, ADDRESS, 0))?;
            s.refused(command::DMA_UNMAP, &dma_unmap(24, UNMAP_ALL, 0, PAGE))
        },
    ),
    check(
        "dma-unmap.all-with-bitmap",
        LibvfioUser,
        "ALL together with a dirty bitmap gives EINVAL",
        |s| {
            let flags = UNMAP_ALL | DIRTY_BITMAP;
            s.refused(
                command::DMA_UNMAP,
                &dma_unmap(48, flags, 0, 0).u64(PAGE).u64(8),
            )
        },
    ),
    check(
        "dma-unmap.bitmap-while-not-logging",
        LibvfioUser,
        "A dirty bitmap gives EINVAL while no dirty pages are logged, and the map stays",
        |s| {
            let mut client = s.attach()?;
            map(&mut client, READ | WRITE, ADDRESS, PAGE, None)?;
            let request = dma_unmap(48, DIRTY_BITMAP, ADDRESS, PAGE).u64(PAGE).u64(8);
            refused_on(&mut client, command::DMA_UNMAP, &request, &[], EINVAL)?;
            client.dma_unmap(0, ADDRESS, PAGE)?.success()?;
            goes_on(&mut client)?;
            holds()
        },
    ),
    check(
        "dma-unmap.bitmap-size-overflows",
        LibvfioUser,
        "A bitmap of 2^64 - 1 bytes gives EINVAL",
        |s| {
            let mut client = s.attach()?;
            map(&mut client, READ | WRITE, ADDRESS, PAGE, None)?;
            let request = dma_unmap(48, DIRTY_BITMAP, ADDRESS, PAGE)
                .u64(PAGE)
                .u64(u64::MAX);
            refused_on(&mut client, command::DMA_UNMAP, &request, &[], EINVAL)?;
            goes_on(&mut client)?;
            holds()
        },
    ),
];
