//! Walks the behaviour tables: one test for each row, named by its number and what must come.
//!
//! `cargo test -p client-tests --test behaviour H1` walks row H1, without a number all of them.

use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::Result;
use client_tests::table::{Table, page};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> Result<()> {
    let mut arguments = Arguments::from_args();
    // `H1` means that row, not H10 to H19 as well.
    if let Some(filter) = &mut arguments.filter
        && filter.ends_with(|c: char| c.is_ascii_digit())
    {
        filter.push(' ');
    }
    let has_lspci = has_lspci();
    if !has_lspci {
        println!("lspci of the package pciutils is not installed: rows that need it are ignored");
    }
    let mut trials = Vec::new();
    for name in page::PAGES {
        let table = Arc::new(Table::load(name)?);
        let elsewhere = table.row.iter().filter(|row| row.not_here.is_some());
        if !arguments.list {
            let (rows, elsewhere) = (table.row.len(), elsewhere.count());
            println!("{name}: {rows} rows, {elsewhere} of them shown elsewhere");
        }
        for (at, row) in table.row.iter().enumerate() {
            if row.not_here.is_some() {
                continue;
            }
            let ignored = !has_lspci && table.needs_lspci(row)?;
            let title = format!("{} {}: {}", row.id, row.when, row.then);
            let table = Arc::clone(&table);
            let walk = move || {
                let shown = table.show(&table.row[at]);
                shown.map_err(|error| Failed::from(format!("{name}: {error:#}")))
            };
            trials.push(Trial::test(title, walk).with_ignored_flag(ignored));
        }
    }
    libtest_mimic::run(&arguments, trials).exit()
}

fn has_lspci() -> bool {
    let mut lspci = Command::new("lspci");
    let lspci = lspci.arg("--version").stdout(Stdio::null());
    lspci.status().is_ok_and(|status| status.success())
}
