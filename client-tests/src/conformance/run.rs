//! Walks the checks.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::expect::Expected;
use super::subject::{Subject, goes_on};
use super::{Check, Outcome, Verdict};

/// What a check came to, with regard to what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The rule holds.
    Holds,
    /// The server has nothing that the rule is about.
    DoesNotApply(String),
    /// The rule does not hold, as declared.
    Differs {
        /// What was seen.
        seen: String,
        /// What was declared.
        declared: String,
    },
    /// The rule does not hold.
    Fails(String),
    /// A difference is declared that does not show.
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

    /// Whether this is as it should be.
    #[must_use]
    pub const fn is_fine(&self) -> bool {
        !matches!(self, Self::Fails(_) | Self::DoesNotDiffer(_))
    }
}

/// A check and what it came to.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The check.
    pub check: &'static Check,
    /// What it came to.
    pub judgement: Judgement,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Run {
    /// All checks that were tried, in their order.
    pub judged: Vec<Judged>,
    /// Why it ended early: the server is gone.
    pub gone: Option<String>,
}

impl Run {
    /// Whether all is as it should be.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.gone.is_none() && self.judged.iter().all(|judged| judged.judgement.is_fine())
    }

    /// The names of the checks for which `wanted` holds.
    pub fn names(&self, wanted: impl Fn(&Judgement) -> bool) -> Vec<&'static str> {
        let judged = self
            .judged
            .iter()
            .filter(|judged| wanted(&judged.judgement));
        judged.map(|judged| judged.check.name).collect()
    }
}

/// Tries all checks on the server behind `socket`, waiting `patience` for each reply. `each` is
/// told how every one went as soon as it has.
///
/// A check that fails is followed by a look at whether the server still takes clients. If it does
/// not, the run is over.
///
/// # Errors
/// The server does not answer what every client begins with, so nothing can be tried.
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
