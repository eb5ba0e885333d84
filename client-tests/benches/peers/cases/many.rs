//! Many functions in one process.

use std::time::Duration;

use anyhow::Result;
use client_tests::raw::wire::region;

use crate::Setting;
use crate::link::{Link, Request};
use crate::placement::Placement;
use crate::report::{Against, Report, Row};
use crate::rounds::{Contestant, Metric, Outcome};
use crate::servers::{Server, Subject};

const FUNCTIONS: usize = 100;
const TEST_FUNCTION: &[&str] = &[];
/// The test function without the RAM behind its BAR.
const WITHOUT_RAM: &[&str] = &["set:bar.2="];

pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let request = Request::read(region::CONFIG, 0, 4);
    for placement in [Placement::A, setting.cpus.at_best(Placement::B)] {
        let daemon = Server::dormouse(&setting.dormouse, &[TEST_FUNCTION; FUNCTIONS])?;
        let mut contestants = [
            Contestant::new(Subject::Ours, daemon)?,
            Contestant::new(Subject::Peer, Server::peer(FUNCTIONS)?)?,
        ];
        let at_once = Outcome::of(setting, placement, &mut contestants, |contestant| {
            contestant.sample(40, FUNCTIONS, Duration::ZERO, |contestant| {
                let links = &mut contestant.links;
                links
                    .iter()
                    .try_for_each(|link| link.send(&request.bytes))?;
                links
                    .iter_mut()
                    .try_for_each(|link| link.receive(request.reply))
            })
        })?;
        let in_turn = Outcome::of(setting, placement, &mut contestants, |contestant| {
            contestant.sample(20, FUNCTIONS, Duration::ZERO, |contestant| {
                let mut links = contestant.links.iter_mut();
                links.try_for_each(|link| link.exchange(&request))
            })
        })?;
        let row = |outcome, case, metric| Row::of(outcome, case, placement, metric);
        let case = "100 functions, a read on all at once, each";
        report.add(row(&at_once, case, Metric::P50).target(Against::VfioUser, 0.35));
        report.add(row(&at_once, case, Metric::Cpu));
        let case = "100 functions, a read on one after the other, each";
        report.add(row(&in_turn, case, Metric::P50));
    }
    Ok(())
}

/// Memory of each function after the first, with and without a client.
pub fn memory(setting: &Setting, report: &mut Report) -> Result<()> {
    let daemon = |count| Server::dormouse(&setting.dormouse, &vec![WITHOUT_RAM; count]);
    let (one, all) = (daemon(1)?, daemon(FUNCTIONS)?);
    let (peer, peers) = (Server::peer(1)?, Server::peer(FUNCTIONS)?);
    let mut row = |case, clients: bool| -> Result<()> {
        let further = |subject, one: &Server, all: &Server| -> Result<f64> {
            let links = match clients {
                true => [Link::all(subject, one)?, Link::all(subject, all)?],
                false => [Vec::new(), Vec::new()],
            };
            let further = (all.memory()? - one.memory()?) / (FUNCTIONS - 1) as f64;
            drop(links);
            Ok(further)
        };
        let ours = further(Subject::Ours, &one, &all)?;
        let peers = further(Subject::Peer, &peer, &peers)?;
        let row = Row::new(case, Placement::A, "PSS", ours, "KiB").beside_peer(peers);
        report.add(row.target(Against::Value, 12.0));
        Ok(())
    };
    row("a further function, without RAM BAR", false)?;
    row("a further function with a client", true)
}
