//! A server for one case, and what it holds before and after.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use client_tests::control::Control;
use client_tests::daemon::{Daemon, Spec};
use client_tests::raw::wire::region;
use client_tests::raw::{PATIENCE, RawClient};

/// Causes a fault and checks the outcome.
pub type Play = Box<dyn FnOnce(&Bench) -> Result<()> + Send>;

/// One thing that goes wrong.
pub struct Case {
    pub name: String,
    pub run: Play,
}

/// A case by its name.
pub fn case(
    name: impl Into<String>,
    run: impl FnOnce(&Bench) -> Result<()> + Send + 'static,
) -> Case {
    Case {
        name: name.into(),
        run: Box::new(run),
    }
}

/// A server with two test functions: one for the fault, one for a client that has nothing to do with it.
pub struct Bench {
    daemon: Daemon,
}

/// Descriptors of this process and memory files that it has mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    mappings: usize,
}

impl Held {
    fn now() -> Result<Self> {
        let maps = fs::read_to_string("/proc/self/maps")?;
        Ok(Self {
            descriptors: fs::read_dir("/proc/self/fd")?.count(),
            mappings: maps.lines().filter(|line| line.contains("memfd:")).count(),
        })
    }
}

impl Bench {
    /// Plays a case on a server of its own.
    pub fn play(run: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        let spec = Spec::named("testdev")?;
        let bench = Self {
            daemon: Daemon::start(&[spec.clone(), spec])?,
        };
        bench.next_client().context("before the fault")?;
        let before = bench.settled(None)?;
        run(&bench)?;
        bench.next_client().context("after the fault")?;
        bench.settled(Some(before))?;
        bench.daemon.stop()
    }

    /// Socket of the function that is for the fault.
    pub fn socket(&self) -> PathBuf {
        self.daemon.socket(0)
    }

    /// Socket of the other function.
    pub fn neighbour_socket(&self) -> PathBuf {
        self.daemon.socket(1)
    }

    /// A client of the function that is for the fault.
    pub fn attach(&self) -> Result<RawClient> {
        self.daemon.attach(0)
    }

    /// A connection to it that has said nothing.
    pub fn connect(&self) -> Result<RawClient> {
        Ok(RawClient::connect(&self.daemon.socket(0))?)
    }

    /// A client of the other function.
    pub fn neighbour(&self) -> Result<RawClient> {
        self.daemon.attach(1)
    }

    /// A file of that name where the server may save states.
    pub fn state_file(&self, name: &str) -> PathBuf {
        self.daemon.state_file(name)
    }

    /// The control socket of the function that is for the fault.
    pub fn control(&self) -> Result<Control> {
        self.daemon.control(0)
    }

    /// Somebody comes and is served.
    pub fn next_client(&self) -> Result<()> {
        let mut client = self.attach().context("the next client")?;
        let id = client.read(region::CONFIG, 0, 4)?;
        ensure!(
            id == [0x34, 0x12, 0xc0, 0xd3],
            "the next client reads {id:x?}"
        );
        Ok(())
    }

    /// Checks that the server holds as much as `expected` once it has noticed that everybody is gone.
    fn settled(&self, expected: Option<Held>) -> Result<Held> {
        let begun = Instant::now();
        let mut control = self.control()?;
        loop {
            let status = control.command(&["status"])?;
            let held = Held::now()?;
            let alone = status["connection"]["connected"] == false;
            if alone && expected.is_none_or(|expected| expected == held) {
                return Ok(held);
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "{held:?} is held, {expected:?} was held before; {status}"
            );
            sleep(Duration::from_millis(2));
        }
    }
}
