//! Walks the checks.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::expect::Expected;
use super::subject::{Subject, goes_on};
use super::{Check, Outcome, Verdict};

/// The result of a check, compared with the expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The rule holds.
    Holds,
    /// The server does not have the feature that the rule is about.
    DoesNotApply(String),
    /// The rule does not hold, as declared.
    Differs {
        /// The observation.
        seen: String,
        /// The declaration.
        declared: String,
    },
    /// The rule does not hold.
    Fails(String),
    /// A declared difference was not observed.
    DoesNotDiffer(String),
}

impl Judgement {
    fn of(outcome: Outcome, declared: Option<&str>) -> Self {
        match (outcome, declared) {
            (Ok(Verdict::Holds), None) => Self::Holds,
            (Ok(Verdict::DoesNotApply(reason)), _) => Self::DoesNotApply(reason),
            (Ok(Verdict::Holds), Some(declared)) => {
                Self::DoesNotDiffer(format!("the rule holds; declared: {declared}"))
            }
            (Err(error), None) => Self::Fails(format!("{error:#}")),
            (Err(error), Some(declared)) => Self::Differs {
                seen: format!("{error:#}"),
                declared: declared.to_owned(),
            },
        }
    }

    /// Returns whether the result is as expected.
    #[must_use]
    pub const fn is_fine(&self) -> bool {
        !matches!(self, Self::Fails(_) | Self::DoesNotDiffer(_))
    }
}

/// A check and its result.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The check.
    pub check: &'static Check,
    /// The result.
    pub judgement: Judgement,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// All checks that ran, in their order.
    pub judged: Vec<Judged>,
    /// Reason for an early end: the server has gone.
    pub gone: Option<String>,
}

impl Run {
    /// Returns whether all results are as expected.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.gone.is_none() && self.judged.iter().all(|judged| judged.judgement.is_fine())
    }

    /// Returns the names of the checks for which `wanted` holds.
    pub fn names(&self, wanted: impl Fn(&Judgement) -> bool) -> Vec<&'static str> {
        let judged = self
            .judged
            .iter()
            .filter(|judged| wanted(&judged.judgement));
        judged.map(|judged| judged.check.name).collect()
    }
}

/// Runs all checks on the server behind `socket`, waiting `patience` for each reply. `each`
/// receives the result of every check at once.
///
/// After a failed check the run tests whether the server still accepts clients. If not, the run
/// ends.
///
/// # Errors
/// The server does not answer the first requests of every client, so no check can run.
pub fn run(
    socket: &Path,
    patience: Duration,
    expected: &Expected,
    mut each: impl FnMut(&Judged),
) -> Result<Run> {
    let subject = Subject::discover(socket, patience)?;
    let mut judged = Vec::new();
    for check in super::checks() {
        let outcome = (check.body)(&subject);
        let failed = outcome.is_err();
        let judgement = Judgement::of(outcome, expected.reason(check.name));
        let this = Judged { check, judgement };
        each(&this);
        judged.push(this);
        if failed && let Err(error) = subject.attach().and_then(|mut client| goes_on(&mut client)) {
            let gone = format!("the server is gone after {}: {error:#}", check.name);
            return Ok(Run {
                judged,
                gone: Some(gone),
            });
        }
    }
    Ok(Run { judged, gone: None })
}
