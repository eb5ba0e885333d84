//! The page that is made from a table, for people.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Table;
use super::faults::{self, page as faults_page};
use super::traps::{self, Traps};

/// The tables of behaviour.
pub const TABLES: [&str; 5] = ["pci-function", "vfio-pm", "slot", "port", "hot-plug"];

/// The tables that make pages.
pub const PAGES: [&str; 6] = [
    "pci-function",
    "vfio-pm",
    "slot",
    "port",
    "hot-plug",
    faults::NAME,
];

/// Returns the path of a table's page.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/behaviour");
    docs.join(name).with_extension("md")
}

/// Returns the page of the table `name`. The page of low power ends with the mistakes that its rows
/// catch.
///
/// # Errors
/// The table has a mistake.
pub fn make(name: &str) -> Result<String> {
    if name == faults::NAME {
        return faults_page::make();
    }
    let mut page = rows(name, &Table::load(name)?);
    if name == traps::ROWS {
        Traps::load()?.append(&mut page);
    }
    Ok(page)
}

fn rows(name: &str, table: &Table) -> String {
    let mut page = String::new();
    let shown = table
        .row
        .iter()
        .filter(|row| row.not_here.is_none())
        .count();
    // Writing to a string does not fail.
    let _ = write!(
        page,
        "<!-- Made from client-tests/tables/{name}.toml by `cargo run -p client-tests --bin behaviour-docs`. -->\n\n\
         # {title}\n\n{introduction}\n\n\
         The table has {rows} rows. Tests against a running server show {shown} of them.\n\
         [The table itself](../../client-tests/tables/{name}.toml) has the steps of each row.\n\n\
         ```sh\n\
         cargo test -p client-tests --test behaviour           # all rows\n\
         cargo test -p client-tests --test behaviour -- {first}     # one row\n\
         ```\n",
        title = table.title,
        introduction = table.introduction.trim(),
        rows = table.row.len(),
        first = table.row.first().map_or("", |row| &row.id),
    );
    let has_dialects = table.row.iter().any(|row| row.dialect.is_some());
    let (heading, rule) = if has_dialects {
        ("Dialect | ", "---|")
    } else {
        ("", "")
    };
    for section in &table.section {
        let _ = write!(
            page,
            "\n## {}\n\n| # | {heading}Given | When | Then | Source |\n|---|{rule}---|---|---|---|\n",
            section.title
        );
        for row in table.rows_of(section) {
            let mark = if row.not_here.is_some() { " *" } else { "" };
            let dialect = row.dialect.iter().map(|dialect| format!("{dialect} | "));
            let _ = writeln!(
                page,
                "| {}{mark} | {}{} | {} | {} | {} |",
                row.id,
                dialect.collect::<String>(),
                row.given,
                row.when,
                row.then,
                row.source
            );
        }
    }
    let elsewhere = table
        .row
        .iter()
        .filter_map(|row| Some((row, row.not_here.as_ref()?)));
    let mut heading =
        Some("\n## Rows that other tests show (*)\n\n| # | Reason and test |\n|---|---|\n");
    for (row, reason) in elsewhere {
        page.push_str(heading.take().unwrap_or_default());
        let _ = writeln!(page, "| {} | {reason} |", row.id);
    }
    page
}
