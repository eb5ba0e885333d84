//! The items that every model uses.

pub use std::time::Duration;

pub use serde::{Deserialize, Serialize};

pub use super::{Context, Model};
pub use crate::register::{DwordWrite, Lanes, ResetKind, register_bits, registers};
pub use crate::time::Time;
