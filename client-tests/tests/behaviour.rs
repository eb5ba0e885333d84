//! Walks the behaviour tables: one test for each row and dialect, named by the row's number and what
//! must come.
//!
//! `cargo test -p client-tests --test behaviour H1` walks row H1, without a number all of them.
//!
//! With the first argument `dormouse` this program is the program `dormouse`, for the rows that need it in
//! a process of its own.

use std::env;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use anyhow::Result;
use client_tests::table::faults::{self, FaultTable};
use client_tests::table::{Table, page};
use dormouse::cli;
use libtest_mimic::{Arguments, Failed, Trial};
use pci_device_models::model::Registry;

/// The first argument with which this program is `dormouse`.
const DORMOUSE: &str = "dormouse";

fn main() -> Result<ExitCode> {
    if env::args_os().nth(1).is_some_and(|first| first == DORMOUSE) {
        return Ok(cli::run(Registry::builtin(), env::args_os().skip(1)));
    }
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
    for name in page::TABLES {
        let table: Arc<Table> = Arc::new(Table::load(name)?);
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
    trials.extend(faults(only.as_deref())?);
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

/// Returns the tests of the rows of faults.
fn faults(only: Option<&str>) -> Result<Vec<Trial>> {
    let program = Arc::new(env::current_exe()?);
    let table = Arc::new(FaultTable::load(faults::NAME)?);
    let rows = table.row.iter().enumerate();
    let rows = rows.filter(|(_, row)| only.is_none_or(|only| only == row.id));
    let trials = rows.map(|(at, row)| {
        let title = format!("{} {}: {}, {}", row.id, row.name, row.when, row.what);
        let (table, program) = (Arc::clone(&table), Arc::clone(&program));
        Trial::test(title, move || {
            let program = (program.as_path(), [DORMOUSE].as_slice());
            let shown = table.show(&table.row[at], Some(program));
            shown.map_err(|error| Failed::from(format!("{}: {error:#}", faults::NAME)))
        })
    });
    Ok(trials.collect())
}

fn has_lspci() -> bool {
    let mut lspci = Command::new("lspci");
    let lspci = lspci.arg("--version").stdout(Stdio::null());
    lspci.status().is_ok_and(|status| status.success())
}
