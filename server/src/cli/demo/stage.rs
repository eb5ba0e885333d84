//! The server that the demo talks to.

use std::env;
use std::path::{Path, PathBuf};
use std::process;
use std::thread::JoinHandle;

use crate::clock::Clock;
use crate::listen::{self, Access, SocketFile};
use anyhow::Context;
use pci_device_models::model::Registry;

use crate::control::ControlClient;
use crate::{
    Client, Endpoint, Handle, PollMode, ServedFunction, ServedSlot, Server, ServerError, Settings,
};

use crate::cli::failure::Failure;
use crate::cli::profiles;

const PROFILE: &str = "testdev";

/// The device as Linux vfio-pci would show it. What it keeps in D3hot it loses with its power only.
const SETTINGS: [(&str, &str); 2] = [
    ("host.view", "vfio-pci"),
    ("capabilities.pm.no-soft-reset", "true"),
];

/// A running server with a socket for clients and one for control, which goes when this does.
pub struct Stage {
    device: PathBuf,
    control: PathBuf,
    handle: Handle,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
    _files: [SocketFile; 2],
}

impl Stage {
    pub fn new() -> Result<Self, Failure> {
        let registry = Registry::builtin();
        let settings = SETTINGS.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let card = profiles::find(PROFILE, &settings, &registry)?;
        let path = |name: &str| {
            env::temp_dir().join(format!("dormouse-demo-{}-{name}.sock", process::id()))
        };
        let (device, control) = (path("device"), path("control"));
        let (device_listener, device_file) = listen::bind(&device, Access::default())?;
        let (control_listener, control_file) = listen::bind(&control, Access::default())?;
        let mut server = Server::new(Settings {
            clock: Clock::manual(),
            poll: PollMode::Off,
            ..Settings::default()
        })?;
        let function = ServedFunction {
            control: Some(control_listener),
            ..ServedFunction::new(PROFILE, Endpoint::Listener(device_listener))
        };
        let slot = ServedSlot::new(card.device_set(&registry)?);
        server.add(slot.with_function(function))?;
        Ok(Self {
            device,
            control,
            handle: server.handle(),
            thread: Some(std::thread::spawn(move || server.run())),
            _files: [device_file, control_file],
        })
    }

    /// A client of the function.
    pub fn client(&self) -> anyhow::Result<Client> {
        Client::connect(&self.device).with_context(|| reaching(&self.device))
    }

    /// A control client that sees every event.
    pub fn control(&self) -> anyhow::Result<ControlClient> {
        let mut control =
            ControlClient::connect(&self.control).with_context(|| reaching(&self.control))?;
        control.subscribe()?;
        Ok(control)
    }
}

fn reaching(socket: &Path) -> String {
    format!("talking to the demo's server on {}", socket.display())
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.handle.shutdown();
        let ended = self.thread.take().map(JoinHandle::join);
        match ended {
            None | Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => tracing::error!(%error, "the demo's server"),
            Some(Err(_)) => tracing::error!("the demo's server ended abnormally"),
        }
    }
}
