//! Runs the targets of [`client_tests::fuzz`] with generated inputs.
//!
//! It needs only the stable toolchain. The inputs depend on the seed alone, so a finding is
//! repeatable. The input of a finding is kept in a file, which `fuzz TARGET FILE` plays alone.
#![forbid(unsafe_code)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use client_tests::fuzz::{self, Mutator, Target, files};

/// Number of watchdog checks after which an execution is considered endless.
const PATIENCE: u32 = 20;
/// Time between two watchdog checks. It passes at most once while the program is stopped.
const BETWEEN_WATCHES: Duration = Duration::from_secs(1);
/// Bytes by which RSS may grow after the first executions.
const GROWTH: u64 = 64 << 20;
/// Number of executions between two checks of memory.
const BETWEEN_LOOKS: u64 = 16_384;

#[derive(Debug, Parser)]
#[command(about = "Throw made-up inputs at a target and count them")]
struct Arguments {
    /// decoder, session, config, model, profile, control or restore
    target: String,
    /// Play these inputs instead of making any
    files: Vec<PathBuf>,
    /// Executions
    #[arg(long, default_value_t = 1_000_000)]
    runs: u64,
    /// End after so many seconds, whatever the executions
    #[arg(long)]
    seconds: Option<u64>,
    /// Other inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder for the inputs of findings
    #[arg(long, default_value = ".")]
    findings: PathBuf,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let name = &arguments.target;
    let target = fuzz::target(name).with_context(|| format!("there is no target {name}"))?;
    if !arguments.files.is_empty() {
        for file in &arguments.files {
            println!("{}", file.display());
            (target.run)(&fs::read(file)?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    Campaign::new(target, arguments)?.run()
}

/// The state that the watchdog checks.
#[derive(Default)]
struct Present {
    executions: AtomicU64,
    input: Mutex<Vec<u8>>,
}

struct Campaign {
    target: Target,
    arguments: Arguments,
    mutator: Mutator,
    present: Present,
}

impl Campaign {
    fn new(target: Target, arguments: Arguments) -> Result<Self> {
        let mut seeds = Vec::new();
        for kind in ["corpus", "regressions"] {
            let inputs = files::inputs(kind, target.name)?;
            seeds.extend(inputs.into_iter().map(|(_, data)| data));
        }
        let words = files::words(target.name)?;
        Ok(Self {
            mutator: Mutator::new(arguments.seed, seeds, words, target.longest),
            target,
            arguments,
            present: Present::default(),
        })
    }

    fn run(mut self) -> Result<ExitCode> {
        let present = std::mem::take(&mut self.present);
        let kept = self.file("hang");
        std::thread::scope(|scope| {
            let watch = scope.spawn(|| watch(&present, &kept));
            let outcome = self.execute(&present);
            present.executions.store(u64::MAX, Ordering::Relaxed);
            watch.thread().unpark();
            outcome
        })
    }

    fn execute(&mut self, present: &Present) -> Result<ExitCode> {
        let started = Instant::now();
        let end = self.arguments.seconds.map(Duration::from_secs);
        let mut least = u64::MAX;
        let mut input = Vec::new();
        let mut done = 0;
        while done < self.arguments.runs && end.is_none_or(|end| started.elapsed() < end) {
            self.mutator.next(&mut input);
            let mut shown = present.input.lock().unwrap_or_else(PoisonError::into_inner);
            shown.clone_from(&input);
            drop(shown);
            let run = AssertUnwindSafe(|| (self.target.run)(&input));
            if catch_unwind(run).is_err() {
                let file = self.file(&format!("{:016x}", fingerprint(&input)));
                fs::write(&file, &input)?;
                eprintln!("execution {done}: the input is in {}", file.display());
                return Ok(ExitCode::FAILURE);
            }
            done += 1;
            present.executions.store(done, Ordering::Relaxed);
            if done % BETWEEN_LOOKS == 0 {
                let resident = resident()?;
                least = least.min(resident);
                if resident > least + GROWTH {
                    bail!("RSS grew from {least} to {resident} bytes in {done} executions");
                }
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "{}: {done} executions in {seconds:.0} s, {:.0} a second, no finding; RSS {} KiB",
            self.target.name,
            done as f64 / seconds,
            resident()? / 1024
        );
        Ok(ExitCode::SUCCESS)
    }

    fn file(&self, name: &str) -> PathBuf {
        let name = format!("{}-{name}", self.target.name);
        self.arguments.findings.join(name)
    }
}

/// Ends the program if an execution does not end.
fn watch(present: &Present, kept: &PathBuf) {
    let (mut before, mut seen) = (u64::MAX - 1, 0);
    loop {
        std::thread::park_timeout(BETWEEN_WATCHES);
        let now = present.executions.load(Ordering::Relaxed);
        if now == u64::MAX {
            return;
        }
        seen = if now == before { seen + 1 } else { 0 };
        if seen == PATIENCE {
            let input = present.input.lock().unwrap_or_else(PoisonError::into_inner);
            let written = fs::write(kept, &*input);
            eprintln!(
                "execution {now} does not end: {} {written:?}",
                kept.display()
            );
            std::process::exit(1);
        }
        before = now;
    }
}

/// Returns the resident memory of this process in bytes.
fn resident() -> Result<u64> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').nth(1).context("statm has two fields")?;
    Ok(pages.parse::<u64>()? * 4096)
}

/// Returns a name for an input (FNV-1a).
fn fingerprint(input: &[u8]) -> u64 {
    input.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
