//! A server on a thread of this process: the same code as the daemon's, behind sockets in a
//! temporary folder, with a clock that stands still until the control socket moves it.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use dormouse::clock::Clock;
use dormouse::sandbox::Sandbox;
use dormouse::{Endpoint, Handle, ServedFunction, ServedSlot, Server, Settings};
use pci_device_models::model::Registry;
use pci_device_models::profile::Profile;
use tempfile::TempDir;

use crate::control::Control;
use crate::raw::RawClient;
use crate::table;

/// The folder for saved states, beside the sockets.
const STATES: &str = "states";

/// A function to serve.
#[derive(Clone, Debug)]
pub struct Spec {
    origin: String,
    profile: String,
    set: Vec<(String, String)>,
}

impl Spec {
    /// The profile `NAME.toml` of the tables, or the built-in one of that name.
    ///
    /// # Errors
    /// There is neither.
    pub fn named(name: &str) -> Result<Self> {
        let path = table::folder()
            .join("profiles")
            .join(name)
            .with_extension("toml");
        let profile = match Profile::builtin(name) {
            Some(text) => text.to_owned(),
            None => fs::read_to_string(&path).with_context(|| path.display().to_string())?,
        };
        Ok(Self {
            origin: name.to_owned(),
            profile,
            set: Vec::new(),
        })
    }

    /// Adds overrides, each a `KEY=VALUE`.
    #[must_use]
    pub fn set<S: AsRef<str>>(mut self, overrides: &[S]) -> Self {
        self.set.extend(overrides.iter().map(|entry| {
            let (key, value) = entry
                .as_ref()
                .split_once('=')
                .unwrap_or((entry.as_ref(), ""));
            (key.to_owned(), value.to_owned())
        }));
        self
    }

    /// The function, with its sockets in `folder`.
    fn serve(&self, folder: &TempDir, index: usize) -> Result<ServedSlot> {
        let profile = Profile::parse(&self.origin, &self.profile, &self.set)?;
        let endpoint = Endpoint::Listener(UnixListener::bind(socket(folder, index))?);
        let function = ServedFunction::new(format!("{}-{index}", self.origin), endpoint)
            .with_client_memory(profile.client_memory())
            .with_control(UnixListener::bind(control_socket(folder, index))?);
        let devices = profile.device_set(&Registry::builtin())?;
        Ok(ServedSlot::new(devices).with_function(function))
    }
}

/// A running server. Ends when it is dropped.
#[derive(Debug)]
pub struct Daemon {
    folder: TempDir,
    handle: Handle,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Daemon {
    /// Serves the functions with a clock that stands still.
    ///
    /// # Errors
    /// A profile is wrong, or the sockets cannot be made.
    pub fn start(specs: &[Spec]) -> Result<Self> {
        let settings = Settings {
            clock: Clock::manual(),
            ..Settings::default()
        };
        Self::start_with(settings, specs)
    }

    /// Serves the built-in test function with overrides, and attaches a client to it.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn testdev(set: &[&str]) -> Result<(Self, RawClient)> {
        let daemon = Self::start(&[Spec::named("testdev")?.set(set)])?;
        let client = daemon.attach(0)?;
        Ok((daemon, client))
    }

    /// As [`Self::start`], with settings of one's own.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(settings: Settings, specs: &[Spec]) -> Result<Self> {
        let (folder, mut server) = prepare(settings, specs)?;
        let handle = server.handle();
        let states = folder.path().join(STATES);
        std::fs::create_dir(&states)?;
        let sandbox = Sandbox {
            state_folders: vec![states],
            ..Sandbox::default()
        };
        let thread = std::thread::spawn(move || {
            // As the daemon is: whatever it does not need and a test makes it do ends the test.
            sandbox.enter()?;
            Ok(server.run()?)
        });
        Ok(Self {
            folder,
            handle,
            thread: Some(thread),
        })
    }

    /// Path of the socket of a function.
    #[must_use]
    pub fn socket(&self, index: usize) -> PathBuf {
        socket(&self.folder, index)
    }

    /// A file of that name in the folder where the server may save states.
    #[must_use]
    pub fn state_file(&self, name: &str) -> PathBuf {
        self.folder.path().join(STATES).join(name)
    }

    /// A client of a function that has agreed on a version.
    ///
    /// # Errors
    /// The server does not take it.
    pub fn attach(&self, index: usize) -> Result<RawClient> {
        RawClient::attach(&self.socket(index))
    }

    /// A connection to a function's control socket.
    ///
    /// # Errors
    /// The server does not take it.
    pub fn control(&self, index: usize) -> Result<Control> {
        Control::connect(&control_socket(&self.folder, index))
    }

    /// Ends the server and tells how that went.
    ///
    /// # Errors
    /// The server ended with an error or a panic.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        self.handle.shutdown();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(anyhow!("the server panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let ended = self.end();
        // A test that fails already says more than this would.
        if !std::thread::panicking() {
            ended.expect("the server has to end cleanly");
        }
    }
}

/// A server that does not run yet, and the folder with its sockets.
///
/// # Errors
/// A profile is wrong, or the sockets cannot be made.
pub fn prepare(settings: Settings, specs: &[Spec]) -> Result<(TempDir, Server)> {
    let folder = tempfile::tempdir()?;
    let mut server = Server::new(settings)?;
    for (index, spec) in specs.iter().enumerate() {
        server.add(spec.serve(&folder, index)?)?;
    }
    Ok((folder, server))
}

/// Path of the socket of a function.
#[must_use]
pub fn socket(folder: &TempDir, index: usize) -> PathBuf {
    folder.path().join(format!("{index}.sock"))
}

fn control_socket(folder: &TempDir, index: usize) -> PathBuf {
    folder.path().join(format!("{index}.ctl"))
}
