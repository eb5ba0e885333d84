//! Many requests at a time: pipelined, without replies, in one message.

use std::time::Duration;

use anyhow::Result;

use super::{WITH_RAM, floor, ours, peer};
use crate::Setting;
use crate::link::{Request, SCRATCH};
use crate::placement::Placement;
use crate::report::{Against, Report, Row};
use crate::rounds::{Contestant, Metric, Outcome};
use crate::servers::Subject;

/// Requests in a batch.
const BATCH: usize = 32;
const BATCHES: usize = 200;

pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    for placement in [Placement::A, setting.cpus.at_best(Placement::C)] {
        let mut contestants = [
            ours(setting, WITH_RAM)?,
            floor(placement == Placement::C)?,
            peer()?,
        ];
        let mut pipelined = |send: fn(&Contestant, &Request) -> Result<()>| {
            Outcome::of(setting, placement, &mut contestants, |contestant| {
                let one = match contestant.subject {
                    Subject::Floor => Request::floor(),
                    Subject::Ours | Subject::Peer => Request::read(0, SCRATCH, 4),
                };
                let all = one.times(BATCH);
                contestant.sample(BATCHES, BATCH, Duration::ZERO, |contestant| {
                    send(contestant, &all)?;
                    contestant.link().receive(all.reply)
                })
            })
        };
        let at_once = pipelined(|contestant, all| contestant.links[0].send(&all.bytes))?;
        let one_by_one = pipelined(|contestant, all| {
            let mut messages = all.bytes.chunks(all.bytes.len() / BATCH);
            messages.try_for_each(|message| contestant.links[0].send(message))
        })?;
        for (case, outcome, at_most) in [
            ("32 reads, one send, each", at_once, 0.08),
            ("32 reads, 32 sends, each", one_by_one, 0.45),
        ] {
            for metric in [Metric::P50, Metric::Cpu] {
                let row = Row::of(&outcome, case, placement, metric);
                report.add(match metric {
                    Metric::P50 => row.target(Against::VfioUser, at_most),
                    _ => row,
                });
            }
        }

        let [ours, _, peer] = contestants;
        let mut contestants = [ours, peer];
        let silent = Request::silent_write(0, SCRATCH);
        let last = Request::read(0, SCRATCH, 4);
        let silent_writes = |contestant: &mut Contestant| {
            contestant.sample(BATCHES, BATCH, Duration::ZERO, |contestant| {
                let link = contestant.link();
                (0..BATCH).try_for_each(|_| link.send(&silent.bytes))?;
                // It is answered when all of them are done.
                link.exchange(&last)
            })
        };
        let outcome = Outcome::of(setting, placement, &mut contestants, silent_writes)?;
        let row = Row::of(&outcome, "32 no-reply writes, each", placement, Metric::P50);
        report.add(row.target(Against::VfioUser, 0.55));

        let multi = Request::write_multi(0, SCRATCH, BATCH);
        let outcome =
            Outcome::of(
                setting,
                placement,
                &mut contestants,
                |contestant| match contestant.subject {
                    Subject::Ours => {
                        contestant.sample(BATCHES, BATCH, Duration::ZERO, |contestant| {
                            contestant.link().exchange(&multi)
                        })
                    }
                    Subject::Floor | Subject::Peer => silent_writes(contestant),
                },
            )?;
        let case = "WRITE_MULTI of 32 to no-reply writes, each";
        let row = Row::of(&outcome, case, placement, Metric::P50);
        report.add(row.target(Against::VfioUser, 0.12));
    }
    Ok(())
}
