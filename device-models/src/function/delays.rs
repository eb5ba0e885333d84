//! Waiting times that the specification demands of software.

use serde::{Deserialize, Serialize};

/// The function's reaction to software that does not wait as long as PCIe Base §5.9 demands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delays {
    /// The function answers and records nothing.
    Off,
    /// The function answers, and records early accesses.
    #[default]
    Report,
    /// The function is not ready: reads return all ones, writes are lost. It records early accesses
    /// as well.
    Enforce,
}
