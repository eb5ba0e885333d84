//! `mappable` of a `[[bar]]`, as written.

use serde::Deserialize;

/// `mappable` of a BAR.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected true, false, or areas: [{ offset = 0x1000, size = 0x1000 }]"
)]
pub(in crate::profile) enum MappableTable {
    /// All memory that may be mapped, or nothing.
    All(bool),
    Areas(Vec<AreaTable>),
}

impl Default for MappableTable {
    fn default() -> Self {
        Self::All(false)
    }
}

/// An item of `mappable`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::profile) struct AreaTable {
    pub offset: u64,
    pub size: u64,
}
