//! PCI Express functions as data: registers, capabilities, power states, PME, interrupts, resets;
//! the slot they sit in, the host driver above them, and device models behind their BARs.
//!
//! Nothing here knows sockets, file descriptors or clocks. Time goes in, effects come out.
//!
//! | layer | module | stands for |
//! |---|---|---|
//! | function | [`function`], [`config`], [`capability`], [`model`] | silicon |
//! | slot | [`slot`] | platform: power rail, auxiliary power |
//! | host driver | [`host`] | Linux vfio-pci |
//!
//! All three name registers and capabilities by [`pci`].
#![forbid(unsafe_code)]

// What is made of register tables says where it finds things as it would in another crate.
extern crate self as pci_device_models;

pub mod bench;
pub mod capability;
pub mod config;
pub mod dma;
pub mod effect;
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
