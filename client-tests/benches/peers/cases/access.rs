//! Reads and writes of 4 bytes, one after the other.

use std::time::Duration;

use anyhow::Result;
use client_tests::raw::wire::region;

use super::{WITH_RAM, floor, ours, peer};
use crate::Setting;
use crate::link::{Request, SCRATCH};
use crate::placement::Placement;
use crate::report::{Against, Report, Row};
use crate::rounds::{Metric, Outcome};
use crate::servers::Subject;

const REQUESTS: usize = 1000;

pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let requests = [
        (
            "read 4 B, config space",
            Request::read(region::CONFIG, 0, 4),
        ),
        ("read 4 B, register", Request::read(0, SCRATCH, 4)),
        ("read 4 B, RAM", Request::read(2, 0, 4)),
        (
            "write 4 B, config space",
            Request::write(region::CONFIG, 0x3c, 4),
        ),
        ("write 4 B, register", Request::write(0, SCRATCH, 4)),
        ("write 4 B, RAM", Request::write(2, 0, 4)),
    ];
    let nothing = Request::floor();
    for &placement in setting.cpus.placements() {
        let mut contestants = [
            ours(setting, WITH_RAM)?,
            floor(placement == Placement::C)?,
            peer()?,
        ];
        for (case, request) in &requests {
            let outcome = Outcome::of(setting, placement, &mut contestants, |contestant| {
                let request = match contestant.subject {
                    Subject::Floor => &nothing,
                    Subject::Ours | Subject::Peer => request,
                };
                contestant.sample(REQUESTS, 1, Duration::ZERO, |contestant| {
                    contestant.link().exchange(request)
                })
            })?;
            let row = |metric| Row::of(&outcome, *case, placement, metric);
            let p50 = row(Metric::P50).target_in(Placement::C, Against::Floor, 1.10);
            report.add(match case.starts_with("read") {
                true => p50.target_in(Placement::B, Against::VfioUser, 0.25),
                false => p50,
            });
            let mean = row(Metric::Mean).target_in(Placement::A, Against::Floor, 1.05);
            report.add(mean.target_in(Placement::A, Against::VfioUser, 0.75));
            report.add(row(Metric::Cpu).target_in(Placement::A, Against::Floor, 1.05));
        }
    }
    Ok(())
}
