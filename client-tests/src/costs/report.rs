//! The table of costs.

use std::fmt::Write;
use std::time::Duration;

use super::{Cost, PLAIN};

/// Returns the longest waits of neighbour, control client and SIGTERM as ratios to those of plain config
/// reads, if these were measured: of several measurements, the one in the middle counts.
#[must_use]
pub fn ratios(cost: &Cost, all: &[Cost]) -> Option<[f64; 3]> {
    let waits = |cost: &Cost| [cost.neighbour, cost.status, cost.end];
    let plain = all.iter().filter(|cost| cost.kind == PLAIN).map(waits);
    let plain: Vec<[Duration; 3]> = plain.collect();
    let middle = |at: usize| {
        let mut times: Vec<_> = plain.iter().map(|waits| waits[at]).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    };
    let plain = [middle(0)?, middle(1)?, middle(2)?];
    let mine = waits(cost);
    Some([0, 1, 2].map(|at: usize| mine[at].as_secs_f64() / plain[at].as_secs_f64()))
}

/// Returns the costs as a Markdown table.
#[must_use]
pub fn markdown(all: &[Cost]) -> String {
    let mut table = String::from(
        "| input | dearest size | refused at | neighbour | `ctl status` | SIGTERM | process gone | resident memory | after | log in 10 s |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for cost in all {
        let refused = cost.refused.map_or_else(
            || "never".to_owned(),
            |(size, errno)| format!("{size} ({})", crate::raw::wire::name(errno)),
        );
        let [neighbour, status, end] = ratios(cost, all).unwrap_or_default();
        let [before, most, after] = cost.resident;
        // Writing to a string does not fail.
        let _ = writeln!(
            table,
            "| {} | {} | {refused} | {} ({neighbour:.1}) | {} ({status:.1}) | {} ({end:.1}) | {} | {} MiB | {:+.0} % | {} B |",
            cost.kind,
            cost.dearest.0,
            time(cost.neighbour),
            time(cost.status),
            time(cost.end),
            time(cost.gone),
            most / 1024,
            (after as f64 / before as f64 - 1.0) * 100.0,
            cost.log_bytes,
        );
    }
    table
}

fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.1} s")
    }
}
