//! A soak: a daemon under everything at once, for as long as one likes.
//!
//! The daemon is a process of its own with a function for each [load](LOADS). Time is cut into
//! rounds. In a round all loads run side by side, each with a client of its own, and count what they
//! sent and what arrived; at its end every client is gone, so that the daemon has to be back at the
//! descriptors that it began with, and what memory it holds can be compared.

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

/// How long a round lasts.
const ROUND: Duration = Duration::from_secs(5);
/// When the daemon is looked at for the first time under load.
const FIRST_MINUTE: Duration = Duration::from_secs(60);

/// What one client does until its time is up.
pub struct Load {
    /// What it is called.
    pub name: &'static str,
    /// Overrides of the test function's profile.
    pub set: &'static [&'static str],
    run: fn(&Place, &mut Tally, Instant) -> Result<()>,
}

/// Where a load finds its function.
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

/// What a soak came to.
#[derive(Debug)]
pub struct Report {
    /// What was sent and what arrived.
    pub tally: Tally,
    /// The daemon before the first round, after the first minute, and at the end.
    pub figures: [Figures; 3],
    /// Rounds played.
    pub rounds: u32,
}

impl Report {
    /// Whether everything arrived once, and the daemon holds no more than it did.
    ///
    /// # Errors
    /// What is wrong.
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

/// Plays rounds for `time`. `tell` is called after each.
///
/// # Errors
/// A load met something that it should not, or the daemon is gone or holds descriptors it should not.
pub fn run(served: &mut Served, time: Duration, mut tell: impl FnMut(&Report)) -> Result<Report> {
    let first = served.figures()?;
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

/// All loads side by side.
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
