//! Client memory that comes and goes.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::Result;
use client_tests::os::Memory;
use client_tests::raw::wire::dma_map::{READ, WRITE};
use client_tests::raw::wire::{Bytes, HEADER, command, flag, message};

use super::{floor, laden_floor, ours, peer};
use crate::Setting;
use crate::link::Link;
use crate::placement::Placement;
use crate::report::{Against, Report, Row};
use crate::rounds::{Contestant, Metric, Outcome, Sample};
use crate::servers::Subject;
use crate::servers::floor::{FLOOR_REPLY, FLOOR_REQUEST};

const PAGE: u64 = 4096;
/// Maps that are there, the one that is measured included. The last is the most that the daemon takes.
const LEVELS: [u64; 5] = [1, 1000, 16_000, 65_535, 262_144];
/// Times that a map is made and taken back in a round.
const PAIRS: usize = 300;
/// Addresses of the maps: apart, so that no two are one.
const BASE: u64 = 1 << 32;
const STRIDE: u64 = 2 * PAGE;

/// Maps page `number` of `memory`.
pub fn map(link: &mut Link, number: u64, memory: &Memory) -> Result<()> {
    let payload = Bytes::new()
        .u32(32)
        .u32(READ | WRITE)
        .u64(number * PAGE)
        .u64(address(number))
        .u64(PAGE);
    let request = message(1, command::DMA_MAP, flag::COMMAND, &payload);
    link.client.send(&request, &[memory.as_fd()])?;
    link.receive(HEADER)
}

/// Takes a map back.
fn unmap(link: &mut Link, number: u64) -> Result<()> {
    let payload = Bytes::new().u32(24).u32(0).u64(address(number)).u64(PAGE);
    link.send(&message(1, command::DMA_UNMAP, flag::COMMAND, &payload))?;
    link.receive(HEADER + payload.len())
}

/// Sends the floor two messages in place of both: one with a descriptor, and one without.
fn nothing(link: &mut Link, memory: &Memory) -> Result<()> {
    link.client.send(&[0; FLOOR_REQUEST], &[memory.as_fd()])?;
    link.receive(FLOOR_REPLY)?;
    link.send(&[0; FLOOR_REQUEST])?;
    link.receive(FLOOR_REPLY)
}

/// Bus address of a page.
pub const fn address(number: u64) -> u64 {
    BASE + number * STRIDE
}

/// Memory for so many maps. It costs nothing until it is touched.
pub fn memory(maps: u64) -> Result<Memory> {
    Ok(Memory::sealed(maps * PAGE)?)
}

pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let memory = memory(LEVELS[LEVELS.len() - 1])?;
    least(setting, report, &memory)?;
    for (how, words) in [
        ("", &[][..]),
        (", map-sealed", &["set:host.client-memory=map-sealed"]),
    ] {
        let mut contestants = vec![ours(setting, words)?, floor(false)?, peer()?];
        let mut present = 0;
        for level in LEVELS {
            fill(&mut contestants, present..level - 1, &memory)?;
            present = level - 1;
            let placement = Placement::A;
            let outcome = Outcome::of(setting, placement, &mut contestants, |contestant| {
                let subject = contestant.subject;
                contestant.sample(PAIRS, 1, Duration::ZERO, |contestant| {
                    let link = contestant.link();
                    if subject == Subject::Floor {
                        return nothing(link, &memory);
                    }
                    map(link, present, &memory)?;
                    unmap(link, present)
                })
            })?;
            let case = format!("DMA_MAP + DMA_UNMAP, {level} maps{how}");
            for metric in [Metric::P50, Metric::Cpu] {
                let row = Row::of(&outcome, &case, placement, metric);
                report.add(match metric {
                    Metric::P50 if level <= 16_000 => row.target(Against::VfioUser, 0.80),
                    _ => row,
                });
            }
        }
    }
    Ok(())
}

/// Measures the system calls alone, without which nobody knows which file a descriptor is.
fn least(setting: &Setting, report: &mut Report, memory: &Memory) -> Result<()> {
    let placement = Placement::A;
    let mut contestants = [laden_floor(&["--files"])?, floor(false)?, peer()?];
    let outcome = Outcome::of(setting, placement, &mut contestants, |contestant| {
        let subject = contestant.subject;
        contestant.sample(PAIRS, 1, Duration::ZERO, |contestant| {
            let link = contestant.link();
            if subject != Subject::Peer {
                return nothing(link, memory);
            }
            map(link, 0, memory)?;
            unmap(link, 0)
        })
    })?;
    let case = "not dormouse: the floor with the system calls of DMA_MAP and DMA_UNMAP";
    for metric in [Metric::P50, Metric::Cpu] {
        report.add(Row::of(&outcome, case, placement, metric));
    }
    Ok(())
}

/// Has everybody map pages. Who cannot is out: mappings of a process are limited to
/// `vm.max_map_count`.
fn fill(
    contestants: &mut Vec<Contestant>,
    pages: std::ops::Range<u64>,
    memory: &Memory,
) -> Result<()> {
    let mut error = None;
    contestants.retain_mut(|contestant| {
        if contestant.subject == Subject::Floor {
            return true;
        }
        let link = contestant.link();
        let filled = pages.clone().try_for_each(|page| map(link, page, memory));
        match (filled, contestant.subject) {
            (Ok(()), _) => true,
            (Err(_), Subject::Peer) => false,
            (Err(ours), _) => {
                error = Some(ours);
                false
            }
        }
    });
    error.map_or(Ok(()), Err)
}

/// A client goes and leaves its maps behind: how long until the next one is served.
pub fn disconnect(setting: &Setting, report: &mut Report) -> Result<()> {
    let maps = 16_000;
    let memory = memory(maps)?;
    let placement = Placement::A;
    let mut contestants = [ours(setting, &[])?, peer()?];
    let outcome = Outcome::of(setting, placement, &mut contestants, |contestant| {
        let link = contestant.link();
        (0..maps).try_for_each(|page| map(link, page, &memory))?;
        let path = match &contestant.server {
            Some(server) => server.sockets()[0].clone(),
            None => Default::default(),
        };
        let cpu = contestant.cpu()?;
        let begun = Instant::now();
        contestant.links.clear();
        contestant.links.push(Link::new(contestant.subject, &path)?);
        let time = begun.elapsed().as_nanos() as f64;
        Ok(Sample {
            p99: time,
            p50: time,
            mean: time,
            cpu: contestant.cpu()? - cpu,
        })
    })?;
    let case = "disconnect with 16000 maps to next client";
    let row = Row::of(&outcome, case, placement, Metric::P50);
    report.add(row.target(Against::Value, 2000.0));
    Ok(())
}
