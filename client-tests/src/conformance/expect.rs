//! Differences that a server's authors declare.
//!
//! ```toml
//! [differences]
//! "dma-unmap.unknown" = "succeeds: clients with an IOMMU of their own take back whole ranges"
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Names of failing checks, with the server's behaviour and its reason.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    differences: BTreeMap<String, String>,
}

impl Expected {
    /// Reads and checks a document; `origin` names it in errors.
    ///
    /// # Errors
    /// The document is not TOML of this form, names a check that does not exist, or gives no
    /// reason.
    pub fn parse(origin: &str, text: &str) -> Result<Self> {
        let expected: Self = toml::from_str(text).with_context(|| origin.to_owned())?;
        for (name, reason) in &expected.differences {
            let known = super::checks().any(|check| check.name == name);
            ensure!(known, "{origin}: there is no check {name}");
            ensure!(!reason.trim().is_empty(), "{origin}: {name} has no reason");
        }
        Ok(expected)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read; and those of [`Self::parse`].
    pub fn read(path: &Path) -> Result<Self> {
        let origin = path.display().to_string();
        let text = fs::read_to_string(path).with_context(|| origin.clone())?;
        Self::parse(&origin, &text)
    }

    /// Adds the differences of another document.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.differences.extend(other.differences);
        self
    }

    /// Returns the reason for which a check is expected to fail, if it is.
    pub(super) fn reason(&self, name: &str) -> Option<&str> {
        self.differences.get(name).map(String::as_str)
    }
}
