//! Harmful clients: invalid messages, memory that disappears during a transfer, full eventfds.
//! After each, the server must serve the next client.

use std::os::fd::AsFd;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::{Place, Tally};
use crate::os::Memory;
use crate::raw::RawClient;
use crate::raw::wire::dma_map::{MMAP, READ, WRITE};
use crate::raw::wire::{flag, message, region};
use crate::testdev::{Driver, VECTORS, go, register, signals};

const MIB: u64 = 1 << 20;
/// Of `DMA_STATUS`: done, and done with an error because nothing is mapped.
const DONE: u32 = 0x2;
const UNMAPPED: u32 = 0x106;

pub(super) fn run(place: &Place, tally: &mut Tally, until: Instant) -> Result<()> {
    let mut random = fastrand::Rng::new();
    while Instant::now() < until {
        tally.sent("clients after a fault", 1);
        match random.u8(..3) {
            0 => noise(place, &mut random)?,
            1 => shrink(place, &mut random)?,
            _ => fill(place)?,
        }
        let mut client = RawClient::attach(&place.socket)?;
        client.read(region::CONFIG, 0, 4)?;
        tally.arrived("clients after a fault", 1);
    }
    Ok(())
}

/// Sends valid headers followed by noise, and at last noise alone.
fn noise(place: &Place, random: &mut fastrand::Rng) -> Result<()> {
    let client = RawClient::attach(&place.socket)?;
    for _ in 0..20 {
        let payload: Vec<u8> = (0..random.usize(..100)).map(|_| random.u8(..)).collect();
        let command = random.u16(..20);
        let bytes = message(random.u16(..), command, flag::NO_REPLY, &payload);
        // It may have enough of it already.
        if client.send(&bytes, &[]).is_err() {
            return Ok(());
        }
    }
    let bytes: Vec<u8> = (0..random.usize(1..200)).map(|_| random.u8(..)).collect();
    client.send(&bytes, &[]).ok();
    Ok(())
}

/// Shrinks memory while the engine copies. Whether the client asks for a mapping or not, a file
/// that can shrink is never mapped.
fn shrink(place: &Place, random: &mut fastrand::Rng) -> Result<()> {
    let (mut driver, events) = Driver::with_messages(&place.socket)?;
    let memory = Memory::new(2 * MIB)?;
    let mode = if random.bool() { MMAP } else { 0 };
    let fd = Some(memory.as_fd());
    let mapped = driver
        .client
        .dma_map(READ | WRITE | mode, 0, 0, 2 * MIB, fd)?;
    mapped.success()?;
    driver.prepare_copy(0, MIB, MIB as u32, 50)?;
    driver.set_register(register::DMA_CTRL, go(0))?;
    memory.resize(random.u64(..2 * MIB))?;
    let signals = signals(&events[0])?;
    ensure!(signals == 1, "the end of a copy was told {signals} times");
    let status = driver.register(register::DMA_STATUS)?;
    ensure!(
        matches!(status, DONE | UNMAPPED),
        "the copy ended with status {status:#x}"
    );
    Ok(())
}

/// Binds eventfds that accept no more signals.
fn fill(place: &Place) -> Result<()> {
    let (mut driver, events) = Driver::with_messages(&place.socket)?;
    for event in &events {
        rustix::io::write(event, &(u64::MAX - 1).to_ne_bytes())?;
    }
    for vector in 0..VECTORS {
        driver.set_register(register::IRQ_TRIGGER, vector)?;
    }
    Ok(())
}
