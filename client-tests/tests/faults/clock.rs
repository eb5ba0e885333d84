//! A clock that jumps.

use anyhow::{Result, ensure};
use client_tests::os::Event;
use client_tests::raw::wire::region;
use client_tests::testdev::Driver;
use std::os::fd::AsFd;

use super::bench::{Bench, Case, case};

/// LOW_POWER_ENTRY_WITH_WAKEUP.
const ENTRY_WITH_WAKEUP: u32 = 4;
/// Register that asks for a wake event so many milliseconds from now.
const PME_AFTER_MS: u64 = 0x10;

pub fn cases() -> Vec<Case> {
    vec![
        case("the clock jumps by years, many times", |bench| {
            let mut client = bench.attach()?;
            let mut control = bench.control()?;
            for _ in 0..100 {
                control.command(&["clock", "advance", "100000000s"])?;
                client.read(region::CONFIG, 0, 4)?;
            }
            Ok(())
        }),
        case(
            "the clock jumps over the deadlines of a sleeping device",
            jump,
        ),
    ]
}

fn jump(bench: &Bench) -> Result<()> {
    let mut driver = Driver::attach(&bench.socket())?;
    let event = Event::new()?;
    driver
        .client
        .write(0, PME_AFTER_MS, &u32::MAX.to_le_bytes())?;
    driver.set_feature(ENTRY_WITH_WAKEUP, &[event.as_fd()])?;
    let mut control = bench.control()?;
    control.command(&["clock", "advance", "1000000000s"])?;
    let status = control.command(&["status"])?;
    ensure!(status["runtime_status"].is_string(), "{status}");
    driver.client.read(region::CONFIG, 0, 4).map(drop)
}
