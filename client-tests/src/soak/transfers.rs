//! The copy engine with shared memory: one half by file, the other mapped.

use std::os::fd::AsFd;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::{Place, Tally};
use crate::os::Memory;
use crate::raw::wire::dma_map::{FILE_IO, MMAP, READ, WRITE};
use crate::testdev::{Driver, VECTORS, go, register, signals};

/// Bus address of the memory, and the size of each kind.
const BASE: u64 = 0x10_0000;
const SIZE: u64 = 1 << 20;
const LARGEST: u64 = 300_000;

pub(super) fn run(place: &Place, tally: &mut Tally, until: Instant) -> Result<()> {
    let (mut driver, events) = Driver::with_messages(&place.socket)?;
    let mut random = fastrand::Rng::new();
    let memory = Memory::sealed(2 * SIZE)?;
    let mut expected: Vec<u8> = (0..2 * SIZE).map(|_| random.u8(..)).collect();
    memory.write(0, &expected)?;
    for (half, mode) in [(0, FILE_IO), (1, MMAP)] {
        let at = half * SIZE;
        let fd = Some(memory.as_fd());
        let mapped = driver
            .client
            .dma_map(READ | WRITE | mode, at, BASE + at, SIZE, fd)?;
        mapped.success()?;
    }
    while Instant::now() < until {
        let len = random.u64(1..=LARGEST);
        let from = random.u64(..2 * SIZE - len);
        let to = random.u64(..2 * SIZE - len);
        if from.abs_diff(to) < len {
            continue;
        }
        let vector = random.u32(..VECTORS);
        tally.sent("bytes copied", len);
        tally.sent("messages of copies", 1);
        driver.prepare_copy(BASE + from, BASE + to, len as u32, 1)?;
        driver.set_register(register::DMA_CTRL, go(vector))?;
        let signals = signals(&events[vector as usize])?;
        tally.arrived("messages of copies", signals);
        let status = driver.register(register::DMA_STATUS)?;
        ensure!(status == 2, "the copy ended with status {status:#x}");
        let (from, to, len) = (from as usize, to as usize, len as usize);
        expected.copy_within(from..from + len, to);
        let copied = memory.read(to as u64, len)?;
        let same = copied.iter().zip(&expected[to..]).filter(|(a, b)| a == b);
        tally.arrived("bytes copied", same.count() as u64);
    }
    let all = memory.read(0, expected.len())?;
    ensure!(all == expected, "bytes were written beside the copies");
    Ok(())
}
