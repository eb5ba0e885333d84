//! Measures Dormouse against its peers: `cargo bench -p client-tests [-- OPTIONS]`.
//!
//! Only ratios within one run count. The servers are processes of their own, pinned to a CPU, and
//! take turns: in every round each of them is measured once while the others are stopped, and what is
//! told is the median over the rounds.
//!
//! | server | what it is |
//! |---|---|
//! | floor | answers whatever comes with the same bytes: the cost of the socket alone |
//! | `vfio_user` | the server of that crate, one thread for each function, with a device like Dormouse's |
//! | dormouse | the daemon itself, built for release, as `dormouse serve` runs by default |
#![forbid(unsafe_code)]

mod cases;
mod link;
mod machine;
mod placement;
mod report;
mod rounds;
mod servers;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

use cases::CASES;
use placement::Cpus;
use report::Report;
use servers::Role;

/// Measures Dormouse against its peers.
#[derive(Debug, Parser)]
struct Options {
    /// Rounds of every case; the medians over them are told
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Measure only the cases whose name contains this
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// File for the results; by default beside the program, in the target folder
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Three rounds, to see that everything works
    #[arg(long)]
    quick: bool,
    /// The daemon to measure, in place of the one that is built from this tree
    #[arg(long, value_name = "FILE")]
    dormouse: Option<PathBuf>,
    /// List the cases
    #[arg(long)]
    list: bool,
    /// `cargo bench` says so.
    #[arg(long, hide = true)]
    bench: bool,
    /// Be one of the servers.
    #[command(subcommand)]
    role: Option<Role>,
}

/// Settings of all cases.
#[derive(Debug)]
struct Setting {
    dormouse: PathBuf,
    cpus: Cpus,
    rounds: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(role) = options.role {
        return role.serve();
    }
    if options.list {
        CASES.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    }
    let setting = Setting {
        dormouse: options.dormouse.map_or_else(servers::build_dormouse, Ok)?,
        cpus: Cpus::available()?,
        rounds: if options.quick { 3 } else { options.rounds },
    };
    let mut report = Report::new(machine::describe()?, setting.rounds);
    let wanted = |name: &str| options.only.as_ref().is_none_or(|only| name.contains(only));
    for (name, run) in CASES.iter().filter(|(name, _)| wanted(name)) {
        eprintln!("{name}");
        run(&setting, &mut report).with_context(|| (*name).to_owned())?;
    }
    print!("{report}");
    let file = match options.json {
        Some(file) => file,
        None => std::env::current_exe()?.with_file_name("peers.json"),
    };
    report.write(&file)?;
    println!("As JSON: {}", file.display());
    Ok(())
}
