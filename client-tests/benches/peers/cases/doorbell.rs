//! A doorbell rung by eventfd, until the interrupt that it causes is there: no message at all. Peers
//! have no doorbells, so their clients write the register by message and wait for the reply.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use client_tests::os::Event;
use client_tests::raw::RawClient;

use super::{floor, interrupt, ours, peer};
use crate::Setting;
use crate::link::{Request, SCRATCH};
use crate::placement::Placement;
use crate::report::{Report, Row};
use crate::rounds::{Contestant, Metric, Outcome};
use crate::servers::Subject;

/// The test function's register that sends a message; the doorbell writes 0, its first.
const DOORBELL: &[&str] = &[
    "set:doorbell.0.bar=0",
    "set:doorbell.0.offset=8",
    "set:doorbell.0.size=4",
];
const RINGS: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(5);

pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    for &placement in setting.cpus.placements() {
        let mut ours = ours(setting, DOORBELL)?;
        let (bell, interrupt) = arm(&mut ours.link().client)?;
        let mut contestants = [ours, floor(placement == Placement::C)?, peer()?];
        let outcome = Outcome::of(setting, placement, &mut contestants, |contestant| {
            let request = match contestant.subject {
                Subject::Floor => Request::floor(),
                Subject::Ours | Subject::Peer => Request::write(0, SCRATCH, 4),
            };
            contestant.sample(RINGS, 1, Duration::ZERO, |contestant| {
                if contestant.subject != Subject::Ours {
                    return contestant.link().exchange(&request);
                }
                bell.signal()?;
                match placement {
                    Placement::C => while interrupt.take()? == 0 {},
                    _ => ensure!(interrupt.take_within(PATIENCE)? != 0, "no interrupt came"),
                }
                Ok(())
            })
        })?;
        let case = "doorbell to interrupt by eventfd";
        report.add(Row::of(&outcome, case, placement, Metric::P50));
    }
    let bell = Event::new()?;
    let mut this = Contestant {
        subject: Subject::Ours,
        server: None,
        links: Vec::new(),
    };
    let ring = this.sample(100 * RINGS, 1, Duration::ZERO, |_| Ok(bell.signal()?))?;
    let case = "ringing, for the one who rings";
    report.add(Row::new(case, Placement::A, "p50", ring.p50 / 1000.0, "µs"));
    Ok(())
}

/// The doorbell, and the eventfd of the message that it sends.
fn arm(client: &mut RawClient) -> Result<(Event, Event)> {
    let interrupt = interrupt::first_message(client)?;
    let bells = client.get_region_io_fds(0, 16 + 40)?.fds;
    let bell = bells.into_iter().next().context("there is no doorbell")?;
    Ok((bell.into(), interrupt))
}
