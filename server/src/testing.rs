//! A test harness: functions served in this process, on a clock that the test turns.
//!
//! A VMM's own test suite connects its client to [`Served::socket_path`], or uses the [`Client`] of this
//! crate, and turns the clock with [`Served::advance`]. The server ends when the test drops it.
//!
//! ```
//! use std::time::Duration;
//!
//! use dormouse::models::host::RuntimePmStatus;
//! use dormouse::testing::Function;
//!
//! let mut served = Function::profile("testdev")
//!     .set("host.view", "vfio-pci")
//!     .set("host.suspend-delay-ms", "10")
//!     .start()?;
//! let mut client = served.client()?;
//! client.low_power_entry()?;
//! assert_eq!(served.status()?.device.runtime_status, RuntimePmStatus::Active);
//! served.advance(Duration::from_millis(10))?;
//! assert_eq!(served.status()?.device.runtime_status, RuntimePmStatus::Suspended);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod folder;

use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use pci_device_models::model::Registry;
use pci_device_models::profile::{Card, ProfileError};
use pci_device_models::violation::ViolationReport;

use crate::backend::{self, OpenError, Opened};
use crate::client::{Client, ClientError};
use crate::clock::Clock;
use crate::control::{ControlClient, ControlClientError, FunctionStatus};
use crate::endpoint::Endpoint;
use crate::listen::Access;
use crate::served::{ServedController, ServedFunction, ServedSlot};
use crate::server::{Handle, Server, ServerError};
use crate::settings::Settings;
use folder::Folder;

/// A function of the harness could not be started, or its server failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestingError {
    /// There is no profile of this name.
    #[error("there is no profile '{0}'")]
    NoProfile(String),
    /// The profile is wrong.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The folder or the sockets cannot be made.
    #[error("{}: {source}", path.display())]
    Io {
        /// The folder or socket.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The back end of the model cannot be opened.
    #[error(transparent)]
    Backend(#[from] OpenError),
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The sandbox cannot be entered.
    #[cfg(feature = "sandbox")]
    #[error(transparent)]
    Sandbox(#[from] crate::sandbox::SandboxError),
    /// The server's thread panicked.
    #[error("the server panicked")]
    Panicked,
    /// The control socket failed.
    #[error(transparent)]
    Control(#[from] ControlClientError),
}

/// A function to serve.
#[derive(Debug)]
pub struct Function {
    registry: Registry,
    /// The profile's name, or the file's name for error messages.
    origin: String,
    source: Source,
    set: Vec<(String, String)>,
}

#[derive(Debug)]
enum Source {
    Registry,
    Text(String),
}

impl Function {
    /// Creates the function of a built-in profile, or of a profile of the
    /// [registry](Self::registry).
    #[must_use]
    pub fn profile(name: impl Into<String>) -> Self {
        Self::new(name.into(), Source::Registry)
    }

    /// Creates the function of a profile's text. `origin` names it in error messages.
    #[must_use]
    pub fn toml(origin: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(origin.into(), Source::Text(text.into()))
    }

    fn new(origin: String, source: Source) -> Self {
        Self {
            registry: Registry::builtin(),
            origin,
            source,
            set: Vec::new(),
        }
    }

    /// Sets the models and profiles in place of the built-in ones.
    #[must_use]
    pub fn registry(self, registry: Registry) -> Self {
        Self { registry, ..self }
    }

    /// Changes a key of the profile, as `--set` does.
    #[must_use]
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.set.push((key.into(), value.into()));
        self
    }

    /// Serves the function with the default [`Options`].
    ///
    /// # Errors
    /// See [`TestingError`].
    pub fn start(self) -> Result<Served, TestingError> {
        let served = start(Options::default(), [self])?;
        // A slot has a function 0, which comes first.
        served.into_iter().next().ok_or(TestingError::Panicked)
    }

    /// Reads the profile.
    fn read(&self) -> Result<Card, TestingError> {
        let text = match &self.source {
            Source::Text(text) => text,
            Source::Registry => (self.registry.profile(&self.origin))
                .ok_or_else(|| TestingError::NoProfile(self.origin.clone()))?,
        };
        let bases = |name: &str| self.registry.base(name);
        Ok(Card::parse(&self.origin, text, &self.set, &bases)?)
    }

    /// Makes the functions of the slot with their sockets in `folder`.
    fn serve(
        &self,
        folder: &Path,
        index: usize,
    ) -> Result<(ServedSlot, Vec<Sockets>, Vec<Opened>), TestingError> {
        let card = self.read()?;
        let rail = folder.join(format!("{index}.rail"));
        let slot_name = format!("{}-{index}", self.origin);
        let mut slot = ServedSlot::new(card.device_set(&self.registry)?).with_name(&*slot_name);
        slot.rail = Some(bind(&rail)?);
        let (mut all, mut backends) = (Vec::new(), Vec::new());
        for (number, profile) in card.functions() {
            let sockets = Sockets {
                client: folder.join(format!("{index}.{number}.sock")),
                control: folder.join(format!("{index}.{number}.ctl")),
                rail: Some(rail.clone()),
            };
            let mut opened = match profile.backend(&self.registry)? {
                Some((kind, place)) => backend::open(kind, &place, Access::default())?,
                None => Opened::default(),
            };
            let name = match card.single() {
                Some(_) => slot_name.clone(),
                None => format!("{slot_name}.{number}"),
            };
            let endpoint = Endpoint::Listener(bind(&sockets.client)?);
            let mut function = ServedFunction::new(name, endpoint)
                .with_client_memory(profile.client_memory())
                .with_control(bind(&sockets.control)?);
            function.number = number;
            function.backend = opened.backend.take();
            slot = slot.with_function(function);
            all.push(sockets);
            backends.push(opened);
        }
        Ok((slot, all, backends))
    }
}

fn bind(path: &Path) -> Result<UnixListener, TestingError> {
    UnixListener::bind(path).map_err(|source| TestingError::Io {
        path: path.to_owned(),
        source,
    })
}

/// Options of the harness's server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The server's settings. By default the clock stands still until it is turned.
    pub settings: Settings,
    /// Confine the server's thread, as the daemon does by default. It can then write to
    /// [`Served::state_folder`] only.
    #[cfg(feature = "sandbox")]
    pub sandboxed: bool,
    /// Serve a platform controller of all slots, too. It is the last [`Served`] of [`start`]. It knows
    /// a slot by the name of the function's or card's profile, with `-` and its place in [`start`].
    pub controller: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            settings: Settings {
                clock: Clock::manual(),
                ..Settings::default()
            },
            #[cfg(feature = "sandbox")]
            sandboxed: false,
            controller: false,
        }
    }
}

/// Serves functions in one server, on a thread of its own. A profile that is a card gives a [`Served`]
/// for each of its functions, in the order of their numbers.
///
/// ```
/// use dormouse::control::Verb;
/// use dormouse::control::platform::HotReset;
/// use dormouse::testing::{Function, Options, start};
///
/// let mut options = Options::default();
/// options.settings.max_dma_maps = 1;
/// let served = start(options, [Function::profile("nvme"), Function::profile("nic")])?;
/// let mut client = served[0].client()?;
/// client.map(0, 0x1000)?;
/// assert!(client.map(0x1000, 0x1000).is_err());
/// served[1].client()?.map(0, 0x1000)?;
///
/// let text = r#"
/// name = "pair"
/// [[function]]
/// profile = "gpu-display"
/// [[function]]
/// profile = "gpu-audio"
/// remove = ["capabilities.pcie"]
/// "#;
/// let mut card = start(Options::default(), [Function::toml("pair", text)])?;
/// card[1].control()?.ask(&Verb::HotReset(HotReset {}))?;
/// assert_eq!(card[0].status()?.device.counters.resets, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// See [`TestingError`].
pub fn start(
    options: Options,
    functions: impl IntoIterator<Item = Function>,
) -> Result<Vec<Served>, TestingError> {
    let folder = Folder::new()?;
    #[cfg(feature = "sandbox")]
    let sandbox = options.sandboxed.then(|| crate::sandbox::Sandbox {
        state_folders: vec![folder.states()],
        ..crate::sandbox::Sandbox::default()
    });
    let mut server = Server::new(options.settings)?;
    let mut sockets = Vec::new();
    let mut opened = Vec::new();
    for (index, function) in functions.into_iter().enumerate() {
        let (function, its_sockets, its_backend) = function.serve(folder.path(), index)?;
        server.add(function)?;
        sockets.extend(its_sockets);
        opened.extend(its_backend);
    }
    if options.controller {
        let its_sockets = Sockets {
            client: folder.path().join("controller.sock"),
            control: folder.path().join("controller.ctl"),
            rail: None,
        };
        let endpoint = Endpoint::Listener(bind(&its_sockets.client)?);
        let controller = ServedController::new(endpoint).with_control(bind(&its_sockets.control)?);
        server.add_controller(controller)?;
        sockets.push(its_sockets);
    }
    let handle = server.handle();
    let thread = std::thread::spawn(move || {
        #[cfg(feature = "sandbox")]
        if let Some(sandbox) = sandbox {
            sandbox.enter()?;
        }
        Ok(server.run()?)
    });
    let running = Arc::new(Running {
        handle,
        thread: Mutex::new(Some(thread)),
        folder,
        _opened: opened,
    });
    let served = |sockets| Served {
        control: None,
        sockets,
        running: Arc::clone(&running),
    };
    Ok(sockets.into_iter().map(served).collect())
}

/// A function that is being served.
///
/// The server ends when the last of its functions is dropped.
#[derive(Debug)]
pub struct Served {
    /// Connected when it is first needed.
    control: Option<ControlClient>,
    sockets: Sockets,
    running: Arc<Running>,
}

/// The sockets of a function.
#[derive(Clone, Debug)]
struct Sockets {
    client: PathBuf,
    control: PathBuf,
    /// That of the slot, which a controller does not have.
    rail: Option<PathBuf>,
}

impl Served {
    /// Connects a client that has agreed on a version.
    ///
    /// # Errors
    /// The function has as many clients as it may have, or another [`ClientError`].
    pub fn client(&self) -> Result<Client, ClientError> {
        Client::connect(&self.sockets.client)
    }

    /// Connects to the control socket.
    ///
    /// # Errors
    /// The server has ended, or has as many control clients as it may have.
    pub fn control(&self) -> Result<ControlClient, ControlClientError> {
        Ok(ControlClient::connect(&self.sockets.control)?)
    }

    /// Moves the server's clock forward. Whatever falls due happens before this returns.
    ///
    /// # Errors
    /// See [`ControlClientError`].
    pub fn advance(&mut self, span: Duration) -> Result<(), ControlClientError> {
        self.connected()?.advance(span)
    }

    /// Returns the status of the function, without waking it.
    ///
    /// # Errors
    /// See [`ControlClientError`].
    pub fn status(&mut self) -> Result<FunctionStatus, ControlClientError> {
        self.connected()?.status()
    }

    /// Returns what software did wrong.
    ///
    /// # Errors
    /// See [`ControlClientError`].
    pub fn violations(&mut self) -> Result<ViolationReport, ControlClientError> {
        self.connected()?.violations()
    }

    /// Returns the path of the socket for vfio-user clients.
    #[must_use]
    pub fn socket_path(&self) -> &Path {
        &self.sockets.client
    }

    /// Returns the path of the control socket.
    #[must_use]
    pub fn control_path(&self) -> &Path {
        &self.sockets.control
    }

    /// Returns the path of the socket that switches the slot's power rail. A platform controller has
    /// none.
    #[must_use]
    pub fn rail_path(&self) -> Option<&Path> {
        self.sockets.rail.as_deref()
    }

    /// Returns the folder for files with saved states.
    #[must_use]
    pub fn state_folder(&self) -> PathBuf {
        self.running.folder.states()
    }

    /// Ends the server, for all its functions.
    ///
    /// # Errors
    /// The server had failed.
    pub fn stop(self) -> Result<(), TestingError> {
        self.running.end()
    }

    fn connected(&mut self) -> Result<&mut ControlClient, ControlClientError> {
        let control = match self.control.take() {
            Some(control) => control,
            None => self.control()?,
        };
        Ok(self.control.insert(control))
    }
}

/// A server on its thread.
#[derive(Debug)]
struct Running {
    handle: Handle,
    thread: Mutex<Option<JoinHandle<Result<(), TestingError>>>>,
    folder: Folder,
    /// The sockets' files of back ends are removed with these.
    _opened: Vec<Opened>,
}

impl Running {
    fn end(&self) -> Result<(), TestingError> {
        self.handle.shutdown();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        match thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(TestingError::Panicked),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(%error, "the harness's server");
        }
    }
}
