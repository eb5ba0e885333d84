//! Where tables and their profiles are.

use std::path::{Path, PathBuf};

/// The folder that holds tables and their profiles.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tables")
}
