//! What a server is given to serve.

use std::os::unix::net::{UnixListener, UnixStream};

use pci_device_models::host::DeviceSet;
use pci_device_models::slot::FunctionNumber;

use crate::line::Line;
use crate::memory::ClientMemory;

/// Where a function's clients come from.
#[derive(Debug)]
pub enum Endpoint {
    /// They connect. One for which the device has no room is closed at once.
    Listener(UnixListener),
    /// There is one, and it is connected already.
    Connected(UnixStream),
}

/// A slot with the functions of it that are served.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServedSlot {
    /// The slot, with host drivers on its functions.
    pub devices: DeviceSet,
    /// The sockets of each function that is served.
    pub functions: Vec<ServedFunction>,
    /// Where the switch of the power rail connects: bytes `N` turn it on, `F` off, anything else is
    /// skipped. Of several connections the newest counts.
    pub rail: Option<UnixListener>,
}

/// A function with its sockets.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServedFunction {
    /// The number of the function in its slot.
    pub number: FunctionNumber,
    /// The name in logs.
    pub name: String,
    /// How its clients' memory is reached.
    pub client_memory: ClientMemory,
    /// Where its clients come from.
    pub endpoint: Endpoint,
    /// Where its control clients come from.
    pub control: Option<UnixListener>,
    /// The other end of its character line. Without one, the device's end leads nowhere.
    pub line: Option<Line>,
}

impl ServedSlot {
    /// Creates a slot whose functions are not served and whose rail nobody switches.
    #[must_use]
    pub const fn new(devices: DeviceSet) -> Self {
        Self {
            devices,
            functions: Vec::new(),
            rail: None,
        }
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
            line: None,
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

    /// Sets the other end of its character line.
    #[must_use]
    pub fn with_line(mut self, line: Line) -> Self {
        self.line = Some(line);
        self
    }
}
