//! `costs [--dormouse PATH] [--seconds N] [--only TEXT]`: the dearest inputs of each kind and the harm that
//! they do to others, as a Markdown table.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use client_tests::beside;
use client_tests::costs::{Kind, PLAIN, kinds, markdown, measure, ratios};

/// Looks for the dearest message of each kind, and measures how long others wait for it.
#[derive(Debug, Parser)]
struct Arguments {
    /// The program to run [default: the dormouse beside this one]
    #[arg(long)]
    dormouse: Option<PathBuf>,
    /// Duration of each flood in seconds
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Only kinds whose name contains this, and plain config reads
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Fail if somebody waits longer than this many times as long as under plain config reads
    #[arg(long, value_name = "RATIO")]
    most: Option<f64>,
}

/// Kinds between two measurements of plain config reads.
const BETWEEN: usize = 7;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let dormouse = beside::dormouse(arguments.dormouse)?;
    let time = Duration::try_from_secs_f64(arguments.seconds)?;
    let only = arguments.only.unwrap_or_default();
    let (plain, others): (Vec<Kind>, Vec<Kind>) =
        kinds().into_iter().partition(|kind| kind.name == PLAIN);
    let others: Vec<_> = others
        .into_iter()
        .filter(|kind| kind.name.contains(&only))
        .collect();
    let mut costs = Vec::new();
    let mut failed = Vec::new();
    for kinds in others.chunks(BETWEEN) {
        for kind in plain.iter().chain(kinds) {
            eprintln!("{} …", kind.name);
            match measure(&dormouse, kind, time) {
                Ok(cost) => {
                    eprintln!(
                        "  dearest {:?}, neighbour {:.1?}, status {:.1?}, SIGTERM {:.1?}, {:?} KiB",
                        cost.dearest, cost.neighbour, cost.status, cost.end, cost.resident
                    );
                    costs.push(cost);
                }
                Err(error) => failed.push(format!("{error:#}")),
            }
        }
    }
    print!("{}", markdown(&costs));
    if let Some(most) = arguments.most {
        for cost in &costs {
            let above =
                ratios(cost, &costs).filter(|ratios| ratios.iter().any(|ratio| *ratio > most));
            if let Some(ratios) = above {
                failed.push(format!(
                    "{}: {ratios:.1?} times as long as under {PLAIN}",
                    cost.kind
                ));
            }
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}
