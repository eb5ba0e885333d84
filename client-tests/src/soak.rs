//! A soak test: a daemon under all loads at once, for any time.
//!
//! The daemon is a process of its own with a function for each [load](LOADS). Time is divided into
//! rounds. In a round all loads run side by side, each with a client of its own, and count sent and
//! received items. At its end every client has gone. The daemon must then have as many descriptors
//! as at its start, and its memory can be compared.

mod control;
mod faults;
mod interrupts;
mod low_power;
mod messages;
mod reconnects;
mod registers;
mod resets;
mod server;
mod tally;
mod transfers;

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

pub use server::{Figures, Served};
pub use tally::Tally;

/// Duration of a round.
const ROUND: Duration = Duration::from_secs(5);
/// Time under load at which the daemon is measured first.
const FIRST_MINUTE: Duration = Duration::from_secs(60);

/// The work of one client until its time is up.
pub struct Load {
    /// Name of the load.
    pub name: &'static str,
    /// Overrides of the test function's profile.
    pub set: &'static [&'static str],
    run: fn(&Place, &mut Tally, Instant) -> Result<()>,
}

/// The sockets of a load's function.
#[derive(Clone, Debug)]
pub struct Place {
    /// Socket of the function.
    pub socket: PathBuf,
    /// Its control socket.
    pub control: PathBuf,
}

/// All loads. Each has a function of its own.
pub const LOADS: &[Load] = &[
    Load {
        name: "registers",
        set: &["bar.2.size=0x100000"],
        run: registers::run,
    },
    Load {
        name: "transfers",
        set: &[],
        run: transfers::run,
    },
    Load {
        name: "messages",
        set: &[],
        run: messages::run,
    },
    Load {
        name: "interrupts",
        set: &[],
        run: interrupts::run,
    },
    Load {
        name: "low-power-d3hot",
        set: &[
            "platform.deepest-state=d3hot",
            "capabilities.pm.no-soft-reset=true",
        ],
        run: low_power::keeping,
    },
    Load {
        name: "low-power-d3cold",
        set: &["platform.deepest-state=d3cold"],
        run: low_power::losing,
    },
    Load {
        name: "resets",
        set: &[],
        run: resets::run,
    },
    Load {
        name: "reconnects",
        set: &[],
        run: reconnects::run,
    },
    Load {
        name: "faults",
        set: &[],
        run: faults::run,
    },
    Load {
        name: "control",
        set: &[],
        run: control::run,
    },
];

/// The result of a soak test.
#[derive(Debug)]
pub struct Report {
    /// Counts of sent and received items.
    pub tally: Tally,
    /// Resources of the daemon before the first round, after the first minute, and at the end.
    pub figures: [Figures; 3],
    /// Number of rounds.
    pub rounds: u32,
}

impl Report {
    /// Checks that everything arrived once, and that the daemon holds no more than before.
    ///
    /// # Errors
    /// The failed check.
    pub fn judge(&self) -> Result<()> {
        self.tally.judge()?;
        // Within a minute everything has been in use that there is.
        let [_, minute, end] = self.figures;
        ensure!(
            end.rss * 100 <= minute.rss * 101,
            "resident memory grew from {} KiB after a minute to {} KiB, which is more than 1 %",
            minute.rss,
            end.rss
        );
        Ok(())
    }
}

/// Runs rounds for `time`. `tell` is called after each.
///
/// # Errors
/// A load observed an error, or the daemon has gone or holds additional descriptors.
pub fn run(served: &mut Served, time: Duration, mut tell: impl FnMut(&Report)) -> Result<Report> {
    let first = served.at_rest()?;
    let mut report = Report {
        tally: Tally::default(),
        figures: [first; 3],
        rounds: 0,
    };
    let begun = Instant::now();
    while begun.elapsed() < time {
        let left = time.saturating_sub(begun.elapsed());
        let until = Instant::now() + ROUND.min(left);
        report.tally.absorb(round(served, until)?);
        report.rounds += 1;
        let now = served.settled(first.fds)?;
        let [_, minute, end] = &mut report.figures;
        *end = now;
        if begun.elapsed() <= FIRST_MINUTE + ROUND {
            *minute = now;
        }
        tell(&report);
    }
    Ok(report)
}

/// Runs all loads side by side.
fn round(served: &Served, until: Instant) -> Result<Tally> {
    let mut all = Tally::default();
    thread::scope(|scope| {
        let threads: Vec<_> = LOADS
            .iter()
            .zip(served.places())
            .map(|(load, place)| {
                let played = scope.spawn(move || {
                    let mut tally = Tally::default();
                    (load.run)(place, &mut tally, until).map(|()| tally)
                });
                (load.name, played)
            })
            .collect();
        for (name, played) in threads {
            let outcome = played.join().map_err(|_| anyhow!("{name} panicked"))?;
            all.absorb(outcome.with_context(|| name)?);
        }
        Ok(all)
    })
}

impl std::fmt::Debug for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Load").field("name", &self.name).finish()
    }
}
