//! What every model is written with.

pub use std::time::Duration;

pub use serde::{Deserialize, Serialize};

pub use super::{Context, Model};
pub use crate::register::{DwordWrite, Lanes, ResetKind};
pub use crate::time::Time;
