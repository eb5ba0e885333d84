//! The cost of work that a server does for each request, which shows how near any server can come to
//! the floor.

use std::time::Duration;

use anyhow::Result;

use super::{floor, laden_floor};
use crate::Setting;
use crate::link::Request;
use crate::placement::Placement;
use crate::report::{Report, Row};
use crate::rounds::{Metric, Outcome};

const REQUESTS: usize = 1000;

/// A floor that works takes the daemon's place.
pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let request = Request::floor();
    let placement = Placement::A;
    for nanos in [100, 200, 400] {
        let working = laden_floor(&["--work", &nanos.to_string()])?;
        let mut contestants = [working, floor(false)?];
        let outcome = Outcome::of(setting, placement, &mut contestants, |contestant| {
            contestant.sample(REQUESTS, 1, Duration::ZERO, |contestant| {
                contestant.link().exchange(&request)
            })
        })?;
        let case = format!("not dormouse: the floor with {nanos} ns of work");
        report.add(Row::of(&outcome, &case, placement, Metric::Mean));
        report.add(Row::of(&outcome, &case, placement, Metric::Cpu));
    }
    Ok(())
}
