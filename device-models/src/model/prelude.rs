//! The items that every model uses.
//!
//! # Examples
//!
//! A model needs no other import:
//!
//! ```
//! use pci_device_models::model::prelude::*;
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! struct One;
//!
//! impl Model for One {
//!     fn read(&mut self, _: &mut Context<'_>, _: u8, _: u64, _: Lanes) -> u32 { 1 }
//!     fn write(&mut self, _: &mut Context<'_>, _: u8, _: u64, _: DwordWrite) {}
//!     fn reset(&mut self, _: &mut Context<'_>, _: ResetKind) {}
//! }
//! # let mut bench = pci_device_models::bench::Bench::new(Box::new(One))?;
//! # assert_eq!(bench.read(0, 0), 1);
//! # Ok::<(), pci_device_models::profile::ProfileError>(())
//! ```

pub use std::time::Duration;

pub use serde::{Deserialize, Serialize};

pub use super::{Context, Model};
pub use crate::register::{DwordWrite, Lanes, ResetKind, register_bits, registers};
pub use crate::time::Time;
