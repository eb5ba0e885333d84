//! The form of a kind of fault.

use super::consequence::{Consequence, Lasting};
use super::when::Occasion;
use super::words::{Shown, Words, duration};
use crate::power::PowerState;
use crate::register::ResetKind;

/// A kind of fault. Each is a constant in a file of its own.
#[derive(Debug)]
pub(super) struct Kind {
    /// The first word of `what`.
    pub(super) name: &'static str,
    /// The words after the name.
    pub(super) form: &'static str,
    /// Description of the failure.
    pub(super) about: &'static str,
    /// Returns whether the failure can happen at an occasion.
    pub(super) fits: fn(&Occasion) -> bool,
    /// The occasions that fit, for messages: `when has to be …`.
    pub(super) occasions: &'static str,
    /// Makes the consequence of the words after the name. Returns the words in their usual form as well.
    pub(super) parse: fn(&mut Words<'_>) -> Result<(Consequence, String), String>,
}

/// All occasions of the function, none of the host.
pub(super) const ANY: &str =
    "when has to be an occasion of the function, not one of the host such as resume";

/// Returns whether an occasion is one of the function.
pub(super) const fn of_function(occasion: &Occasion) -> bool {
    !occasion.is_of_host()
}

/// The changes of power state that bring the function back to D0.
pub(super) const RETURN: &str = "when has to be d-state with to = d0, such as d-state d3hot d0";

/// Returns whether an occasion is a change to D0 without a loss of power.
pub(super) fn of_return(occasion: &Occasion) -> bool {
    let Occasion::DState { from, to } = occasion else {
        return false;
    };
    *to == Some(PowerState::D0) && *from != Some(PowerState::D3cold)
}

/// Parses the words of a kind that delays something.
pub(super) fn late(words: &mut Words<'_>) -> Result<(Consequence, String), String> {
    let span = words.duration()?;
    Ok((Consequence::Delay(span), Shown(span).to_string()))
}

/// The occasions of the link.
pub(super) const LINK: &str = "when has to be power-on, port-resume, reset without a kind, reset hot, \
     reset fundamental, reset power-on, now, after or every";

/// Returns whether an occasion is one at which the slot's link may fail.
pub(super) const fn of_link(occasion: &Occasion) -> bool {
    match occasion {
        Occasion::Now
        | Occasion::After(_)
        | Occasion::Every(_)
        | Occasion::PowerOn
        | Occasion::PortResume => true,
        Occasion::Reset(kind) => !matches!(kind, Some(ResetKind::Flr | ResetKind::SoftD3hot)),
        _ => false,
    }
}

/// Parses the time for which a failure lasts. Returns the word as well.
pub(super) fn lasting(words: &mut Words<'_>) -> Result<(Lasting, String), String> {
    let word = words.need("a duration such as 300ms, until-power-off or for-ever")?;
    let lasting = match word {
        "until-power-off" => Lasting::UntilPowerOff,
        "for-ever" => Lasting::ForEver,
        _ => duration(word).map(Lasting::For).ok_or_else(|| {
            format!("'{word}' is no duration; write one such as 300ms, until-power-off or for-ever")
        })?,
    };
    Ok((lasting, word.to_owned()))
}

/// Makes a kind without further words.
pub(super) fn plain(consequence: Consequence) -> Result<(Consequence, String), String> {
    Ok((consequence, String::new()))
}
