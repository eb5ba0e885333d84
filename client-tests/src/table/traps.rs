//! Typical mistakes in emulations of low power, each with the rows and tests that catch it.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::Table;
use super::files::folder;

/// The table that contains the rows.
pub(super) const ROWS: &str = "vfio-pm";

/// `tables/traps.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traps {
    trap: Vec<Trap>,
}

/// A typical mistake.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trap {
    /// The mistake.
    what: String,
    /// Rows that fail if the mistake is made.
    #[serde(default)]
    rows: Vec<u32>,
    /// Tests that fail if the mistake is made, as `FILE::NAME`, with the file's path from the
    /// project's root.
    #[serde(default)]
    tests: Vec<String>,
}

impl Traps {
    /// Loads and checks the traps: every named row and test exists, and each trap names some.
    ///
    /// # Errors
    /// The table has a mistake, which the error describes.
    pub fn load() -> Result<Self> {
        let path = folder().join("traps.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let traps: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
        let table: Table = Table::load(ROWS)?;
        let shown: BTreeSet<&str> = table
            .row
            .iter()
            .filter(|row| row.not_here.is_none())
            .map(|row| row.id.as_str())
            .collect();
        for (number, trap) in (1..).zip(&traps.trap) {
            trap.check(&shown)
                .with_context(|| format!("trap {number}: {}", trap.what))?;
        }
        Ok(traps)
    }

    /// Returns their number.
    #[must_use]
    pub fn len(&self) -> usize {
        self.trap.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.trap.is_empty()
    }

    /// Appends the traps to the page of their rows.
    pub(super) fn append(&self, page: &mut String) {
        page.push_str(
            "\n## Common mistakes\n\nThe rows and tests in the table fail if an implementation makes the mistake.\n\n\
             | # | Mistake | Rows | Tests |\n|---|---|---|---|\n",
        );
        for (number, trap) in (1..).zip(&self.trap) {
            let rows: Vec<String> = trap.rows.iter().map(u32::to_string).collect();
            let tests: Vec<String> = trap.tests.iter().map(|test| format!("`{test}`")).collect();
            // Writing to a string does not fail.
            let _ = writeln!(
                page,
                "| {number} | {} | {} | {} |",
                trap.what,
                rows.join(", "),
                tests.join(", ")
            );
        }
    }
}

impl Trap {
    fn check(&self, shown: &BTreeSet<&str>) -> Result<()> {
        ensure!(
            !self.rows.is_empty() || !self.tests.is_empty(),
            "no row and no test would notice it"
        );
        for row in &self.rows {
            ensure!(
                shown.contains(row.to_string().as_str()),
                "row {row} of {ROWS} is not shown"
            );
        }
        for test in &self.tests {
            let (file, name) = test.split_once("::").context("expects FILE::NAME")?;
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
            let text = fs::read_to_string(&path).with_context(|| file.to_owned())?;
            ensure!(
                text.contains(&format!("fn {name}(")),
                "{file} has no test {name}"
            );
        }
        Ok(())
    }
}
