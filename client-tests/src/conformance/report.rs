//! The outcome as the Test Anything Protocol (version 13) and as JSON.

use serde_json::{Value, json};

use super::run::{Judged, Judgement, Run};

/// Returns the first lines of TAP.
#[must_use]
pub fn tap_head() -> String {
    format!("TAP version 13\n1..{}", super::checks().count())
}

/// Returns the line of one check, and those that explain it. A declared difference is marked as TAP
/// marks known failures.
#[must_use]
pub fn tap_line(number: usize, judged: &Judged) -> String {
    let name = judged.check.name;
    match &judged.judgement {
        Judgement::Holds => format!("ok {number} - {name}"),
        Judgement::DoesNotApply(reason) => format!("ok {number} - {name} # SKIP {}", line(reason)),
        Judgement::Differs { seen, declared } => format!(
            "not ok {number} - {name} # TODO declared: {}\n# seen: {}",
            line(declared),
            line(seen)
        ),
        Judgement::Fails(seen) => failure(number, judged, seen),
        Judgement::DoesNotDiffer(why) => failure(
            number,
            judged,
            &format!("a declared difference does not show: {why}"),
        ),
    }
}

fn failure(number: usize, judged: &Judged, seen: &str) -> String {
    let check = judged.check;
    format!(
        "not ok {number} - {}\n# rule ({}): {}\n# seen: {}",
        check.name,
        check.source,
        check.rule,
        line(seen)
    )
}

/// Returns the last lines of TAP: the reason for an early end of the run, and the counts.
#[must_use]
pub fn tap_tail(run: &Run) -> String {
    let count = |wanted: fn(&Judgement) -> bool| run.names(wanted).len();
    let counts = format!(
        "# {} hold, {} do not apply, {} differ as declared, {} fail",
        count(|judgement| *judgement == Judgement::Holds),
        count(|judgement| matches!(judgement, Judgement::DoesNotApply(_))),
        count(|judgement| matches!(judgement, Judgement::Differs { .. })),
        count(|judgement| !judgement.is_fine()),
    );
    match &run.gone {
        None => counts,
        Some(gone) => format!("Bail out! {}\n{counts}", line(gone)),
    }
}

/// Returns the whole outcome as one document.
#[must_use]
pub fn json(run: &Run) -> Value {
    let checks = run.judged.iter().map(|judged| {
        let (result, seen, declared) = match &judged.judgement {
            Judgement::Holds => ("holds", None, None),
            Judgement::DoesNotApply(reason) => ("does-not-apply", Some(reason), None),
            Judgement::Differs { seen, declared } => ("differs", Some(seen), Some(declared)),
            Judgement::Fails(seen) => ("fails", Some(seen), None),
            Judgement::DoesNotDiffer(why) => ("does-not-differ", Some(why), None),
        };
        json!({
            "name": judged.check.name,
            "source": judged.check.source,
            "rule": judged.check.rule,
            "result": result,
            "seen": seen,
            "declared": declared,
        })
    });
    json!({
        "fine": run.is_fine(),
        "gone": run.gone,
        "checks": checks.collect::<Vec<Value>>(),
    })
}

/// Returns the text without line breaks and `#`, which have a meaning in TAP.
fn line(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('#', "no. ")
}
