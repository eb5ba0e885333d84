//! The program `dormouse` in a process of its own, with a fault on its command line.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context, Result, bail, ensure};
use pci_device_models::fault::Fault;
use tempfile::TempDir;

use crate::control::Control;
use crate::daemon::Spec;
use crate::raw::PATIENCE;

/// Pause between looks for the sockets of a program that starts.
const PAUSE: Duration = Duration::from_millis(2);

/// A running program.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    /// The functions are those of a card.
    card: bool,
    folder: TempDir,
}

impl Program {
    /// Starts the program, which is a path and its first arguments, with a manual clock, and waits until
    /// its sockets exist.
    pub(super) fn start(
        (program, first): (&Path, &[&str]),
        spec: &Spec,
        fault: &Fault,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let profile = folder.path().join("profile.toml");
        fs::write(&profile, spec.text())?;
        let card = spec.functions() > 1;
        let path = |end: &str| {
            let number = if card { "%n" } else { "0" };
            folder.path().join(format!("{number}.{end}"))
        };
        let mut command = Command::new(program);
        command
            .args(first)
            .args(["--log-level", "error", "serve", "--clock", "manual"])
            .arg("--fault")
            .arg(format!("when={},what={}", fault.when, fault.what))
            .arg("--profile")
            .arg(&profile)
            .arg("--socket-path")
            .arg(path("sock"))
            .arg("--ctl-path")
            .arg(path("ctl"));
        for (key, value) in spec.settings() {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        let child = command.stdout(Stdio::null()).spawn();
        let child = child.with_context(|| program.display().to_string())?;
        let mut started = Self {
            child,
            card,
            folder,
        };
        started.wait_for_sockets()?;
        Ok(started)
    }

    fn wait_for_sockets(&mut self) -> Result<()> {
        let begun = Instant::now();
        while UnixStream::connect(self.path(0, "ctl")).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the program ended: {status}");
            }
            ensure!(begun.elapsed() < PATIENCE, "the program does not come up");
            sleep(PAUSE);
        }
        Ok(())
    }

    fn path(&self, index: usize, end: &str) -> PathBuf {
        let number = if self.card { index } else { 0 };
        self.folder.path().join(format!("{number}.{end}"))
    }

    pub(super) fn socket(&self, index: usize) -> PathBuf {
        self.path(index, "sock")
    }

    pub(super) fn control(&self, index: usize) -> Result<Control> {
        Control::connect(&self.path(index, "ctl"))
    }

    fn end(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.end().ok();
    }
}
