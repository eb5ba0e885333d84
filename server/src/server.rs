//! The public face of the server.
//!
//! ```
//! use dormouse::{Server, Settings};
//!
//! let mut server = Server::new(Settings::default())?;
//! let handle = server.handle();
//! let thread = std::thread::spawn(move || server.run());
//! // From any thread, or from a signal handler through `Server::watch_shutdown_fd`.
//! handle.shutdown();
//! thread.join().expect("the server does not panic")?;
//! # Ok::<(), dormouse::ServerError>(())
//! ```

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::Waker;
use pci_device_models::host::DeviceRef;
use pci_device_models::model::controller::{self, Controller, slot_key};

use crate::reactor::Reactor;
use crate::served::{ServedController, ServedFunction, ServedSlot};
use crate::settings::Settings;
use crate::state_file::{self, StateFileError};
use crate::stats::ConnectionStats;

/// The server cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The event loop could not be set up.
    #[error("the event loop cannot be set up: {0}")]
    SetUp(#[source] io::Error),
    /// A function could not be added.
    #[error("function '{name}': its sockets cannot be watched: {source}")]
    Watch {
        /// Name of the function.
        name: String,
        /// Error of the system.
        source: io::Error,
    },
    /// A platform controller cannot tell two slots apart.
    #[error(
        "the slots '{}' and '{}' have the same key for the platform controller; give one of them \
         another name",
        names[0], names[1]
    )]
    SlotNames {
        /// The names of the slots.
        names: [String; 2],
    },
    /// The saved state of a platform controller cannot be used.
    #[error("the platform controller: {0}")]
    Controller(#[from] StateFileError),
    /// Waiting for events failed.
    #[error("waiting for events failed: {0}")]
    Poll(#[source] io::Error),
}

/// Ends a running server from another thread.
#[derive(Clone, Debug)]
pub struct Handle {
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Handle {
    /// Makes [`Server::run`] return soon. May be called at any time, also before.
    pub fn shutdown(&self) {
        self.stop.store(true, Ordering::Release);
        // A server that is not waiting sees the flag anyway.
        let _ = self.waker.wake();
    }
}

/// Serves functions over vfio-user.
#[derive(Debug)]
pub struct Server {
    reactor: Reactor,
    handle: Handle,
}

impl Server {
    /// Creates a server without functions.
    ///
    /// The first server of a process opens a descriptor for all of them, which stays open, and installs
    /// a handler for SIGBUS: a page of client memory that the kernel cannot provide is an error of the
    /// transfer. Every other SIGBUS goes to the handler that was installed before.
    ///
    /// # Errors
    /// [`ServerError::SetUp`].
    pub fn new(settings: Settings) -> Result<Self, ServerError> {
        let stop = Arc::new(AtomicBool::new(false));
        let reactor = Reactor::new(settings, Arc::clone(&stop)).map_err(ServerError::SetUp)?;
        let waker = Arc::new(reactor.waker().map_err(ServerError::SetUp)?);
        Ok(Self {
            reactor,
            handle: Handle { stop, waker },
        })
    }

    /// Adds a slot with the functions of it that are served. Clients can connect once the server runs.
    ///
    /// # Errors
    /// [`ServerError::Watch`].
    pub fn add(&mut self, slot: ServedSlot) -> Result<(), ServerError> {
        let names = slot.functions.iter().map(|function| &*function.name);
        let name = names.collect::<Vec<_>>().join(", ");
        self.reactor
            .add(slot)
            .map_err(|source| ServerError::Watch { name, source })
    }

    /// Serves a platform controller for all slots that were added so far.
    ///
    /// Clients switch the power of slots through it, and it interrupts them when a function wakes.
    /// It knows each slot by its name ([`ServedSlot::name`]). Without a saved state, it finds the power
    /// of the slots as it is; with one, the slots follow the state.
    ///
    /// # Errors
    /// [`ServerError::SlotNames`] if the names of two slots are equal or have the same key,
    /// [`ServerError::Controller`] if its saved state cannot be used, and [`ServerError::Watch`].
    pub fn add_controller(
        &mut self,
        controller: impl Into<ServedController>,
    ) -> Result<(), ServerError> {
        let ServedController {
            endpoint,
            control,
            restore,
        } = controller.into();
        let names = self.reactor.slot_names();
        let keys: Vec<u32> = names.iter().map(|name| slot_key(name)).collect();
        for (index, key) in keys.iter().enumerate() {
            let same = keys.iter().take(index).position(|other| other == key);
            if let Some(same) = same {
                return Err(ServerError::SlotNames {
                    names: [same, index].map(|at| names.get(at).cloned().unwrap_or_default()),
                });
            }
        }
        let watch = |source| ServerError::Watch {
            name: controller::NAME.to_owned(),
            source,
        };
        let devices = Controller::device_set(&keys).map_err(io::Error::other);
        let mut devices = devices.map_err(watch)?;
        self.reactor.show_rails(&mut devices);
        if let Some(file) = restore {
            state_file::restore(&mut devices.first_mut(), self.reactor.now(), &file)?;
        }
        let mut function = ServedFunction::new(controller::NAME, endpoint);
        function.control = control;
        self.reactor
            .add_controller(devices, function)
            .map_err(watch)
    }

    /// A handle that ends this server.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Ends the server cleanly when `fd` becomes readable: the read end of a self-pipe that signal
    /// handlers write to, a signalfd, an eventfd. Nothing is read from it.
    ///
    /// # Errors
    /// [`ServerError::SetUp`].
    pub fn watch_shutdown_fd(&mut self, fd: OwnedFd) -> Result<(), ServerError> {
        self.reactor
            .watch_shutdown_fd(fd)
            .map_err(ServerError::SetUp)
    }

    /// Serves until a handle, a control client or a watched descriptor ends it; with
    /// [`Settings::once`], or if no function has a listener, until all clients have gone.
    ///
    /// # Errors
    /// [`ServerError::Poll`].
    pub fn run(&mut self) -> Result<(), ServerError> {
        self.reactor.run().map_err(ServerError::Poll)
    }

    /// One turn of [`Self::run`], for a caller with a loop of its own: does what is due, waits up to
    /// `most` for something to happen, and deals with it. Whether there was anything to do, or still
    /// is. Neither handles nor watched descriptors end these turns.
    ///
    /// # Errors
    /// [`ServerError::Poll`].
    pub fn turn(&mut self, most: Duration) -> Result<bool, ServerError> {
        self.reactor.turn(Some(most)).map_err(ServerError::Poll)
    }

    /// The functions in the order in which they were added with their counters, to look at between
    /// turns.
    pub fn functions(&self) -> impl Iterator<Item = (DeviceRef<'_>, &ConnectionStats)> {
        self.reactor.functions()
    }
}
