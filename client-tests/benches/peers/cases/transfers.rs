//! Reads and writes of the RAM behind a BAR.

use std::time::Duration;

use anyhow::Result;

use super::{WITH_RAM, ours, peer};
use crate::Setting;
use crate::link::Request;
use crate::placement::Placement;
use crate::report::{Against, Report, Row};
use crate::rounds::{Metric, Outcome};

pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let sizes = [
        ("4 KiB", 4 << 10, 1000),
        ("64 KiB", 64 << 10, 300),
        ("1 MiB", 1 << 20, 30),
    ];
    let mut contestants = [ours(setting, WITH_RAM)?, peer()?];
    for placement in [Placement::A, setting.cpus.at_best(Placement::C)] {
        for (size, bytes, count) in sizes {
            for (what, request) in [
                ("read", Request::read(2, 0, bytes)),
                ("write", Request::write(2, 0, bytes)),
            ] {
                let outcome = Outcome::of(setting, placement, &mut contestants, |contestant| {
                    contestant.sample(count, 1, Duration::ZERO, |contestant| {
                        contestant.link().exchange(&request)
                    })
                })?;
                let row = Row::of(&outcome, format!("{what} {size}"), placement, Metric::P50);
                report.add(match (what, bytes) {
                    ("read", 0x10000) => row.target_in(Placement::A, Against::VfioUser, 0.75),
                    _ => row,
                });
            }
        }
    }
    Ok(())
}
