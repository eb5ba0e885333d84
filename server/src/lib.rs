//! The Dormouse server: serves functions of [`pci_device_models`] over vfio-user sockets.
//!
//! A [`Server`] is made of [`Settings`], given [`ServedSlot`]s, and [run](Server::run). All of
//! them share one thread and one event loop: a function that nobody talks to costs nothing.
//!
//! | module | what |
//! |---|---|
//! | [`server`] | the public face |
//! | `reactor` | the event loop: who has something to say, and in which order it is served |
//! | `connection` | a client's socket: bytes and descriptors to messages, replies to bytes |
//! | `session` | what a client asks for, command by command |
//! | `memory`, `dma` | client memory, and transfers in it |
//! | `outputs` | what a device does to the world |
//! | `bar_memory` | BARs that clients map |
//! | `irq_fds`, `eventfd` | interrupts and wake-up notices |
//! | [`mod@line`] | the other end of a character line |
//! | `doorbells` | registers that clients write by eventfd |
//! | [`control`] | the control socket's language |
//! | [`listen`] | sockets by path or descriptor |
//! | [`cli`] | the command line around a server (feature `cli`) |
//! | [`sandbox`] | what a server gives up before it serves |
//! | [`ssdt`] | the ACPI table through which a guest cuts the power |
//! | `sys` | all the unsafe code there is |
#![deny(unsafe_code)]

#[cfg(feature = "cli")]
pub mod cli;
pub mod client;
pub mod clock;
pub mod control;
pub mod line;
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
mod connection;
mod dma;
mod doorbells;
mod eventfd;
mod irq_fds;
mod memory;
mod migration;
mod outputs;
mod ratelimit;
mod reactor;
mod session;
mod sys;

pub use client::{Client, ClientError};
pub use memory::ClientMemory;
pub use served::{Endpoint, ServedFunction, ServedSlot};
pub use server::{Handle, Server, ServerError};
pub use settings::{PollMode, Settings};
pub use {pci_device_models as models, vfio_user_protocol as protocol};
