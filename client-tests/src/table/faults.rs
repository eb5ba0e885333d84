//! The table of faults: what goes wrong with a device, and what a client and Linux make of it.
//!
//! `tables/faults.toml` has one fault in each row. The harness plays a row's steps several times:
//! with the fault in the profile, with the fault set at the control socket, each twice, with the
//! fault on the command line of the program, and with a save and a restore in another server where
//! the row has the step `restore`. All of these have to give the same answers, the same events and
//! strikes at the same ticks of the device's time.
//!
//! ```toml
//! [[row]]
//! id = "NR1"
//! name = "late after a function level reset"
//! when = "reset flr"                       # the fault
//! what = "not-ready 300ms"
//! at = "0s 1s"                             # the ticks of its strikes
//! client = "all ones for 300 ms"           # in words: what a client sees
//! linux = "waits for the function"         # in words: what Linux does
//! source = "pci.c `pci_dev_wait`"
//! profile = "A"                            # of tables/profiles, or that of the table
//! with = "hot"                             # choices of the table
//! set = ["host.suspend-delay-ms=0"]        # further overrides of profile keys
//! steps = ["ctl reset flr", "cfg2 0 ? ffff", "restore", "advance 300ms", "cfg2 0 ? 1234"]
//! ```

pub(super) mod page;
mod play;
mod program;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dormouse::control::Span;
use pci_device_models::fault::Fault;
use serde::Deserialize;

use super::step::Step;
use super::{Listed, Table};
use crate::daemon::Spec;
use play::Play;

/// The name of the table.
pub const NAME: &str = "faults";

/// The table of faults.
pub type FaultTable = Table<FaultRow>;

/// A row: one fault.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FaultRow {
    /// Letters of the section and number.
    pub id: String,
    /// Name for the reader.
    pub name: String,
    /// Occasion of the fault.
    pub when: String,
    /// The failure.
    pub what: String,
    /// The result that a client sees.
    pub client: String,
    /// The reaction of Linux.
    pub linux: String,
    /// Source of both.
    pub source: String,
    /// Ticks at which the fault strikes, as durations since the start.
    at: String,
    #[serde(default)]
    profile: String,
    #[serde(default)]
    with: String,
    #[serde(default)]
    set: Vec<String>,
    steps: Vec<String>,
}

impl Listed for FaultRow {
    fn id(&self) -> &str {
        &self.id
    }

    fn check(&self, table: &FaultTable) -> Result<()> {
        self.fault()?;
        self.strikes()?;
        table.spec(self)?;
        let restores = self.steps.iter().filter(|step| *step == "restore").count();
        ensure!(restores == 1, "has {restores} steps `restore`; write one");
        table.steps(self).map(drop)
    }
}

impl FaultTable {
    fn steps(&self, row: &FaultRow) -> Result<Vec<(String, Step)>> {
        let steps = self.words.steps(&row.steps, None)?;
        ensure!(
            !steps.iter().any(|(_, step)| step.needs_controller()),
            "a row of faults has no platform controller"
        );
        Ok(steps)
    }

    fn spec(&self, row: &FaultRow) -> Result<Spec> {
        let profile = match &*row.profile {
            "" => &self.profile,
            profile => profile,
        };
        let mut spec = Spec::named(profile)?;
        for choice in row.with.split_whitespace() {
            let set = self.choices.get(choice);
            spec = spec.set(set.with_context(|| format!("`{choice}` is no choice"))?);
        }
        Ok(spec.set(&row.set))
    }

    /// Tests a row. `program` is the program `dormouse` with its first arguments, for the fault on the
    /// command line; without it, this way is left out.
    ///
    /// # Errors
    /// A step did not find the expected value, or two runs differ. The error names the step.
    pub fn show(&self, row: &FaultRow, program: Option<(&Path, &[&str])>) -> Result<()> {
        let play = Play {
            spec: self.spec(row)?,
            fault: row.fault()?,
            steps: self.steps(row)?,
            takes_time: row.with.split_whitespace().any(|choice| choice == "real"),
        };
        let played = play.in_all_ways(&row.strikes()?, program);
        played.with_context(|| format!("{}, {}", row.id, row.name))
    }
}

impl FaultRow {
    fn fault(&self) -> Result<Fault> {
        Ok(Fault::new(&self.when, &self.what)?)
    }

    /// Returns the times of the strikes.
    fn strikes(&self) -> Result<Vec<Duration>> {
        let words = self.at.split_whitespace();
        let spans = words.map(|word| Ok(word.parse::<Span>().map_err(anyhow::Error::msg)?.into()));
        spans.collect()
    }
}

#[cfg(test)]
mod tests;
