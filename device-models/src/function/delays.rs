//! Waiting times that software owes the function.

use serde::{Deserialize, Serialize};

/// What the function does about software that does not wait as long as PCIe Base §5.9 demands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delays {
    /// Nothing.
    Off,
    /// Answers, and records who came too early.
    #[default]
    Report,
    /// Is not ready: reads give all ones, writes are lost; records it as well.
    Enforce,
}
