//! The list of checks in docs/conformance.md.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::AREAS;

/// Marker above the list.
const BEGIN: &str =
    "<!-- Made by `cargo run -p client-tests --bin conformance -- --write-docs`. -->\n";

/// Returns the path of the page.
#[must_use]
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md")
}

/// Returns the page with the present list.
///
/// # Errors
/// The page has no place for the list.
pub fn make(page: &str) -> Result<String> {
    let (text, _) = page
        .split_once(BEGIN)
        .with_context(|| format!("docs/conformance.md lacks the line {}", BEGIN.trim_end()))?;
    let mut made = format!("{text}{BEGIN}");
    // Writing to a string does not fail.
    let _ = writeln!(made, "\n{} checks.", super::checks().count());
    for area in &AREAS {
        let _ = write!(
            made,
            "\n### {}\n\n| Check | Rule | From |\n|---|---|---|\n",
            area.title
        );
        for check in area.checks {
            let _ = writeln!(
                made,
                "| `{}` | {} | {} |",
                check.name, check.rule, check.source
            );
        }
    }
    Ok(made)
}
