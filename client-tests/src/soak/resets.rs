//! Resets of all kinds, and the state that is left after each.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{Place, Tally};
use crate::raw::wire::region;
use crate::testdev::{Driver, PCIE, PM, register};

/// Power Management Control/Status, from the capability's start; D3hot.
const PMCSR: u64 = 4;
const D3HOT: u8 = 3;
/// Device Control's upper byte, from the capability's start; Initiate FLR.
const DEVICE_CONTROL: u64 = 9;
const INITIATE_FLR: u8 = 1 << 7;

pub(super) fn run(place: &Place, tally: &mut Tally, until: Instant) -> Result<()> {
    let mut driver = Driver::attach(&place.socket)?;
    let (pm, pcie) = (driver.capability(PM)?, driver.capability(PCIE)?);
    let mut random = fastrand::Rng::new();
    let mut resets = driver.register(register::RESETS)?;
    while Instant::now() < until {
        driver.set_register(register::SCRATCH, random.u32(1..))?;
        let client = &mut driver.client;
        match random.u8(..3) {
            0 => client.reset()?.success().map(drop)?,
            1 => client.write(region::CONFIG, pcie + DEVICE_CONTROL, &[INITIATE_FLR])?,
            _ => {
                client.write(region::CONFIG, pm + PMCSR, &[D3HOT])?;
                client.write(region::CONFIG, pm + PMCSR, &[0])?;
            }
        }
        driver.enable()?;
        let scratch = driver.register(register::SCRATCH)?;
        ensure!(scratch == 0, "after a reset SCRATCH is {scratch:#x}");
        let now = driver.register(register::RESETS)?;
        tally.sent("resets", 1);
        tally.arrived("resets", now.wrapping_sub(resets).into());
        resets = now;
    }
    Ok(())
}
