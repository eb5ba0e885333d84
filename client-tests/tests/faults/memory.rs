//! Client memory that goes away, shrinks or changes while the device works on it, in every tier.

use std::os::fd::AsFd;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use client_tests::os::Memory;
use client_tests::raw::wire::dma_map::{FILE_IO, MMAP, READ, WRITE};
use client_tests::raw::wire::{UNMAP_ALL, command, flag, header};
use client_tests::raw::{Message, PATIENCE};
use client_tests::testdev::{Driver, go, register};
use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, ftruncate, memfd_create,
};

use super::bench::{Bench, Case, case};

const MIB: u64 = 1 << 20;
const BASE: u64 = 0x10_0000;
/// The number of times that the engine copies the first half of memory to the second one.
const REPEATS: u32 = 100;

/// `DMA_STATUS`: done; done with the error that memory is not there; busy.
const COPIED: u32 = 0x002;
const UNMAPPED: u32 = 0x106;
const BUSY: u32 = 1;
const EFAULT: u32 = 14;

/// The setting by which the server reaches memory.
const TIERS: [(&str, u32); 2] = [("file I/O", FILE_IO), ("a mapping", MMAP)];

/// A change that a client makes to its memory.
type Harm = fn(&mut Driver, &Memory) -> Result<()>;

/// Harms, whether they can be done to memory that is sealed, and how the copy may end.
const HARMS: [(&str, bool, Harm, &[u32]); 7] = [
    (
        "truncated to nothing",
        false,
        |_, memory| Ok(memory.resize(0)?),
        &[UNMAPPED, COPIED],
    ),
    (
        "cut off in the middle of a page",
        false,
        |_, memory| Ok(memory.resize(MIB + 100)?),
        &[UNMAPPED, COPIED],
    ),
    (
        "truncated and made large again",
        false,
        |_, memory| {
            for _ in 0..100 {
                memory.resize(0)?;
                memory.resize(2 * MIB)?;
            }
            Ok(())
        },
        &[UNMAPPED, COPIED],
    ),
    (
        "punched",
        true,
        |_, memory| {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            Ok(fallocate(memory, flags, 0, 2 * MIB)?)
        },
        &[COPIED],
    ),
    (
        "unmapped",
        true,
        |driver, _| {
            let unmapped = driver.client.dma_unmap(UNMAP_ALL, 0, 0)?;
            unmapped.success().map(drop)
        },
        &[UNMAPPED, COPIED],
    ),
    (
        "swapped for another file",
        true,
        |driver, _| {
            let unmapped = driver.client.dma_unmap(0, BASE, 2 * MIB)?;
            unmapped.success()?;
            map(driver, &Memory::sealed(2 * MIB)?, 0)
        },
        &[UNMAPPED, COPIED],
    ),
    (
        "sealed against writing",
        true,
        |_, memory| {
            // The kernel refuses that while there is a mapping that may be written.
            fcntl_add_seals(memory, SealFlags::FUTURE_WRITE).ok();
            Ok(())
        },
        &[UNMAPPED, COPIED],
    ),
];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (tier, mode) in TIERS {
        for sealed in [false, true] {
            for (what, can_be_sealed, harm, ends) in HARMS {
                if sealed && !can_be_sealed {
                    continue;
                }
                let kind = if sealed { "sealed memory" } else { "memory" };
                let name = format!("{kind} reached by {tier} is {what} while the engine copies");
                cases.push(case(name, move |bench| {
                    harmed(bench, sealed, mode, harm, ends)
                }));
            }
        }
        let name = format!("memory of huge pages, of which there are none, reached by {tier}");
        cases.push(case(name, move |bench| huge_pages(bench, mode)));
        let name = format!("memory reached by {tier} shrinks before the engine begins");
        cases.push(case(name, move |bench| shrunk(bench, mode)));
    }
    for (what, answer) in ANSWERS {
        let name = format!("memory reached by messages: the client answers with {what}");
        cases.push(case(name, move |bench| answered(bench, answer)));
    }
    cases.push(case(
        "memory reached by messages: the client goes",
        |bench| {
            let mut driver = Driver::attach(&bench.socket())?;
            let mapped = driver
                .client
                .dma_map(READ | WRITE, 0, BASE, 2 * MIB, None)?;
            mapped.success()?;
            start(&mut driver)?;
            asked(&driver).map(drop)
        },
    ));
    cases
}

fn map(driver: &mut Driver, memory: &Memory, mode: u32) -> Result<()> {
    let fd = Some(memory.as_fd());
    let mapped = driver
        .client
        .dma_map(READ | WRITE | mode, 0, BASE, 2 * MIB, fd)?;
    mapped.success().map(drop)
}

fn start(driver: &mut Driver) -> Result<()> {
    driver.prepare_copy(BASE, BASE + MIB, MIB as u32, REPEATS)?;
    driver.set_register(register::DMA_CTRL, go(0))
}

/// Waits for the end of the copies and returns the status of the engine.
fn end(driver: &mut Driver) -> Result<u32> {
    let begun = Instant::now();
    loop {
        let status = driver.register(register::DMA_STATUS)?;
        if status & BUSY == 0 {
            return Ok(status);
        }
        ensure!(begun.elapsed() < PATIENCE, "the engine is still busy");
    }
}

fn harmed(bench: &Bench, sealed: bool, mode: u32, harm: Harm, ends: &[u32]) -> Result<()> {
    let mut driver = Driver::attach(&bench.socket())?;
    let memory = Memory::new(2 * MIB)?;
    if sealed {
        fcntl_add_seals(&memory, SealFlags::SHRINK)?;
    }
    memory.write(0, &vec![0x5a; 2 * MIB as usize])?;
    map(&mut driver, &memory, mode)?;
    start(&mut driver)?;
    harm(&mut driver, &memory)?;
    let status = end(&mut driver)?;
    ensure!(ends.contains(&status), "the copies ended with {status:#x}");
    Ok(())
}

/// Nothing can be in a page that there is not: whoever touched it through a mapping would be killed.
fn huge_pages(bench: &Bench, mode: u32) -> Result<()> {
    let mut driver = Driver::attach(&bench.socket())?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::HUGETLB;
    let Ok(file) = memfd_create("huge", flags) else {
        // A kernel without huge pages has nobody who could harm it with them.
        return Ok(());
    };
    ftruncate(&file, 2 * MIB)?;
    fcntl_add_seals(&file, SealFlags::SHRINK)?;
    map(&mut driver, &Memory::from(file), mode)?;
    start(&mut driver)?;
    let status = end(&mut driver)?;
    ensure!(
        matches!(status, COPIED | UNMAPPED),
        "the copies ended with {status:#x}"
    );
    Ok(())
}

fn shrunk(bench: &Bench, mode: u32) -> Result<()> {
    let mut driver = Driver::attach(&bench.socket())?;
    let memory = Memory::new(2 * MIB)?;
    map(&mut driver, &memory, mode)?;
    memory.resize(MIB / 2)?;
    start(&mut driver)?;
    let status = end(&mut driver)?;
    ensure!(status == UNMAPPED, "the copies ended with {status:#x}");
    let size = memory.size()?;
    ensure!(size == MIB / 2, "the file grew to {size:#x}");
    Ok(())
}

/// Makes the answer to a DMA command.
type Answer = fn(&Message) -> Vec<u8>;

const ANSWERS: [(&str, Answer); 4] = [
    ("an error", |asked| {
        reply(asked, flag::REPLY | flag::ERROR, &[])
    }),
    ("nothing but a header", |asked| {
        reply(asked, flag::REPLY, &[])
    }),
    ("bytes of another place", |asked| {
        let mut payload = asked.payload[..16].to_vec();
        payload[0] ^= 0xff;
        payload.resize(16 + 4096, 0);
        reply(asked, flag::REPLY, &payload)
    }),
    ("more bytes than were asked for", |asked| {
        let mut payload = asked.payload[..16].to_vec();
        payload[8..16].copy_from_slice(&(4 * MIB).to_le_bytes());
        payload.resize(16 + 1000, 0);
        reply(asked, flag::REPLY, &payload)
    }),
];

fn reply(asked: &Message, flags: u32, payload: &[u8]) -> Vec<u8> {
    let size = 16 + payload.len() as u32;
    let error = if flags & flag::ERROR == 0 { 0 } else { EFAULT };
    let mut bytes: Vec<u8> = header(asked.id, asked.command, size, flags, error).into();
    bytes.extend_from_slice(payload);
    bytes
}

/// The next command of the server's.
fn asked(driver: &Driver) -> Result<Message> {
    let message = driver.client.receive().context("no command came")?;
    ensure!(message.command == command::DMA_READ, "{message:?} came");
    Ok(message)
}

fn answered(bench: &Bench, answer: Answer) -> Result<()> {
    let mut driver = Driver::attach(&bench.socket())?;
    let mapped = driver
        .client
        .dma_map(READ | WRITE, 0, BASE, 2 * MIB, None)?;
    mapped.success()?;
    start(&mut driver)?;
    let command = asked(&driver)?;
    driver.client.send(&answer(&command), &[])?;
    match end(&mut driver)? {
        UNMAPPED => Ok(()),
        status => bail!("the copies ended with {status:#x}"),
    }
}
