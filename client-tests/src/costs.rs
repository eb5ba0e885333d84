//! A harness of expensive inputs: it looks for the dearest message of each kind, floods the daemon with
//! it, and measures the harm to others.
//!
//! Each kind has a daemon of its own with two functions in one process: one for the hostile client, one
//! for a well-behaved neighbour. A kind grows the size of its message until the server refuses it, keeps
//! the size that took the server longest, and repeats it. Meanwhile the neighbour reads config space and
//! a control client asks for the status, and the harness keeps the longest wait of each. At the end comes
//! SIGTERM while the flood goes on. The figures count as ratios to those of a flood of plain config reads
//! in the same run, which is measured several times (the one in the middle counts).

mod dearest;
mod kinds;
mod probe;
mod report;
mod server;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

pub use kinds::{Kind, PLAIN, kinds};
pub use report::{markdown, ratios};

use dearest::Dearest;
use probe::Longest;
use server::Served;

/// The answer to a message of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The server did it.
    Served,
    /// The server refused it with this errno.
    Refused(u32),
}

/// Sends the message of a size and waits for the answer.
pub type Ask = Box<dyn FnMut(u64) -> Result<Answer>>;

/// The figures of a kind.
#[derive(Clone, Debug)]
pub struct Cost {
    /// Name of the kind.
    pub kind: &'static str,
    /// The size whose message took longest, and its time.
    pub dearest: (u64, Duration),
    /// The size that the server refused, and the errno.
    pub refused: Option<(u64, u32)>,
    /// Longest wait of a neighbour for a read of config space.
    pub neighbour: Duration,
    /// Longest wait of a control client for the status.
    pub status: Duration,
    /// Time from SIGTERM until the neighbour is disconnected.
    pub end: Duration,
    /// Time from SIGTERM to the end of the process, whose memory the kernel takes back.
    pub gone: Duration,
    /// Resident memory in KiB: before, at most, and after the client has gone.
    pub resident: [u64; 3],
    /// Bytes of log in ten seconds.
    pub log_bytes: u64,
}

/// Measures a kind. The flood lasts `time`.
///
/// # Errors
/// The daemon does not come up, or it ends early: that is a fault of the daemon.
pub fn measure(dormouse: &Path, kind: &Kind, time: Duration) -> Result<Cost> {
    let mut served = Served::start(dormouse, kind.set)?;
    let begun = Instant::now();
    let mut neighbour = probe::neighbour(&served)?;
    let mut status = probe::status(&served)?;
    // Both have been served: what they cost the daemon is there already.
    neighbour()?;
    status()?;
    let program = served.program()?;
    let before = served.resident(program)?;
    let stop = AtomicBool::new(false);
    let (dearest, neighbour, status) = thread::scope(|scope| {
        let neighbour = scope.spawn(|| probe::longest(&stop, &mut neighbour));
        let status = scope.spawn(|| probe::longest(&stop, &mut status));
        let dearest = (kind.start)(&served).and_then(|mut ask| {
            let dearest = Dearest::find(kind, &mut ask)?;
            flood(&mut ask, dearest.size, time)?;
            Ok(dearest)
        });
        stop.store(true, Ordering::Relaxed);
        let join = |waits: thread::ScopedJoinHandle<'_, Result<Longest>>| match waits.join() {
            Ok(longest) => longest,
            Err(_) => bail!("a probe panicked"),
        };
        (dearest, join(neighbour), join(status))
    });
    let alive = served.check_alive();
    let dearest = alive.and(dearest).with_context(|| kind.name.to_owned())?;
    let most = served.most_resident()?;
    let after = served.settled(program, before)?;
    let log_bytes = served.log_bytes()? * 10 / begun.elapsed().as_secs().max(10);
    let [end, gone] = ended(&mut served, kind, dearest.size)?;
    Ok(Cost {
        kind: kind.name,
        dearest: (dearest.size, dearest.time),
        refused: dearest.refused,
        neighbour: neighbour?.0,
        status: status?.0,
        end,
        gone,
        resident: [before, most, after],
        log_bytes,
    })
}

fn flood(ask: &mut Ask, size: u64, time: Duration) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < time {
        ask(size)?;
    }
    Ok(())
}

/// Sends SIGTERM while a client floods the daemon, and returns the times of [`Served::end`].
fn ended(served: &mut Served, kind: &Kind, size: u64) -> Result<[Duration; 2]> {
    /// Enough for the flood to be under way.
    const RUN_UP: Duration = Duration::from_millis(200);
    let places = served.places();
    thread::scope(|scope| {
        let flooding = scope.spawn(move || {
            // It ends with the daemon.
            let Ok(mut ask) = (kind.start)(&places) else {
                return;
            };
            while ask(size).is_ok() {}
        });
        thread::sleep(RUN_UP);
        let took = served.end();
        flooding.join().ok();
        took
    })
}
