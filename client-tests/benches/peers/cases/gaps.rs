//! A client that asks now and then: what waiting for it costs.

use std::time::Duration;

use anyhow::Result;

use super::{WITH_RAM, floor, ours, peer};
use crate::Setting;
use crate::link::{Request, SCRATCH};
use crate::placement::Placement;
use crate::report::{Against, Report, Row};
use crate::rounds::{Metric, Outcome};
use crate::servers::Subject;

const REQUESTS: usize = 200;

pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let placement = setting.cpus.at_best(Placement::B);
    let mut contestants = [ours(setting, WITH_RAM)?, floor(false)?, peer()?];
    for micros in [5, 20, 80, 300] {
        let outcome = Outcome::of(setting, placement, &mut contestants, |contestant| {
            let request = match contestant.subject {
                Subject::Floor => Request::floor(),
                Subject::Ours | Subject::Peer => Request::read(0, SCRATCH, 4),
            };
            let gap = Duration::from_micros(micros);
            contestant.sample(REQUESTS, 1, gap, |contestant| {
                contestant.link().exchange(&request)
            })
        })?;
        let case = format!("read 4 B every {micros} µs");
        report.add(Row::of(&outcome, &case, placement, Metric::P50));
        let row = Row::of(&outcome, case, placement, Metric::Cpu);
        report.add(match micros {
            300 => row.target(Against::Floor, 1.0),
            _ => row,
        });
    }
    Ok(())
}
