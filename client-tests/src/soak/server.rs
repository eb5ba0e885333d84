//! The daemon as a process, observed from outside.

use std::ffi::OsString;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::{LOADS, Place};
use crate::raw::PATIENCE;

/// Number of looks in a row that find the same number of descriptors.
const AT_REST: u32 = 50;
/// Interval between two checks of a condition.
const PAUSE: Duration = Duration::from_millis(5);

/// Resources that a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Resident memory in KiB.
    pub rss: u64,
    /// Number of open descriptors.
    pub fds: usize,
    /// Number of lines of its memory map.
    pub mappings: usize,
}

/// A daemon with one function for each load. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Served {
    daemon: Child,
    places: Vec<Place>,
    _folder: TempDir,
}

impl Served {
    /// Starts the program `dormouse`, and waits until all its sockets exist. `options` are further
    /// options of `dormouse serve`.
    ///
    /// # Errors
    /// The program cannot be started or does not become ready.
    pub fn start(dormouse: &Path, options: &[OsString]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(dormouse);
        command
            .args(["--log-level", "error", "serve"])
            .args(options);
        let mut places = Vec::new();
        for load in LOADS {
            let path = |kind: &str| folder.path().join(format!("{}.{kind}", load.name));
            let place = Place {
                socket: path("sock"),
                control: path("ctl"),
            };
            let mut spec = format!("profile=testdev,name={}", load.name);
            for (key, path) in [("socket-path", &place.socket), ("ctl-path", &place.control)] {
                let path = path.to_str().context("the temporary folder is no UTF-8")?;
                spec += &format!(",{key}={}", path.replace(',', ",,"));
            }
            for setting in load.set {
                spec += &format!(",set:{setting}");
            }
            command.args(["--function", &spec]);
            places.push(place);
        }
        let daemon = command.spawn();
        let daemon = daemon.with_context(|| dormouse.display().to_string())?;
        let mut served = Self {
            daemon,
            places,
            _folder: folder,
        };
        served.wait_for_sockets()?;
        Ok(served)
    }

    fn wait_for_sockets(&mut self) -> Result<()> {
        let begun = Instant::now();
        let is_there = |path: &PathBuf| UnixStream::connect(path).is_ok();
        while !self.places.iter().all(|place| is_there(&place.control)) {
            self.check_alive()?;
            ensure!(begun.elapsed() < PATIENCE, "the daemon does not come up");
            sleep(PAUSE);
        }
        Ok(())
    }

    fn check_alive(&mut self) -> Result<()> {
        match self.daemon.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the daemon ended: {status}"),
        }
    }

    /// Returns the places of the functions, in the order of the loads.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Returns the daemon's present resources.
    ///
    /// # Errors
    /// The daemon has gone.
    pub fn figures(&mut self) -> Result<Figures> {
        self.check_alive()?;
        let proc = PathBuf::from(format!("/proc/{}", self.daemon.id()));
        let status = fs::read_to_string(proc.join("status"))?;
        let rss = status.lines().find_map(|line| {
            let size = line.strip_prefix("VmRSS:")?.trim();
            size.strip_suffix(" kB")?.parse().ok()
        });
        Ok(Figures {
            rss: rss.context("/proc tells no VmRSS")?,
            fds: fs::read_dir(proc.join("fd"))?.count(),
            mappings: fs::read_to_string(proc.join("maps"))?.lines().count(),
        })
    }

    /// Returns the daemon's resources once it has closed the connections that waited for its sockets, which
    /// a daemon on a busy machine does late.
    ///
    /// # Errors
    /// The daemon has gone, or does not come to rest in time.
    pub fn at_rest(&mut self) -> Result<Figures> {
        let begun = Instant::now();
        let mut figures = self.figures()?;
        let mut same = 0;
        while same < AT_REST {
            ensure!(
                begun.elapsed() < PATIENCE,
                "the number of the daemon's descriptors changes without a client"
            );
            sleep(PAUSE);
            let now = self.figures()?;
            same = if now.fds == figures.fds { same + 1 } else { 0 };
            figures = now;
        }
        Ok(figures)
    }

    /// Returns the daemon's resources once it has as many descriptors as before the first client.
    ///
    /// # Errors
    /// This does not happen in time.
    pub fn settled(&mut self, fds: usize) -> Result<Figures> {
        let begun = Instant::now();
        loop {
            let figures = self.figures()?;
            if figures.fds == fds {
                return Ok(figures);
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "without clients the daemon has {} descriptors; it began with {fds}",
                figures.fds
            );
            sleep(PAUSE);
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself, which has been told then.
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}
