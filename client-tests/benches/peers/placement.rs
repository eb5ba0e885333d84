//! Which CPUs client and server run on.

use std::fmt;
use std::fs;

use anyhow::{Context, Result};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

/// The CPUs of client and server, and the client's way of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Placement {
    /// Both on one CPU: the cost of the software, with the least noise.
    A,
    /// On two; the client sleeps until the reply is there.
    B,
    /// On two; the client looks for the reply without sleeping.
    C,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The CPUs to measure on.
#[derive(Clone, Copy, Debug)]
pub struct Cpus {
    client: usize,
    other: Option<usize>,
}

impl Cpus {
    /// The first two that this process may use.
    pub fn available() -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        Ok(Self {
            client: cpus.next().context("there is no CPU to run on")?,
            other: cpus.next(),
        })
    }

    /// The placements that there are CPUs for.
    pub fn placements(self) -> &'static [Placement] {
        const ALL: [Placement; 3] = [Placement::A, Placement::B, Placement::C];
        if self.other.is_some() {
            &ALL
        } else {
            &ALL[..1]
        }
    }

    /// `placement`, or the one that needs no second CPU.
    pub fn at_best(self, placement: Placement) -> Placement {
        if self.placements().contains(&placement) {
            placement
        } else {
            Placement::A
        }
    }

    /// Puts this process and a server where `placement` wants them.
    pub fn place(self, placement: Placement, server: Pid) -> Result<()> {
        let one = |cpu| {
            let mut set = CpuSet::new();
            set.set(cpu);
            set
        };
        sched_setaffinity(None, &one(self.client))?;
        let server_cpu = match placement {
            Placement::A => self.client,
            Placement::B | Placement::C => self.other.context("there is one CPU only")?,
        };
        for thread in fs::read_dir(format!("/proc/{server}/task"))? {
            let thread = thread?.file_name().to_string_lossy().parse()?;
            sched_setaffinity(Pid::from_raw(thread), &one(server_cpu))?;
        }
        Ok(())
    }
}
