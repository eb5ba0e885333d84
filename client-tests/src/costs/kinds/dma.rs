//! Client memory, and the copy engine's work on it.

use std::os::fd::AsFd;

use anyhow::{Result, bail};

use super::super::server::Places;
use super::super::{Answer, Ask};
use super::{answer, attach};
use crate::os::Memory;
use crate::raw::RawClient;
use crate::raw::wire::dma_map::{FILE_IO, MMAP, READ, WRITE};
use crate::raw::wire::{Bytes, UNMAP_ALL, command, flag, message};
use crate::testdev::register;

const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;
const BASE: u64 = 1 << 32;
/// Maps that are sent before their replies are received.
const AT_ONCE: u64 = 64;
/// `DMA_STATUS`: the engine works.
const BUSY: u32 = 1;

fn map(
    client: &mut RawClient,
    flags: u32,
    address: u64,
    memory: &Memory,
    size: u64,
) -> Result<Answer> {
    let flags = READ | WRITE | flags;
    let reply = client.dma_map(flags, 0, address, size, Some(memory.as_fd()))?;
    Ok(answer(&reply))
}

/// `size` maps of a page each, apart, and one message that takes all of them back.
pub(super) fn pages(places: &Places) -> Result<Ask> {
    let mut client = attach(places)?;
    let memory = Memory::sealed(PAGE)?;
    Ok(Box::new(move |size| {
        let mut refused = Answer::Served;
        for first in (0..size).step_by(AT_ONCE as usize) {
            let batch = first..(first + AT_ONCE).min(size);
            for page in batch.clone() {
                let payload = Bytes::new().u32(32).u32(READ | WRITE | FILE_IO).u64(0);
                let payload = payload.u64(BASE + page * 2 * PAGE).u64(PAGE);
                let id = client.next_id();
                let bytes = message(id, command::DMA_MAP, flag::COMMAND, &payload);
                client.send(&bytes, &[memory.as_fd()])?;
            }
            for _ in batch {
                if let Answer::Refused(errno) = answer(&client.receive()?) {
                    refused = Answer::Refused(errno);
                }
            }
        }
        client.dma_unmap(UNMAP_ALL, 0, 0)?.success()?;
        Ok(refused)
    }))
}

/// `size` files without a byte in them, each half as large as the one before, from 2^46 bytes down.
pub(super) fn files(places: &Places) -> Result<Ask> {
    let mut client = attach(places)?;
    Ok(Box::new(move |size| {
        let mut refused = Answer::Served;
        let mut address = 0;
        for number in 0..size {
            let size = (1_u64 << 46 >> (number / 4).min(26)).max(MIB);
            let memory = Memory::sealed(size)?;
            if let Answer::Refused(errno) = map(&mut client, MMAP, address, &memory, size)? {
                refused = Answer::Refused(errno);
                break;
            }
            address += size;
        }
        client.dma_unmap(UNMAP_ALL, 0, 0)?.success()?;
        Ok(refused)
    }))
}

pub(super) fn copies_by_file(places: &Places) -> Result<Ask> {
    copies(places, FILE_IO)
}

pub(super) fn copies_by_mapping(places: &Places) -> Result<Ask> {
    copies(places, MMAP)
}

/// A job of the copy engine that copies 64 MiB `size` times, and is broken off after its first moments.
fn copies(places: &Places, tier: u32) -> Result<Ask> {
    const HALF: u64 = 64 * MIB;
    let mut client = attach(places)?;
    let memory = Memory::sealed(2 * HALF)?;
    if let Answer::Refused(errno) = map(&mut client, tier, BASE, &memory, 2 * HALF)? {
        bail!("memory cannot be mapped: errno {errno}");
    }
    Ok(Box::new(move |size| {
        client.write(0, register::DMA_SRC, &BASE.to_le_bytes())?;
        client.write(0, register::DMA_DST, &(BASE + HALF).to_le_bytes())?;
        client.write(0, register::DMA_LEN, &(HALF as u32).to_le_bytes())?;
        let count = u32::try_from(size)?;
        client.write(0, register::DMA_COUNT, &count.to_le_bytes())?;
        client.write(0, register::DMA_CTRL, &[1, 0, 0, 0])?;
        for _ in 0..64 {
            let status = client.read(0, register::DMA_STATUS, 4)?;
            if u32::from(status[0]) & BUSY == 0 {
                break;
            }
        }
        Ok(Answer::Served)
    }))
}
