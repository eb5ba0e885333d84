//! The program `dormouse`, as programs of this crate find it.

use std::path::PathBuf;

use anyhow::{Result, ensure};

/// Returns the program that was `named`, or the `dormouse` beside the running program.
///
/// # Errors
/// There is no such file.
pub fn dormouse(named: Option<PathBuf>) -> Result<PathBuf> {
    let dormouse = match named {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("dormouse"),
    };
    ensure!(
        dormouse.exists(),
        "{} is missing: build it in the same profile with `cargo build -p dormouse`",
        dormouse.display()
    );
    Ok(dormouse)
}
