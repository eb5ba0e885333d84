//! The page that is made from the table of faults, for people.

use std::fmt::Write;

use anyhow::Result;

use super::{FaultTable, NAME};

/// Makes the page.
///
/// # Errors
/// The table has a mistake.
pub(in crate::table) fn make() -> Result<String> {
    let table = FaultTable::load(NAME)?;
    let mut page = String::new();
    write!(
        page,
        "<!-- Made from client-tests/tables/{NAME}.toml by `cargo run -p client-tests --bin behaviour-docs`. -->\n\n\
         # {title}\n\n{introduction}\n\n\
         The table has {rows} rows. [The table itself](../../client-tests/tables/{NAME}.toml) has the steps of each.\n\n\
         ```sh\n\
         cargo test -p client-tests --test behaviour -- {first}     # one row\n\
         ```\n",
        title = table.title,
        introduction = table.introduction.trim(),
        rows = table.row.len(),
        first = table.row.first().map_or("", |row| &row.id),
    )?;
    for section in &table.section {
        let mut rows = table.rows_of(section).peekable();
        if rows.peek().is_none() {
            continue;
        }
        write!(
            page,
            "\n## {}\n\n\
             | # | Fault | When | What | A client sees | Linux | Source |\n\
             |---|---|---|---|---|---|---|\n",
            section.title
        )?;
        for row in rows {
            writeln!(
                page,
                "| {} | {} | `{}` | `{}` | {} | {} | {} |",
                row.id, row.name, row.when, row.what, row.client, row.linux, row.source
            )?;
        }
    }
    Ok(page)
}
