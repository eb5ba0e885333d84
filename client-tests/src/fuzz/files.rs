//! Kept inputs, in the folder that `cargo fuzz` uses.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::dictionary;

/// Returns the folder `client-tests/fuzz`.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz"))
}

/// Returns the files of a target in `kind`, `corpus` or `regressions`, by name, or none if that
/// folder does not exist.
///
/// # Errors
/// The files cannot be read.
pub fn inputs(kind: &str, target: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let folder = folder().join(kind).join(target);
    let Ok(entries) = fs::read_dir(&folder) else {
        return Ok(Vec::new());
    };
    let mut inputs = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let data = fs::read(&path).with_context(|| path.display().to_string())?;
        inputs.push((name.into_owned(), data));
    }
    inputs.sort();
    Ok(inputs)
}

/// Returns the words of a target's dictionary.
///
/// # Errors
/// The dictionary cannot be read.
pub fn words(target: &str) -> Result<Vec<Vec<u8>>> {
    let path = folder()
        .join("dictionaries")
        .join(target)
        .with_extension("dict");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    dictionary::parse(&text)
}
