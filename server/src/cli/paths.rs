//! Where sockets are when nobody says.

use std::env;
use std::path::{Path, PathBuf};

/// Default place of the device socket of a function.
pub fn socket(function: &str) -> PathBuf {
    folder().join(format!("dormouse-{function}.sock"))
}

/// Default place of its control socket.
pub fn control(function: &str) -> PathBuf {
    folder().join(format!("dormouse-{function}-ctl.sock"))
}

/// `$XDG_RUNTIME_DIR`, which by its specification only counts if it is absolute; else the current
/// folder.
fn folder() -> PathBuf {
    env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or_default()
}

/// The path from the root, for lines that are copied to another folder.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
