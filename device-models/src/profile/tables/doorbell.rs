//! `[[doorbell]]`, as written.

use serde::Deserialize;

/// `[[doorbell]]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::profile) struct DoorbellTable {
    pub bar: u8,
    pub offset: u64,
    #[serde(default = "dword")]
    pub size: u8,
    #[serde(default)]
    pub datamatch: Option<u64>,
}

const fn dword() -> u8 {
    4
}
