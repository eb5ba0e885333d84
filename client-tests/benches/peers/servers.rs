//! The servers: processes of their own.

pub mod floor;
mod peer;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use serde_json::Value;
use tempfile::TempDir;

/// Most time that a server may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that this program can be.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
pub enum Role {
    /// Answers 32 bytes with 48.
    Floor {
        socket: PathBuf,
        #[command(flatten)]
        manner: floor::Manner,
    },
    /// The server of the crate `vfio_user`.
    Peer { sockets: Vec<PathBuf> },
}

impl Role {
    /// Serves until killed, at the latest when the measuring program is gone.
    pub fn serve(self) -> Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        match self {
            Self::Floor { socket, manner } => floor::serve(&socket, manner),
            Self::Peer { sockets } => peer::serve(&sockets),
        }
    }
}

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Ours,
    /// The socket alone, or whatever else costs the least possible.
    Floor,
    Peer,
}

/// Builds the daemon for release and tells where it is. A benchmark has its library linked in, but
/// what users run is the program.
pub fn build_dormouse() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--package", "dormouse"])
        .args(["--bin", "dormouse", "--message-format", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(built.status.success(), "the daemon cannot be built");
    let program = |line: &[u8]| -> Option<PathBuf> {
        let message: Value = serde_json::from_slice(line).ok()?;
        Some(message["executable"].as_str()?.into())
    };
    let lines = built.stdout.split(|byte| *byte == b'\n');
    lines
        .filter_map(program)
        .next_back()
        .context("cargo does not say where the daemon is")
}

/// A running server. Ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pid: Pid,
    sockets: Vec<PathBuf>,
    _folder: TempDir,
}

impl Server {
    /// The daemon with a function for each of `functions`, whose words are `KEY=VALUE` of `--function`.
    pub fn dormouse(program: &Path, functions: &[&[&str]]) -> Result<Self> {
        Self::start(functions.len(), |sockets| {
            let mut command = Command::new(program);
            command.args(["--log-level", "error", "serve"]);
            for (socket, words) in sockets.iter().zip(functions) {
                let mut spec = format!("socket-path={}", socket.display());
                words.iter().for_each(|word| {
                    spec.push(',');
                    spec.push_str(word);
                });
                command.args(["--function", &spec]);
            }
            Ok(command)
        })
    }

    /// The server that does nothing but what the [`options`](floor::Manner) say.
    pub fn floor(options: &[&str]) -> Result<Self> {
        Self::start(1, |sockets| {
            let mut command = this_program()?;
            command.arg("floor").args(sockets).args(options);
            Ok(command)
        })
    }

    /// The server of `vfio_user` with so many functions.
    pub fn peer(functions: usize) -> Result<Self> {
        Self::start(functions, |sockets| {
            let mut command = this_program()?;
            command.arg("peer").args(sockets);
            Ok(command)
        })
    }

    fn start(count: usize, command: impl FnOnce(&[PathBuf]) -> Result<Command>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |index| folder.path().join(format!("{index}.sock"));
        let sockets: Vec<PathBuf> = (0..count).map(path).collect();
        let child = command(&sockets)?.stdin(Stdio::null()).spawn()?;
        let server = Self {
            pid: Pid::from_child(&child),
            child,
            sockets,
            _folder: folder,
        };
        let begun = Instant::now();
        while !listen(&server.sockets)? {
            ensure!(begun.elapsed() < PATIENCE, "the server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    /// The sockets on which it listens.
    pub fn sockets(&self) -> &[PathBuf] {
        &self.sockets
    }

    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// Stops it until [`Self::resume`]: what it would do takes nothing away from others.
    pub fn pause(&self) -> Result<()> {
        Ok(kill_process(self.pid, Signal::STOP)?)
    }

    pub fn resume(&self) -> Result<()> {
        Ok(kill_process(self.pid, Signal::CONT)?)
    }

    /// Time on a CPU of all its threads, in nanoseconds.
    pub fn cpu(&self) -> Result<f64> {
        cpu(&self.proc("task"))
    }

    /// The number of times that it went to sleep, and that the kernel preempted it.
    pub fn switches(&self) -> Result<u64> {
        let text = fs::read_to_string(self.proc("status"))?;
        let counts = text.lines().filter(|line| line.contains("ctxt_switches"));
        counts.map(number).sum()
    }

    /// Memory that counts as its own, in KiB: proportional set size.
    pub fn memory(&self) -> Result<f64> {
        let text = fs::read_to_string(self.proc("smaps_rollup"))?;
        match text.lines().find(|line| line.starts_with("Pss:")) {
            Some(line) => Ok(number(line)? as f64),
            None => bail!("the kernel does not tell the memory of {}", self.pid),
        }
    }

    fn proc(&self, file: impl AsRef<OsStr>) -> PathBuf {
        Path::new("/proc")
            .join(self.pid.to_string())
            .join(file.as_ref())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Time on a CPU of this program, in nanoseconds.
pub fn own_cpu() -> Result<f64> {
    cpu(Path::new("/proc/self/task"))
}

fn cpu(threads: &Path) -> Result<f64> {
    let mut sum = 0;
    for thread in fs::read_dir(threads)? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        let time = text.split(' ').next().unwrap_or_default();
        sum += time.parse::<u64>()?;
    }
    Ok(sum as f64)
}

/// The number in a line such as `Pss:  12 kB`.
fn number(line: &str) -> Result<u64> {
    let mut words = line.split_whitespace();
    Ok(words.nth(1).context("a number")?.parse()?)
}

/// Returns whether somebody listens on all these sockets. To connect would be to take a place.
fn listen(sockets: &[PathBuf]) -> Result<bool> {
    /// `__SO_ACCEPTCON` in the flags.
    const LISTENS: &str = "00010000";
    let table = fs::read_to_string("/proc/net/unix")?;
    let listens = |line: &str| line.split_whitespace().nth(3) == Some(LISTENS);
    let listening = table.lines().filter(|line| listens(line));
    let paths: HashSet<_> = listening
        .filter_map(|line| line.split_whitespace().nth(7))
        .collect();
    let mut sockets = sockets.iter();
    Ok(sockets.all(|socket| socket.to_str().is_some_and(|path| paths.contains(path))))
}

fn this_program() -> Result<Command> {
    Ok(Command::new(std::env::current_exe()?))
}
