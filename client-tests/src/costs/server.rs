//! The daemon with the hostile client's function and a neighbour's.

use std::fs::{self, File};
use std::io::Read;
use std::ops::Deref;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::probe::PATIENCE;

const PAUSE: Duration = Duration::from_millis(2);
/// Time in which memory has to go back after a client has gone.
const SETTLING: Duration = Duration::from_secs(5);

/// The sockets of a function.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its socket.
    pub socket: PathBuf,
    /// Its control socket.
    pub control: PathBuf,
}

/// The sockets and the folder of a daemon.
#[derive(Clone, Debug)]
pub struct Places {
    /// The hostile client's function.
    pub hostile: Place,
    /// The function of its neighbour.
    pub neighbour: Place,
    /// A folder in which the daemon may save states.
    pub states: PathBuf,
    folder: Arc<TempDir>,
}

/// A daemon. It is killed when this value is dropped.
#[derive(Debug)]
pub(super) struct Served {
    daemon: Child,
    places: Places,
}

impl Deref for Served {
    type Target = Places;

    fn deref(&self) -> &Places {
        &self.places
    }
}

impl Served {
    /// Starts the program `dormouse` with overrides for the hostile client's function.
    pub(super) fn start(dormouse: &Path, set: &[&str]) -> Result<Self> {
        let folder = Arc::new(tempfile::tempdir()?);
        let states = folder.path().join("states");
        fs::create_dir(&states)?;
        let log = File::create(folder.path().join("log"))?;
        let place = |name: &str| Place {
            socket: folder.path().join(format!("{name}.sock")),
            control: folder.path().join(format!("{name}.ctl")),
        };
        let places = Places {
            hostile: place("hostile"),
            neighbour: place("neighbour"),
            states,
            folder,
        };
        let mut command = Command::new(dormouse);
        command.arg("serve").arg("--state-dir").arg(&places.states);
        for (name, place, set) in [
            ("hostile", &places.hostile, set),
            ("neighbour", &places.neighbour, &[][..]),
        ] {
            let mut spec = format!("profile=testdev,name={name}");
            for (key, path) in [("socket-path", &place.socket), ("ctl-path", &place.control)] {
                let path = path.to_str().context("the temporary folder is no UTF-8")?;
                spec += &format!(",{key}={}", path.replace(',', ",,"));
            }
            for setting in set {
                spec += &format!(",set:{setting}");
            }
            command.args(["--function", &spec]);
        }
        let daemon = command
            .stderr(log)
            .stdout(std::process::Stdio::null())
            .spawn();
        let daemon = daemon.with_context(|| dormouse.display().to_string())?;
        let mut served = Self { daemon, places };
        let begun = Instant::now();
        while UnixStream::connect(&served.neighbour.control).is_err() {
            served.check_alive()?;
            ensure!(begun.elapsed() < PATIENCE, "the daemon does not come up");
            sleep(PAUSE);
        }
        Ok(served)
    }

    pub(super) fn places(&self) -> Places {
        self.places.clone()
    }

    /// Fails if the daemon has ended, with the last line of its log.
    pub(super) fn check_alive(&mut self) -> Result<()> {
        match self.daemon.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let log = fs::read_to_string(self.folder.path().join("log"))?;
                bail!("the daemon ended: {status}; {:?}", log.lines().last())
            }
        }
    }

    fn status(&self, field: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.daemon.id()))?;
        let size = status.lines().find_map(|line| {
            let size = line.strip_prefix(field)?.strip_prefix(':')?.trim();
            size.strip_suffix(" kB")?.parse().ok()
        });
        size.with_context(|| format!("/proc tells no {field}"))
    }

    /// Returns the resident pages of files, which are those of the program, in KiB.
    pub(super) fn program(&self) -> Result<u64> {
        self.status("RssFile")
    }

    /// Returns its resident memory in KiB, with `program` for the pages of files: parts of the program come
    /// as they are used for the first time, and the kernel takes them back when it likes.
    pub(super) fn resident(&self, program: u64) -> Result<u64> {
        Ok(program + self.status("RssAnon")? + self.status("RssShmem")?)
    }

    /// Returns the most resident memory that it ever had, in KiB.
    pub(super) fn most_resident(&self) -> Result<u64> {
        self.status("VmHWM")
    }

    /// As [`Self::resident`], once it is near `before` again, or after a while.
    pub(super) fn settled(&self, program: u64, before: u64) -> Result<u64> {
        let begun = Instant::now();
        loop {
            let now = self.resident(program)?;
            if now <= before + before / 20 || begun.elapsed() > SETTLING {
                return Ok(now);
            }
            sleep(PAUSE);
        }
    }

    /// Returns the size of its log in bytes.
    pub(super) fn log_bytes(&self) -> Result<u64> {
        Ok(fs::metadata(self.folder.path().join("log"))?.len())
    }

    /// Sends SIGTERM and returns the times until the neighbour is disconnected, and until the process has
    /// ended: only the kernel works in between, which takes its memory back.
    pub(super) fn end(&mut self) -> Result<[Duration; 2]> {
        let mut neighbour = UnixStream::connect(&self.neighbour.control)?;
        neighbour.set_read_timeout(Some(PATIENCE))?;
        let begun = Instant::now();
        let pid = Pid::from_child(&self.daemon);
        kill_process(pid, Signal::TERM)?;
        let came = neighbour.read(&mut [0])?;
        ensure!(came == 0, "the daemon says something nobody asked for");
        let left = begun.elapsed();
        loop {
            if let Some(status) = self.daemon.try_wait()? {
                ensure!(status.success(), "the daemon ended with {status}");
                return Ok([left, begun.elapsed()]);
            }
            ensure!(begun.elapsed() < PATIENCE, "the daemon does not end");
            sleep(PAUSE);
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}
