//! The slots and functions that a server serves.
//!
//! ```
//! use std::os::unix::net::UnixStream;
//!
//! use dormouse::models::model::Registry;
//! use dormouse::models::profile::Profile;
//! use dormouse::{Endpoint, ServedFunction, ServedSlot};
//!
//! let text = Profile::builtin("nvme").ok_or("there is no such profile")?;
//! let profile = Profile::parse("nvme", text, &[])?;
//! let (_client, server) = UnixStream::pair()?;
//! let function = ServedFunction::new("disk", Endpoint::Connected(server))
//!     .with_client_memory(profile.client_memory());
//! let slot = ServedSlot::new(profile.device_set(&Registry::builtin())?).with_function(function);
//! assert_eq!(slot.functions.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use pci_device_models::host::DeviceSet;
use pci_device_models::slot::FunctionNumber;

use crate::backend::Backend;
use crate::endpoint::Endpoint;
use crate::memory::ClientMemory;

/// A slot with the functions of it that are served.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServedSlot {
    /// The slot, with host drivers on its functions.
    pub devices: DeviceSet,
    /// The sockets of each function that is served.
    pub functions: Vec<ServedFunction>,
    /// Listener of the rail socket: bytes `N` turn the rail on, `F` off; the server skips all others. Only
    /// the newest connection is used.
    pub rail: Option<UnixListener>,
    /// The name of the slot, if it is not that of its first served function.
    pub name: Option<String>,
}

/// A platform controller with its sockets.
///
/// ```
/// use std::os::unix::net::UnixStream;
///
/// use dormouse::{Endpoint, ServedController, Server, Settings};
///
/// let (_client, connected) = UnixStream::pair()?;
/// let mut server = Server::new(Settings::default())?;
/// server.add_controller(ServedController::new(Endpoint::Connected(connected)))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct ServedController {
    /// The source of its clients.
    pub endpoint: Endpoint,
    /// Listener of its control socket.
    pub control: Option<UnixListener>,
    /// File with a saved state of it to start from.
    pub restore: Option<PathBuf>,
}

impl From<Endpoint> for ServedController {
    fn from(endpoint: Endpoint) -> Self {
        Self::new(endpoint)
    }
}

impl ServedController {
    /// Creates a controller that has an endpoint and nothing else.
    #[must_use]
    pub const fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            control: None,
            restore: None,
        }
    }

    /// Sets where its control clients come from.
    #[must_use]
    pub fn with_control(mut self, listener: UnixListener) -> Self {
        self.control = Some(listener);
        self
    }

    /// Sets the file with the state that it starts from.
    #[must_use]
    pub fn with_restore(mut self, file: impl Into<PathBuf>) -> Self {
        self.restore = Some(file.into());
        self
    }
}

/// A function with its sockets.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServedFunction {
    /// The number of the function in its slot.
    pub number: FunctionNumber,
    /// The name in logs.
    pub name: String,
    /// Access to its clients' memory.
    pub client_memory: ClientMemory,
    /// The source of its clients.
    pub endpoint: Endpoint,
    /// Listener of its control socket.
    pub control: Option<UnixListener>,
    /// The back end of its device model. Without one, nothing moves on that side of the model.
    pub backend: Option<Backend>,
}

impl ServedSlot {
    /// Creates a slot without served functions and without a rail socket.
    #[must_use]
    pub const fn new(devices: DeviceSet) -> Self {
        Self {
            devices,
            functions: Vec::new(),
            rail: None,
            name: None,
        }
    }

    /// Returns the name by which a platform controller knows the slot: its own, or that of its first
    /// served function.
    #[must_use]
    pub fn name(&self) -> &str {
        let first = self.functions.first().map(|function| &*function.name);
        self.name.as_deref().or(first).unwrap_or_default()
    }

    /// Names the slot.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Has a function served.
    #[must_use]
    pub fn with_function(mut self, function: ServedFunction) -> Self {
        self.functions.push(function);
        self
    }
}

impl ServedFunction {
    /// Creates a function 0 that has an endpoint and nothing else.
    #[must_use]
    pub fn new(name: impl Into<String>, endpoint: Endpoint) -> Self {
        Self {
            number: FunctionNumber::ZERO,
            name: name.into(),
            client_memory: ClientMemory::default(),
            endpoint,
            control: None,
            backend: None,
        }
    }

    /// Sets how the memory of its clients is reached.
    #[must_use]
    pub const fn with_client_memory(mut self, client_memory: ClientMemory) -> Self {
        self.client_memory = client_memory;
        self
    }

    /// Sets where its control clients come from.
    #[must_use]
    pub fn with_control(mut self, listener: UnixListener) -> Self {
        self.control = Some(listener);
        self
    }

    /// Sets the back end of its device model.
    #[must_use]
    pub fn with_backend(mut self, backend: impl Into<Backend>) -> Self {
        self.backend = Some(backend.into());
        self
    }
}
