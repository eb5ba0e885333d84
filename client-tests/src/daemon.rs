//! A server on a thread of this process: the daemon's code, with sockets in a temporary folder and
//! a clock that stands still until the control socket moves it.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use anyhow::{Context, Result};
use dormouse::clock::Clock;
use dormouse::testing::{self, Function, Options, Served};
use dormouse::{Endpoint, ServedFunction, ServedSlot, Server, Settings};
use pci_device_models::model::Registry;
use pci_device_models::profile::Profile;
use tempfile::TempDir;
use toml::{Table, Value};

use crate::control::Control;
use crate::raw::RawClient;
use crate::table::files;

/// A function to serve.
#[derive(Clone, Debug)]
pub struct Spec {
    origin: String,
    profile: String,
    set: Vec<(String, String)>,
}

impl Spec {
    /// Creates the specification of the profile `NAME.toml` of the tables, or of the built-in one
    /// of that name.
    ///
    /// # Errors
    /// Neither exists.
    pub fn named(name: &str) -> Result<Self> {
        let path = files::folder()
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

    /// Adds overrides, each a `KEY=VALUE`. Those of a card that name neither a function nor the slot
    /// hold for all of its functions.
    #[must_use]
    pub fn set<S: AsRef<str>>(mut self, overrides: &[S]) -> Self {
        let functions = self.profile.matches("[[function]]").count();
        for entry in overrides.iter().map(AsRef::as_ref) {
            let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
            let of_card = ["function.", "slot."].iter().any(|of| key.starts_with(of));
            let keys = match functions {
                1.. if !of_card => (0..functions)
                    .map(|number| format!("function.{number}.{key}"))
                    .collect(),
                _ => vec![key.to_owned()],
            };
            let entries = keys.into_iter().map(|key| (key, value.to_owned()));
            self.set.extend(entries);
        }
        self
    }

    /// Returns the number of functions, of which a card has several.
    #[must_use]
    pub fn functions(&self) -> usize {
        self.profile.matches("[[function]]").count().max(1)
    }

    /// Returns the text of the profile.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.profile
    }

    /// Returns the overrides as keys and values.
    #[must_use]
    pub fn settings(&self) -> &[(String, String)] {
        &self.set
    }

    /// Adds a fault to the profile, that of function 0 to a card.
    ///
    /// # Errors
    /// The profile is no TOML.
    pub fn with_fault(mut self, when: &str, what: &str) -> Result<Self> {
        let mut profile: Table = toml::from_str(&self.profile)?;
        let mut functions = profile.get_mut("function").and_then(Value::as_array_mut);
        let first = functions.as_mut().and_then(|all| all.first_mut());
        let function = match first.and_then(Value::as_table_mut) {
            Some(function) => function,
            None => &mut profile,
        };
        let faults = function
            .entry("fault")
            .or_insert_with(|| Value::Array(Vec::new()));
        let fault =
            [("when", when), ("what", what)].map(|(key, text)| (key.to_owned(), text.into()));
        let faults = faults.as_array_mut().context("`fault` is no list")?;
        faults.push(Value::Table(fault.into_iter().collect()));
        self.profile = toml::to_string(&profile)?;
        Ok(self)
    }

    fn function(&self) -> Function {
        let function = Function::toml(&self.origin, &self.profile);
        let set = |function: Function, (key, value): &(String, String)| function.set(key, value);
        self.set.iter().fold(function, set)
    }
}

/// A running server, which ends when it is dropped.
#[derive(Debug)]
pub struct Daemon {
    functions: Vec<Served>,
}

impl Daemon {
    /// Serves the functions with a clock that stands still.
    ///
    /// # Errors
    /// A profile is wrong, or the sockets cannot be created.
    pub fn start(specs: &[Spec]) -> Result<Self> {
        let mut settings = Settings::default();
        settings.clock = Clock::manual();
        Self::start_with(settings, specs)
    }

    /// Serves the functions and then a platform controller of their slots, with a clock that stands
    /// still. The controller knows a slot by the name of its profile and its place among the `specs`,
    /// such as `testdev-0`.
    ///
    /// # Errors
    /// Those of [`Self::start`].
    pub fn with_controller(specs: &[Spec]) -> Result<Self> {
        let mut options = Options::default();
        options.sandboxed = true;
        options.controller = true;
        Self::serve(options, specs)
    }

    /// Serves the built-in test function with overrides, and attaches a client to it.
    ///
    /// # Errors
    /// Those of [`Self::start`].
    pub fn testdev(set: &[&str]) -> Result<(Self, RawClient)> {
        let daemon = Self::start(&[Spec::named("testdev")?.set(set)])?;
        let client = daemon.attach(0)?;
        Ok((daemon, client))
    }

    /// Serves the functions with the given settings; see [`Self::start`].
    ///
    /// # Errors
    /// Those of [`Self::start`].
    pub fn start_with(settings: Settings, specs: &[Spec]) -> Result<Self> {
        let mut options = Options::default();
        options.settings = settings;
        // As the daemon is: a system call that it does not need ends the test.
        options.sandboxed = true;
        Self::serve(options, specs)
    }

    fn serve(options: Options, specs: &[Spec]) -> Result<Self> {
        Ok(Self {
            functions: testing::start(options, specs.iter().map(Spec::function))?,
        })
    }

    /// Returns the number of functions, of which a card has several.
    #[must_use]
    pub fn functions(&self) -> usize {
        self.functions.len()
    }

    /// Returns the path of a function's socket.
    #[must_use]
    pub fn socket(&self, index: usize) -> PathBuf {
        self.functions[index].socket_path().to_owned()
    }

    /// Returns the path of a file in the folder where the server may save states.
    #[must_use]
    pub fn state_file(&self, name: &str) -> PathBuf {
        self.functions[0].state_folder().join(name)
    }

    /// Returns a client of a function that has agreed on a version.
    ///
    /// # Errors
    /// The server does not accept it.
    pub fn attach(&self, index: usize) -> Result<RawClient> {
        RawClient::attach(&self.socket(index))
    }

    /// Returns a connection to a function's control socket.
    ///
    /// # Errors
    /// The server does not accept it.
    pub fn control(&self, index: usize) -> Result<Control> {
        Control::connect(self.functions[index].control_path())
    }

    /// Ends the server and returns its result.
    ///
    /// # Errors
    /// The server ended with an error or a panic.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        match std::mem::take(&mut self.functions).pop() {
            Some(function) => Ok(function.stop()?),
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

/// Returns a server that does not run yet, and the folder with the sockets of its functions.
///
/// # Errors
/// A profile is wrong, or the sockets cannot be created.
pub fn prepare(settings: Settings, specs: &[Spec]) -> Result<(TempDir, Server)> {
    let folder = tempfile::tempdir()?;
    let mut server = Server::new(settings)?;
    for (index, spec) in specs.iter().enumerate() {
        let profile = Profile::parse(&spec.origin, &spec.profile, &spec.set)?;
        let endpoint = Endpoint::Listener(UnixListener::bind(socket(&folder, index))?);
        let function =
            ServedFunction::new(&spec.origin, endpoint).with_client_memory(profile.client_memory());
        let devices = profile.device_set(&Registry::builtin())?;
        server.add(ServedSlot::new(devices).with_function(function))?;
    }
    Ok((folder, server))
}

/// Returns the path of the socket of a function of [`prepare`].
#[must_use]
pub fn socket(folder: &TempDir, index: usize) -> PathBuf {
    folder.path().join(format!("{index}.sock"))
}
