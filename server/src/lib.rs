//! The Dormouse server: serves functions of [`pci_device_models`] over vfio-user sockets.
//!
//! A [`Server`] is made of [`Settings`], given [`ServedSlot`]s, and [run](Server::run). All of
//! them share one thread and one event loop: an idle function costs nothing.
//!
//! A test of a client needs less: [`testing`] serves a function on a clock that the test turns.
//!
//! ```
//! use std::time::Duration;
//!
//! let mut served = dormouse::testing::Function::profile("testdev").start()?;
//! let mut client = served.client()?;
//! client.write_u16(7, 0x04, 0x0002)?;
//! client.write_u32(0, 0x04, 0x5afe)?;
//! served.advance(Duration::from_millis(10))?;
//! assert_eq!(client.read_u32(0, 0x04)?, 0x5afe);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | purpose |
//! |---|---|
//! | [`server`] | the server and its settings |
//! | `reactor` | the event loop: readiness, order and fairness |
//! | `connection` | a client's socket: messages from bytes and descriptors, bytes from replies |
//! | `session` | the commands of a client |
//! | `memory`, `dma` | client memory and DMA transfers |
//! | `outputs` | interrupts, DMA and events of a device |
//! | `bar_memory` | BARs that clients map |
//! | [`closer`] | a thread that closes files and takes mappings back |
//! | `irq_fds`, `eventfd` | interrupts and wake-up notices |
//! | [`backend`] | back ends of device models: bytes, packets, blocks |
//! | `doorbells` | registers that clients write by eventfd |
//! | [`control`] | the verbs of the control socket |
//! | [`client`] | a blocking vfio-user client |
//! | [`testing`] | functions served in a test's own process |
//! | [`listen`] | sockets by path or descriptor |
//! | [`cli`] | the command line around a server (feature `cli`) |
//! | [`sandbox`] | Landlock and seccomp (feature `sandbox`) |
//! | [`ssdt`] | the ACPI table through which a guest switches the slot's power |
//! | `escape`, `ratelimit` | log lines that clients cause |
//! | `sys` | all unsafe code |
#![deny(unsafe_code)]

pub mod backend;
#[cfg(feature = "cli")]
pub mod cli;
pub mod client;
pub mod clock;
pub mod closer;
pub mod control;
pub mod listen;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod served;
pub mod server;
pub mod settings;
pub mod ssdt;
pub mod state_file;
pub mod stats;
pub mod testing;

mod bar_memory;
mod budget;
mod connection;
mod dma;
mod doorbells;
mod endpoint;
mod escape;
mod eventfd;
mod irq_fds;
mod memory;
mod migration;
mod outputs;
mod ratelimit;
mod reactor;
mod session;
mod stream;
mod sys;

pub use client::{Client, ClientError};
pub use endpoint::Endpoint;
pub use memory::ClientMemory;
pub use served::{ServedController, ServedFunction, ServedSlot};
pub use server::{Handle, Server, ServerError};
pub use settings::{PollMode, Settings};
pub use {pci_device_models as models, vfio_user_protocol as protocol};
