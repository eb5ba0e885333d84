//! Mistakes in a profile: the place, the problem and the remedy.

use std::fmt;

use thiserror::Error;

/// A mistake in a profile.
///
/// Displays as `FILE:LINE: KEY: problem; remedy`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct ProfileError {
    /// File or name of the profile, with the `--set` text at fault if the file itself is right.
    pub origin: String,
    /// Line in the file, counted from 1. `None` if the file itself is right.
    pub line: Option<usize>,
    /// Path of the key with dots. Empty if the text is not TOML.
    pub key: String,
    /// The problem and the remedy.
    pub message: String,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A mistake with the path of its key, in which arrays count from 0. The document knows the line.
#[derive(Debug)]
pub(super) struct Mistake {
    pub key: String,
    pub message: String,
}

impl Mistake {
    pub(super) fn new(key: impl Into<String>, message: impl ToString) -> Self {
        Self {
            key: key.into(),
            message: message.to_string(),
        }
    }
}
