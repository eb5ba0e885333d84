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

/// The device as Linux vfio-pci would show it. What it keeps in D3hot it loses with its power only.
const TESTDEV: [(&str, &str); 2] = [
    ("host.view", "vfio-pci"),
    ("capabilities.pm.no-soft-reset", "true"),
];

/// The functions of the card as Linux vfio-pci would show them.
const CARD: [(&str, &str); 2] = [
    ("function.0.host.view", "vfio-pci"),
    ("function.1.host.view", "vfio-pci"),
];

/// A running server, which goes when this does, with a socket for clients and one for control for each
/// function.
pub struct Stage {
    functions: Vec<Sockets>,
    handle: Handle,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
    _files: Vec<SocketFile>,
}

struct Sockets {
    device: PathBuf,
    control: PathBuf,
}

impl Stage {
    /// Serves the test function.
    pub fn testdev() -> Result<Self, Failure> {
        Self::serve("testdev", &TESTDEV)
    }

    /// Serves a graphics card.
    pub fn card() -> Result<Self, Failure> {
        Self::serve("gpu-card", &CARD)
    }

    fn serve(profile: &str, settings: &[(&str, &str)]) -> Result<Self, Failure> {
        let registry = Registry::builtin();
        let setting = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let settings: Vec<_> = settings.iter().map(setting).collect();
        let card = profiles::find(profile, &settings, &registry)?;
        let mut server = Server::new(Settings {
            clock: Clock::manual(),
            poll: PollMode::Off,
            ..Settings::default()
        })?;
        let mut slot = ServedSlot::new(card.device_set(&registry)?);
        let (mut functions, mut files) = (Vec::new(), Vec::new());
        for (number, _) in card.functions() {
            let path = |name: &str| {
                let process = process::id();
                env::temp_dir().join(format!("dormouse-demo-{process}-{name}{number}.sock"))
            };
            let sockets = Sockets {
                device: path("device"),
                control: path("control"),
            };
            let (device, device_file) = listen::bind(&sockets.device, Access::default())?;
            let (control, control_file) = listen::bind(&sockets.control, Access::default())?;
            slot = slot.with_function(ServedFunction {
                number,
                control: Some(control),
                ..ServedFunction::new(profile, Endpoint::Listener(device))
            });
            files.extend([device_file, control_file]);
            functions.push(sockets);
        }
        server.add(slot)?;
        Ok(Self {
            functions,
            handle: server.handle(),
            thread: Some(std::thread::spawn(move || server.run())),
            _files: files,
        })
    }

    /// A client of a function.
    pub fn client(&self, function: usize) -> anyhow::Result<Client> {
        let device = &self.sockets(function)?.device;
        Client::connect(device).with_context(|| reaching(device))
    }

    /// A control client of a function that sees every event.
    pub fn control(&self, function: usize) -> anyhow::Result<ControlClient> {
        let control = &self.sockets(function)?.control;
        let mut control = ControlClient::connect(control).with_context(|| reaching(control))?;
        control.subscribe()?;
        Ok(control)
    }

    fn sockets(&self, function: usize) -> anyhow::Result<&Sockets> {
        let sockets = self.functions.get(function);
        sockets.with_context(|| format!("the demo has no function {function}"))
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
