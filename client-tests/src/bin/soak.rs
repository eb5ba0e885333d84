//! `soak [--minutes N] [--dormouse PATH] [-- SERVE_OPTION…]`: the daemon under all loads at once.
//!
//! Fails as soon as an item is lost, doubled or wrong, or at the end if the daemon has grown.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use client_tests::beside;
use client_tests::soak::{self, Served};

/// Runs a daemon under mixed load and counts what was sent and what arrived.
#[derive(Debug, Parser)]
struct Arguments {
    /// Duration in minutes
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// The program to run [default: the dormouse beside this one]
    #[arg(long)]
    dormouse: Option<PathBuf>,
    /// More options of `dormouse serve`
    #[arg(last = true)]
    serve: Vec<OsString>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let dormouse = beside::dormouse(arguments.dormouse)?;
    let time = Duration::try_from_secs_f64(60.0 * arguments.minutes).context("--minutes")?;
    let mut served = Served::start(&dormouse, &arguments.serve)?;
    let begun = Instant::now();
    let mut told = begun;
    let report = soak::run(&mut served, time, |report| {
        if told.elapsed() >= Duration::from_secs(60) {
            told = Instant::now();
            let [.., now] = report.figures;
            println!(
                "{:>4} min  {} KiB resident, {} descriptors, {} mappings",
                begun.elapsed().as_secs() / 60,
                now.rss,
                now.fds,
                now.mappings
            );
        }
    })?;
    print!("{}", report.tally);
    let moments = ["at the start", "after a minute", "at the end"];
    for (when, figures) in moments.iter().zip(report.figures) {
        println!(
            "{when:<15} {:>8} KiB resident, {:>4} descriptors, {:>4} mappings",
            figures.rss, figures.fds, figures.mappings
        );
    }
    report.judge()?;
    println!("nothing lost, doubled or wrong in {} rounds", report.rounds);
    Ok(())
}
