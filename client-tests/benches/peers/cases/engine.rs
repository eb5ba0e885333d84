//! The copy engine of the test function: how fast it moves client memory, and what finding a map costs.

use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use client_tests::os::{Event, Memory};
use client_tests::raw::wire::dma_map::{READ, WRITE};
use client_tests::raw::wire::{Bytes, command, field_u64, flag, message};
use client_tests::raw::{Message, RawClient};
use rustix::io::{pread, pwrite};

use super::maps::{address, map, memory};
use super::{interrupt, ours};
use crate::Setting;
use crate::placement::Placement;
use crate::report::{Against, Report, Row};
use crate::rounds::{Contestant, Metric, Outcome, median};
use crate::servers::Subject;

const MIB: u64 = 1 << 20;
/// Copies of a job, so that starting and ending it do not count.
const COPIES: u32 = 64;
const JOBS: usize = 8;
/// The same where every 64 KiB are two messages.
const ASKED_COPIES: u32 = 4;
const SOURCE: u64 = 1 << 32;
const TARGET: u64 = SOURCE + MIB;
const PATIENCE: Duration = Duration::from_secs(20);
const SEALED: &[&str] = &["set:host.client-memory=map-sealed"];

/// The copy engine and the interrupt that ends its jobs.
struct Engine {
    interrupt: Event,
}

impl Engine {
    fn new(client: &mut RawClient) -> Result<Self> {
        let interrupt = interrupt::first_message(client)?;
        Ok(Self { interrupt })
    }

    /// Copies as set up, and waits for the end.
    fn copy(&self, client: &mut RawClient) -> Result<()> {
        start(client)?;
        ensure!(self.interrupt.take_within(PATIENCE)? != 0, "the copy hangs");
        Ok(())
    }

    /// The same for a client that shares no memory and is asked for it.
    fn copy_asked(&self, client: &mut RawClient, memory: &mut [u8]) -> Result<()> {
        start(client)?;
        while self.interrupt.take()? == 0 {
            if client.has_message()? {
                let asked = client.receive()?;
                client.send(&answer(&asked, memory)?, &[])?;
            }
        }
        Ok(())
    }
}

/// Sets up jobs of `count` copies.
fn set_up(client: &mut RawClient, from: u64, to: u64, len: u64, count: u32) -> Result<()> {
    for (offset, value) in [(0x20, from), (0x28, to)] {
        client.write(0, offset, &value.to_le_bytes())?;
    }
    for (offset, value) in [(0x30, len as u32), (0x34, count)] {
        client.write(0, offset, &value.to_le_bytes())?;
    }
    Ok(())
}

/// Starts a job with an interrupt at its end.
fn start(client: &mut RawClient) -> Result<()> {
    client.write(0, 0x38, &[0b11, 0, 0, 0])
}

/// Checks that the last job ended well.
fn check(client: &mut RawClient) -> Result<()> {
    let status = client.read(0, 0x3c, 4)?;
    ensure!(status == [2, 0, 0, 0], "the copy failed: {status:x?}");
    Ok(())
}

/// The reply to a command of the server's.
fn answer(asked: &Message, memory: &mut [u8]) -> Result<Vec<u8>> {
    let (address, count) = (field_u64(&asked.payload, 0), field_u64(&asked.payload, 8));
    let at = (address - SOURCE) as usize;
    let place = memory.get_mut(at..at + count as usize);
    let place = place.context("it asks for what is not there")?;
    let reply = Bytes::new().u64(address).u64(count);
    let reply = match asked.command {
        command::DMA_READ => reply.bytes(place),
        command::DMA_WRITE => {
            place.copy_from_slice(&asked.payload[16..]);
            reply
        }
        other => bail!("command {other} came from the server"),
    };
    Ok(message(asked.id, asked.command, flag::REPLY, &reply))
}

/// This program itself.
const fn this() -> Contestant {
    Contestant {
        subject: Subject::Floor,
        server: None,
        links: Vec::new(),
    }
}

pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let placement = setting.cpus.at_best(Placement::B);
    let shared = Memory::sealed(2 * MIB)?;
    shared.write(0, &vec![1; 2 * MIB as usize])?;
    let [mut source, mut target] = [vec![1; MIB as usize], vec![2; MIB as usize]];

    for (case, words) in [
        ("copy engine, 1 MiB by mapping", SEALED),
        ("copy engine, 1 MiB by file I/O", &[]),
    ] {
        let mut contestants = [ours(setting, words)?, this()];
        let client = &mut contestants[0].link().client;
        let engine = Engine::new(client)?;
        let mapped = client.dma_map(READ | WRITE, 0, SOURCE, 2 * MIB, Some(shared.as_fd()));
        mapped?.success()?;
        set_up(client, SOURCE, TARGET, MIB, COPIES)?;
        let outcome = Outcome::of(setting, placement, &mut contestants, |contestant| {
            contestant.sample(JOBS, COPIES as usize, Duration::ZERO, |contestant| {
                if contestant.subject == Subject::Ours {
                    return engine.copy(&mut contestant.link().client);
                }
                for _ in 0..COPIES {
                    if words == SEALED {
                        std::hint::black_box(&mut target)
                            .copy_from_slice(std::hint::black_box(&source));
                    } else {
                        pread(&shared, &mut source[..], 0)?;
                        pwrite(&shared, &source, MIB)?;
                    }
                }
                Ok(())
            })
        })?;
        check(&mut contestants[0].link().client)?;
        let row = Row::of(&outcome, case, placement, Metric::P50);
        // 0.8 times the speed.
        report.add(row.target(Against::Floor, 1.25));
        let row = Row::of(&outcome, case, placement, Metric::Cpu);
        report.add(row.target(Against::Floor, 1.25));
    }

    let mut contestants = [ours(setting, &[])?];
    let client = &mut contestants[0].link().client;
    let engine = Engine::new(client)?;
    client
        .dma_map(READ | WRITE, 0, SOURCE, 2 * MIB, None)?
        .success()?;
    set_up(client, SOURCE, TARGET, MIB, ASKED_COPIES)?;
    let mut memory = vec![0; 2 * MIB as usize];
    let outcome = Outcome::of(setting, placement, &mut contestants, |contestant| {
        contestant.sample(1, ASKED_COPIES as usize, Duration::ZERO, |contestant| {
            engine.copy_asked(&mut contestant.link().client, &mut memory)
        })
    })?;
    check(&mut contestants[0].link().client)?;
    let case = "copy engine, 1 MiB by messages";
    report.add(Row::of(&outcome, case, placement, Metric::P50));
    Ok(())
}

/// Copies of 64 bytes, source and target in different maps, among few maps and many.
pub fn look_up(setting: &Setting, report: &mut Report) -> Result<()> {
    let levels = [2, 1000, 16_000, 262_144];
    let copies = 5000;
    let placement = setting.cpus.at_best(Placement::B);
    let memory = memory(levels[levels.len() - 1])?;
    let mut daemons = Vec::new();
    for level in levels {
        let mut daemon = ours(setting, SEALED)?;
        (0..level).try_for_each(|page| map(daemon.link(), page, &memory))?;
        let client = &mut daemon.link().client;
        let engine = Engine::new(client)?;
        let (from, to) = (address(level / 3), address(level - 1));
        set_up(client, from, to, 64, copies as u32)?;
        daemons.push((level, engine, [daemon], Vec::new()));
    }
    let once = Setting {
        rounds: 1,
        dormouse: setting.dormouse.clone(),
        cpus: setting.cpus,
    };
    for _ in 0..setting.rounds {
        for (_, engine, daemon, times) in &mut daemons {
            let outcome = Outcome::of(&once, placement, daemon, |contestant| {
                contestant.sample(5, copies, Duration::ZERO, |contestant| {
                    engine.copy(&mut contestant.link().client)
                })
            })?;
            times.extend(outcome.value(Subject::Ours, Metric::P50));
        }
    }
    let of_few = median(daemons[0].3.clone());
    for (level, _, mut daemon, times) in daemons {
        check(&mut daemon[0].link().client)?;
        let time = median(times);
        let case = format!("copy of 64 B among {level} maps");
        let row = Row::new(case, placement, "p50", time / 1000.0, "µs");
        report.add(row);
        if level == levels[levels.len() - 1] {
            let case = format!("that to one among {} maps", levels[0]);
            let row = Row::new(case, placement, "ratio", time / of_few, "");
            report.add(row.target(Against::Value, 1.25));
        }
    }
    Ok(())
}
