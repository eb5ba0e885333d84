//! Clients that connect and disconnect: regularly, in the middle of a message, with maps and
//! eventfds.

use std::os::fd::AsFd;
use std::time::Instant;

use anyhow::{Context, Result};

use super::{Place, Tally};
use crate::os::Memory;
use crate::raw::RawClient;
use crate::raw::wire::dma_map::{READ, WRITE};
use crate::raw::wire::{Bytes, command, flag, irq, message, region};
use crate::testdev::{Driver, VECTORS};

const PAGE: u64 = 4096;

pub(super) fn run(place: &Place, tally: &mut Tally, until: Instant) -> Result<()> {
    let mut random = fastrand::Rng::new();
    let version = message(
        1,
        command::VERSION,
        flag::COMMAND,
        &Bytes::new().u16(0).u16(1),
    );
    while Instant::now() < until {
        tally.sent("connects", 1);
        match random.u8(..8) {
            0 => drop(RawClient::connect(&place.socket)?),
            1 => {
                let client = RawClient::connect(&place.socket)?;
                // It may have been refused: the one before is not gone yet.
                client
                    .send(&version[..random.usize(1..version.len())], &[])
                    .ok();
            }
            2 => {
                let mut driver = Driver::attach(&place.socket)?;
                let memory = Memory::new(4 * PAGE)?;
                for page in 0..4 {
                    let at = page * PAGE;
                    let fd = Some(memory.as_fd());
                    let mapped = driver.client.dma_map(READ | WRITE, at, at, PAGE, fd)?;
                    mapped.success()?;
                }
                driver.bind(irq::MSIX, VECTORS)?;
            }
            3 => {
                let mut client = RawClient::attach(&place.socket)?;
                client.post_read(region::CONFIG, 0, 4)?;
            }
            _ => {
                let mut client = RawClient::attach(&place.socket).context("a polite client")?;
                client.read(region::CONFIG, 0, 4)?;
            }
        }
        tally.arrived("connects", 1);
    }
    Ok(())
}
