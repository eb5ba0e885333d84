//! The folder of tables and their profiles.

use std::path::{Path, PathBuf};

/// Returns the folder of tables and their profiles.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tables")
}
