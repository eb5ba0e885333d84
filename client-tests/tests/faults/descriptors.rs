//! The process has no descriptors left.

use std::fs::{self, File};
use std::os::fd::AsFd;

use anyhow::{Result, ensure};
use client_tests::os::{Event, Memory};
use client_tests::raw::SetIrqs;
use client_tests::raw::wire::dma_map::{READ, WRITE};
use client_tests::raw::wire::set_irqs::{ACTION_TRIGGER, DATA_EVENTFD};
use client_tests::raw::wire::{irq, region};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::bench::{Bench, Case, case};

pub fn cases() -> Vec<Case> {
    vec![
        case("a client comes while no descriptor is left", refuses),
        case("descriptors of a message find no room", cuts),
    ]
}

/// As many descriptors as there are, and no more until this is dropped.
struct Exhausted {
    limit: Rlimit,
    _files: Vec<File>,
}

impl Exhausted {
    /// Leaves `left` of them.
    fn new(left: usize) -> Result<Self> {
        let limit = getrlimit(Resource::Nofile);
        let mut files = Vec::new();
        // Numbers below the limit that are free would still be given out.
        let highest = fs::read_dir("/proc/self/fd")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok())
            .max();
        let exhausted = Rlimit {
            current: Some(highest.unwrap_or(0) + 8),
            ..limit
        };
        setrlimit(Resource::Nofile, exhausted)?;
        while let Ok(file) = File::open("/dev/null") {
            files.push(file);
        }
        files.truncate(files.len().saturating_sub(left));
        Ok(Self {
            limit,
            _files: files,
        })
    }
}

impl Drop for Exhausted {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.limit).expect("the limit is what it was");
    }
}

fn refuses(bench: &Bench) -> Result<()> {
    let mut neighbour = bench.neighbour()?;
    let exhausted = Exhausted::new(1)?;
    // The one that is left is the client's own; the server cannot accept it.
    let client = bench.connect()?;
    for _ in 0..100 {
        neighbour.read(region::CONFIG, 0, 4)?;
    }
    drop(client);
    drop(exhausted);
    neighbour.read(region::CONFIG, 0, 4).map(drop)
}

fn cuts(bench: &Bench) -> Result<()> {
    let mut client = bench.attach()?;
    let (event, memory) = (Event::new()?, Memory::sealed(4096)?);
    let fds = [event.as_fd(); 8];
    let request = SetIrqs {
        flags: DATA_EVENTFD | ACTION_TRIGGER,
        index: irq::MSIX,
        count: 8,
        ..SetIrqs::default()
    };
    let exhausted = Exhausted::new(3)?;
    client.set_irqs(request, &fds)?.failure()?;
    client.read(region::CONFIG, 0, 4)?;
    drop(exhausted);
    let exhausted = Exhausted::new(0)?;
    let refused = client.dma_map(READ | WRITE, 0, 0, 4096, Some(memory.as_fd()))?;
    let errno = refused.failure()?;
    ensure!(errno != 0, "errno {errno}");
    drop(exhausted);
    client.set_irqs(request, &fds)?.success()?;
    let mapped = client.dma_map(READ | WRITE, 0, 0, 4096, Some(memory.as_fd()))?;
    mapped.success().map(drop)
}
