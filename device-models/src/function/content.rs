//! The contents of BARs.

use serde::{Deserialize, Serialize};

/// The content of a BAR. An MSI-X table or PBA lies over either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BarContent {
    /// The device model.
    #[default]
    Model,
    /// Memory, lost when the function loses its internal state.
    Ram,
}
