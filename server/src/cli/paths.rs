//! Default paths of sockets.

use std::env;
use std::path::{Path, PathBuf};

/// Returns the default path of the device socket of a function.
pub fn socket(function: &str) -> PathBuf {
    folder().join(format!("dormouse-{function}.sock"))
}

/// Returns the default path of the control socket of a function.
pub fn control(function: &str) -> PathBuf {
    folder().join(format!("dormouse-{function}-ctl.sock"))
}

/// Returns `$XDG_RUNTIME_DIR` if it is an absolute path, as its specification demands, else the
/// current folder.
fn folder() -> PathBuf {
    env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or_default()
}

/// Returns the absolute path, for printed commands that users run in another folder.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
