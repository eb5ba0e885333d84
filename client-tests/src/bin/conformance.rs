//! Judges a vfio-user server by the rules of the protocol: see docs/conformance.md.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use client_tests::conformance::expect::Expected;
use client_tests::conformance::run::run;
use client_tests::conformance::{page, report};

/// Judges a vfio-user server by the rules of the protocol.
///
/// Prints TAP. Exits with 0 if every rule holds, apart from the declared differences, all of which
/// have to show.
#[derive(Debug, Parser)]
struct Arguments {
    /// Path of the server's socket.
    #[arg(long, required_unless_present = "write_docs")]
    socket_path: Option<PathBuf>,
    /// Declared differences, TOML; repeatable.
    #[arg(long)]
    expect: Vec<PathBuf>,
    /// Print one JSON document instead.
    #[arg(long)]
    json: bool,
    /// Time to wait for each reply.
    #[arg(long, default_value_t = 5000, value_name = "MILLISECONDS")]
    patience: u64,
    /// Write the list of checks to docs/conformance.md, and do nothing else.
    #[arg(long, exclusive = true)]
    write_docs: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let Some(socket) = arguments.socket_path else {
        let path = page::path();
        fs::write(&path, page::make(&fs::read_to_string(&path)?)?)?;
        println!("{}", path.display());
        return Ok(ExitCode::SUCCESS);
    };
    let mut expected = Expected::default();
    for path in &arguments.expect {
        expected = expected.and(Expected::read(path)?);
    }
    if !arguments.json {
        println!("{}", report::tap_head());
    }
    let mut number = 0;
    let patience = Duration::from_millis(arguments.patience);
    let run = run(&socket, patience, &expected, |judged| {
        number += 1;
        if !arguments.json {
            println!("{}", report::tap_line(number, judged));
        }
    });
    let run = match run {
        Ok(run) => run,
        Err(error) if arguments.json => return Err(error),
        Err(error) => {
            println!("Bail out! {error:#}");
            return Ok(ExitCode::FAILURE);
        }
    };
    if arguments.json {
        println!("{:#}", report::json(&run));
    } else {
        println!("{}", report::tap_tail(&run));
    }
    Ok(if run.is_fine() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
