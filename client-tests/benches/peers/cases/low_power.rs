//! Into low power and out of it.

use std::time::Duration;

use anyhow::Result;
use client_tests::raw::wire::device_feature::SET;

use super::{floor, ours};
use crate::Setting;
use crate::link::Request;
use crate::placement::Placement;
use crate::report::{Report, Row};
use crate::rounds::{Metric, Outcome};
use crate::servers::Subject;

const ENTRY: u32 = 3;
const EXIT: u32 = 5;
const CYCLES: usize = 1000;

pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let (entry, exit) = (Request::feature(SET | ENTRY), Request::feature(SET | EXIT));
    let nothing = Request::floor();
    for &placement in setting.cpus.placements() {
        let mut contestants = [ours(setting, &[])?, floor(placement == Placement::C)?];
        let outcome = Outcome::of(setting, placement, &mut contestants, |contestant| {
            let requests = match contestant.subject {
                Subject::Floor => [&nothing; 2],
                Subject::Ours | Subject::Peer => [&entry, &exit],
            };
            contestant.sample(CYCLES, 1, Duration::ZERO, |contestant| {
                let link = contestant.link();
                requests
                    .iter()
                    .try_for_each(|request| link.exchange(request))
            })
        })?;
        let case = "LOW_POWER_ENTRY and _EXIT";
        report.add(Row::of(&outcome, case, placement, Metric::P50));
        report.add(Row::of(&outcome, case, placement, Metric::Cpu));
    }
    Ok(())
}
