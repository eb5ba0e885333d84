//! Default paths of sockets.

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use pci_device_models::slot::FunctionNumber;

/// The place of the function's number in a path.
const NUMBER: &[u8] = b"%n";

/// Returns the default path of the device socket of a function.
pub fn socket(function: &str) -> PathBuf {
    folder().join(format!("dormouse-{function}.sock"))
}

/// Returns the default path of the control socket of a function.
pub fn control(function: &str) -> PathBuf {
    folder().join(format!("dormouse-{function}-ctl.sock"))
}

/// Returns whether a path has a place for the number of a function.
pub fn has_number(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    bytes.windows(NUMBER.len()).any(|bytes| bytes == NUMBER)
}

/// Returns the path of a function: `%n` stands for its number.
pub fn numbered(path: &Path, number: FunctionNumber) -> PathBuf {
    let mut rest = path.as_os_str().as_bytes();
    let mut bytes = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(NUMBER) {
            bytes.extend_from_slice(number.to_string().as_bytes());
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    OsString::from_vec(bytes).into()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_number_of_its_function() {
        let number = FunctionNumber::try_from(3).unwrap();
        for (path, expected) in [
            ("gpu%n.sock", "gpu3.sock"),
            ("%n/%n%", "3/3%"),
            ("%%n", "%3"),
            ("plain", "plain"),
        ] {
            assert_eq!(numbered(Path::new(path), number), Path::new(expected));
            assert_eq!(has_number(Path::new(path)), path != expected);
        }
    }
}
