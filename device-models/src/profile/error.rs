//! What is wrong with a profile, where, and what would be right.

use std::fmt;

use thiserror::Error;

/// A mistake in a profile.
///
/// Displays as `FILE:LINE: KEY: what is wrong; what would be right`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct ProfileError {
    /// File or name of the profile, with the `--set` text at fault if the file itself is right.
    pub origin: String,
    /// Line in the file, from 1 on; none if the file itself is right.
    pub line: Option<usize>,
    /// Path of the key in dots; empty where the text is no TOML.
    pub key: String,
    /// What is wrong and what would be right.
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

/// A mistake by the path of its key, in which arrays count from 0. The document knows the line.
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
