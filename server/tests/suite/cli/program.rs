//! Running the program.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(5);

/// Calls `ready` until it gives something, for as long as a slow machine may need.
pub fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(STEP);
    }
}

/// The program in `folder`, with no more environment than it needs.
pub fn dormouse(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dormouse"));
    command.current_dir(folder).env_clear().stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    dormouse(folder.path()).args(arguments).output().unwrap()
}

pub fn code(output: &Output) -> i32 {
    output.status.code().expect("the program exits by itself")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A running server in a folder of its own.
pub struct Daemon {
    child: Child,
    folder: TempDir,
}

impl Daemon {
    /// Starts `dormouse serve` in a new folder. Does not wait for it.
    pub fn serve(arguments: &[&str]) -> Self {
        Self::start(tempfile::tempdir().unwrap(), |command| {
            command.arg("serve").args(arguments);
        })
    }

    /// Starts the program in `folder`, as `prepare` says.
    pub fn start(folder: TempDir, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = dormouse(folder.path());
        prepare(&mut command);
        let log = |name: &str| File::create(folder.path().join(name)).unwrap();
        let child = command
            .stdout(log("stdout"))
            .stderr(log("stderr"))
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the text that it wrote so far to `stdout` or `stderr`.
    pub fn output(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A connection to one of its sockets, as soon as it listens.
    pub fn connect(&mut self, name: &str) -> UnixStream {
        let path = self.path(name);
        wait_for(name, || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("ended with {status}: {}", self.output("stderr"));
            }
            UnixStream::connect(&path).ok()
        })
    }

    /// `dormouse ctl` on its socket `ctl`.
    pub fn ctl(&self, arguments: &[&str]) -> Output {
        dormouse(self.folder.path())
            .args(["ctl", "--ctl-path", "ctl"])
            .args(arguments)
            .output()
            .unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        wait_for("the end of the server", || self.child.try_wait().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Most tests have seen its end; those that failed need not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Negotiates a version as a vfio-user client does, which only a live server answers.
pub fn greet(client: &UnixStream) {
    try_greet(client).expect("the server answers");
}

/// As [`greet`], where the server may be busy with another client.
pub fn try_greet(client: &UnixStream) -> io::Result<()> {
    const VERSION: u16 = 1;
    // Version 0.1.
    request(client, VERSION, &[0, 0, 1, 0])?;
    Ok(())
}

/// Sends a command and gives the payload of its reply, which reports success.
pub fn request(mut client: &UnixStream, command: u16, payload: &[u8]) -> io::Result<Vec<u8>> {
    const REPLY: u32 = 1;
    client.set_read_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    request.extend(7_u16.to_ne_bytes());
    request.extend(command.to_ne_bytes());
    request.extend((16 + payload.len() as u32).to_ne_bytes());
    request.extend([0; 8]);
    request.extend(payload);
    client.write_all(&request)?;

    let mut header = [0; 16];
    client.read_exact(&mut header)?;
    assert_eq!(header[..2], 7_u16.to_ne_bytes());
    if header[8..12] != REPLY.to_ne_bytes() {
        let errno = i32::from_ne_bytes(header[12..].try_into().unwrap());
        return Err(io::Error::from_raw_os_error(errno));
    }
    let size = u32::from_ne_bytes(header[4..8].try_into().unwrap());
    let mut reply = vec![0; size as usize - header.len()];
    client.read_exact(&mut reply)?;
    Ok(reply)
}
