//! Walks the behaviour tables: one test for each row and dialect, named by the row's number and what
//! must come.
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
    let is_id = |filter: &mut String| {
        let number = filter.trim_start_matches(|c: char| c.is_ascii_uppercase());
        !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())
    };
    let only = arguments.filter.take_if(is_id);
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
            if row.not_here.is_some() || only.as_ref().is_some_and(|only| *only != row.id) {
                continue;
            }
            let ignored = !has_lspci && table.needs_lspci(row)?;
            for dialect in row.dialects() {
                let mark = dialect.map_or_else(String::new, |dialect| format!(" {dialect}"));
                let title = format!("{}{mark} {}: {}", row.id, row.when, row.then);
                let (table, dialect) = (Arc::clone(&table), dialect.map(str::to_owned));
                let walk = move || {
                    let shown = table.show(&table.row[at], dialect.as_deref());
                    shown.map_err(|error| Failed::from(format!("{name}: {error:#}")))
                };
                trials.push(Trial::test(title, walk).with_ignored_flag(ignored));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit()
}

fn has_lspci() -> bool {
    let mut lspci = Command::new("lspci");
    let lspci = lspci.arg("--version").stdout(Stdio::null());
    lspci.status().is_ok_and(|status| status.success())
}
