//! Low-power cycles: entry, wake-up by an access, exit, and the state that the function keeps.

use std::os::fd::AsFd;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::{Place, Tally};
use crate::control::Control;
use crate::os::Event;
use crate::raw::wire::region;
use crate::testdev::{Driver, register};

/// Features of low power.
const ENTRY: u32 = 3;
const ENTRY_WITH_WAKEUP: u32 = 4;
const EXIT: u32 = 5;

/// Runs cycles on a function that keeps its state in D3hot.
pub(super) fn keeping(place: &Place, tally: &mut Tally, until: Instant) -> Result<()> {
    cycles(place, tally, until, true)
}

/// Runs cycles on a function that loses its power, and all state that the host did not save.
pub(super) fn losing(place: &Place, tally: &mut Tally, until: Instant) -> Result<()> {
    cycles(place, tally, until, false)
}

fn cycles(place: &Place, tally: &mut Tally, until: Instant, keeps: bool) -> Result<()> {
    let mut driver = Driver::attach(&place.socket)?;
    let mut control = Control::connect(&place.control)?;
    let event = Event::new()?;
    let mut value = 0;
    while Instant::now() < until {
        value += 1;
        driver.set_register(register::SCRATCH, value)?;
        tally.sent("low-power cycles", 1);
        if value % 2 == 0 {
            driver.set_feature(ENTRY, &[])?;
            sleeps(&mut control)?;
        } else {
            driver.set_feature(ENTRY_WITH_WAKEUP, &[event.as_fd()])?;
            sleeps(&mut control)?;
            tally.sent("wake-up notices", 1);
            driver.client.read(region::CONFIG, 0, 4)?;
            tally.arrived("wake-up notices", event.take()?);
        }
        driver.set_feature(EXIT, &[])?;
        tally.arrived("low-power cycles", 1);
        let scratch = driver.register(register::SCRATCH)?;
        let expected = if keeps { value } else { 0 };
        ensure!(scratch == expected, "after sleep SCRATCH is {scratch}");
    }
    Ok(())
}

fn sleeps(control: &mut Control) -> Result<()> {
    let status = control.command(&["status"])?;
    let state = &status["runtime_status"];
    ensure!(state == "suspended", "engaged, the function is {state}");
    Ok(())
}
