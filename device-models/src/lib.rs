//! PCI Express functions as data: registers, capabilities, power states, PME, interrupts and
//! resets; their slot, the host driver above them, and device models behind their BARs.
//!
//! Nothing in this crate knows sockets, file descriptors or clocks. Callers pass the time in and
//! collect effects.
//!
//! | layer | module | stands for |
//! |---|---|---|
//! | function | [`function`], [`config`], [`capability`], [`model`] | silicon |
//! | slot | [`slot`] | platform: power rail, auxiliary power |
//! | host driver | [`host`] | Linux vfio-pci |
//!
//! All three layers name registers and capabilities by [`pci`].
#![forbid(unsafe_code)]

pub mod bench;
pub mod capability;
pub mod config;
pub mod dma;
pub mod dump;
pub mod effect;
pub mod fault;
pub mod function;
pub mod host;
pub mod model;
pub mod pci;
pub mod power;
pub mod profile;
pub mod register;
pub mod slot;
pub mod snapshot;
pub mod time;
pub mod violation;

/// Crates that the macros of [`register`] use.
#[doc(hidden)]
pub mod __register {
    pub use bitfield_struct::bitfield;
    pub use pastey::paste;
    pub use serde;
}
