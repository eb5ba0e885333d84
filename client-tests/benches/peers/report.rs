//! The table of results, and the same as JSON.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::machine::Machine;
use crate::placement::Placement;
use crate::rounds::{Metric, Outcome};
use crate::servers::Subject;

/// The subject of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    Floor,
    VfioUser,
    /// The value itself, in the unit of its row.
    Value,
}

/// No more than this is wanted.
#[derive(Debug, Serialize)]
pub struct Target {
    against: Against,
    at_most: f64,
    met: bool,
}

/// One number and what it compares to.
#[derive(Debug, Serialize)]
pub struct Row {
    case: String,
    placement: Placement,
    metric: &'static str,
    ours: f64,
    unit: &'static str,
    to_floor: Option<f64>,
    to_vfio_user: Option<f64>,
    targets: Vec<Target>,
}

impl Row {
    /// A number of its own.
    pub fn new(
        case: impl Into<String>,
        placement: Placement,
        metric: &'static str,
        ours: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            case: case.into(),
            placement,
            metric,
            ours,
            unit,
            to_floor: None,
            to_vfio_user: None,
            targets: Vec::new(),
        }
    }

    /// One of the numbers of a case, in microseconds for each operation.
    pub fn of(
        outcome: &Outcome,
        case: impl Into<String>,
        placement: Placement,
        metric: Metric,
    ) -> Self {
        let ours = outcome.value(Subject::Ours, metric).unwrap_or_default();
        Self {
            to_floor: outcome.ratio(Subject::Floor, metric),
            to_vfio_user: outcome.ratio(Subject::Peer, metric),
            ..Self::new(case, placement, metric.name(), ours / 1000.0, "µs")
        }
    }

    /// With the value of the peer.
    pub fn beside_peer(mut self, peer: f64) -> Self {
        self.to_vfio_user = Some(self.ours / peer);
        self
    }

    /// Sets a target. One about somebody who could not take part is not met.
    pub fn target(mut self, against: Against, at_most: f64) -> Self {
        let reached = match against {
            Against::Floor => self.to_floor,
            Against::VfioUser => self.to_vfio_user,
            Against::Value => Some(self.ours),
        };
        self.targets.push(Target {
            against,
            at_most,
            met: reached.is_some_and(|reached| reached <= at_most),
        });
        self
    }

    /// As [`Self::target`], in one of the placements.
    pub fn target_in(self, placement: Placement, against: Against, at_most: f64) -> Self {
        if self.placement == placement {
            self.target(against, at_most)
        } else {
            self
        }
    }

    fn cells(&self) -> [String; 8] {
        let ratio = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |r| format!("{r:.2}"));
        let target = |target: &Target| {
            let at_most = target.at_most;
            match target.against {
                Against::Floor => format!("≤ {at_most} floor"),
                Against::VfioUser => format!("≤ {at_most} vfio_user"),
                Against::Value => format!("≤ {at_most} {}", self.unit),
            }
        };
        let targets: Vec<String> = self.targets.iter().map(target).collect();
        let met: Vec<&str> = self
            .targets
            .iter()
            .map(|target| if target.met { "yes" } else { "NO" })
            .collect();
        [
            self.case.clone(),
            self.placement.to_string(),
            self.metric.to_owned(),
            format!("{:.2} {}", self.ours, self.unit),
            ratio(self.to_floor),
            ratio(self.to_vfio_user),
            targets.join(", "),
            met.join(", "),
        ]
    }
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    machine: Machine,
    rounds: usize,
    rows: Vec<Row>,
}

impl Report {
    pub const fn new(machine: Machine, rounds: usize) -> Self {
        Self {
            machine,
            rounds,
            rows: Vec::new(),
        }
    }

    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(file, text).with_context(|| file.display().to_string())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine {
            cpu,
            cpus,
            virtual_machine,
            kernel,
        } = &self.machine;
        let kind = if *virtual_machine {
            "virtual machine"
        } else {
            "machine"
        };
        writeln!(f, "{cpus} CPUs of a {kind}, {cpu}, Linux {kernel}")?;
        writeln!(
            f,
            "Medians over {} rounds. A: client and server on one CPU; B: on two, the client sleeps; \
             C: on two, the client and the floor spin.\n\
             Ratios are dormouse's to the floor and to vfio_user's: less is better.\n",
            self.rounds
        )?;
        let head = [
            "case",
            "at",
            "measure",
            "dormouse",
            "/ floor",
            "/ vfio_user",
            "target",
            "met",
        ]
        .map(str::to_owned);
        let rows: Vec<_> = std::iter::once(head)
            .chain(self.rows.iter().map(Row::cells))
            .collect();
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        };
        let widths: [usize; 8] = std::array::from_fn(width);
        for (number, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(widths);
            let line: Vec<_> = cells.map(|(cell, w)| format!("{cell:w$}")).collect();
            writeln!(f, "| {} |", line.join(" | "))?;
            if number == 0 {
                let rule = widths.map(|width| "-".repeat(width));
                writeln!(f, "| {} |", rule.join(" | "))?;
            }
        }
        let targets = || self.rows.iter().flat_map(|row| &row.targets);
        let met = targets().filter(|target| target.met).count();
        writeln!(f, "\n{met} of {} targets met.", targets().count())?;
        writeln!(
            f,
            "System calls for each request are counted by client-tests/syscalls."
        )
    }
}
