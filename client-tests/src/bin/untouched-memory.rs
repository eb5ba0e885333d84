//! A client whose memory the server has to have pages for: `untouched-memory SOCKET MIB TIER COPY`.
//!
//! It hands over a sealed file of that size to which nobody has written, and has the test function's copy
//! engine read the first half of it (`read`: again and again into one page) or copy that half to the
//! second one (`write`). TIER is `file` or `mapping`. Prints the engine's status. For watching a daemon
//! that may not have the memory, in a guest for example.
#![forbid(unsafe_code)]

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use client_tests::os::Memory;
use client_tests::raw::PATIENCE;
use client_tests::raw::wire::dma_map::{FILE_IO, MMAP, READ, WRITE};
use client_tests::testdev::{Driver, register};

const BASE: u64 = 0x1_0000_0000;
const MIB: u64 = 1 << 20;
/// Bytes of one job.
const PIECE: u64 = MIB;
/// `DMA_STATUS`: the engine works.
const BUSY: u32 = 1;
/// `DMA_STATUS`: the job is done, without an error.
const DONE: u32 = 2;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, mib, tier, copy] = &arguments[..] else {
        bail!("usage: untouched-memory SOCKET MIB file|mapping read|write");
    };
    let size = mib.parse::<u64>().context("MIB is a number")? * MIB;
    let tier = match tier.as_str() {
        "file" => FILE_IO,
        "mapping" => MMAP,
        other => bail!("TIER is 'file' or 'mapping', not '{other}'"),
    };
    let writes = match copy.as_str() {
        "read" => false,
        "write" => true,
        other => bail!("COPY is 'read' or 'write', not '{other}'"),
    };
    let memory = Memory::sealed(size)?;
    let mut driver = Driver::attach(Path::new(socket))?;
    let fd = Some(memory.as_fd());
    let mapped = driver
        .client
        .dma_map(READ | WRITE | tier, 0, BASE, size, fd)?;
    mapped.success()?;
    for offset in (0..size / 2).step_by(PIECE as usize) {
        let to = if writes {
            size / 2 + offset
        } else {
            size - PIECE
        };
        let status = job(&mut driver, BASE + offset, BASE + to)?;
        if status != DONE {
            println!("status {status:#x} at {offset:#x}");
            return Ok(());
        }
    }
    println!("copied");
    Ok(())
}

/// Has the engine copy a piece and returns its status afterwards.
fn job(driver: &mut Driver, from: u64, to: u64) -> Result<u32> {
    driver.prepare_copy(from, to, PIECE as u32, 1)?;
    driver.set_register(register::DMA_CTRL, 1)?;
    let begun = Instant::now();
    loop {
        let status = driver.register(register::DMA_STATUS)?;
        if status & BUSY == 0 {
            return Ok(status);
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "the engine does not come to an end"
        );
    }
}
