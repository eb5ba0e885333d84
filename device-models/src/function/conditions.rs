//! The conditions in which faults have left a function.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::consequence::{Lasting, LinkFailure};
use crate::snapshot::{due, left};
use crate::time::{Time, earliest};

/// The end of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    At(Time),
    PowerOff,
    Removed,
}

/// A condition with the fault that brought it about.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) by: String,
    pub(super) until: Until,
}

/// The conditions of a function.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    /// The function does not answer. The flag: a read of Vendor ID returns 0001h.
    pub(super) silence: Option<(Condition, bool)>,
    /// The function is off the bus. The flag: its slot has main power.
    pub(super) gone: Option<(Condition, bool)>,
    /// The BARs that do not decode.
    pub(super) bars: Vec<(Condition, u8)>,
    /// `PME_Status` cannot be cleared.
    pub(super) pme: Vec<(Condition, ())>,
    /// The failures of the link above the function.
    pub(super) links: Vec<(Condition, LinkFailure)>,
}

/// The changes that the end of conditions brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    /// The function is back on the bus and has power there.
    pub(super) back: bool,
    /// The port contains no error of the function any more.
    pub(super) own_contained: bool,
    /// The port contains no error of any function any more: the link is up again.
    pub(super) released: bool,
}

/// The saved form of a [`Condition`] with its detail.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved<T> {
    by: String,
    until: SavedUntil,
    detail: T,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum SavedUntil {
    Nanos(u64),
    PowerOff,
    Removed,
}

/// The saved form of [`Conditions`].
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedConditions {
    silence: Option<Saved<bool>>,
    gone: Option<Saved<bool>>,
    bars: Vec<Saved<u8>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pme: Vec<Saved<()>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    links: Vec<Saved<LinkFailure>>,
}

impl Until {
    pub(super) const fn new(at: Time, lasting: Lasting) -> Self {
        match lasting {
            Lasting::For(span) => Self::At(at.after(span)),
            Lasting::UntilPowerOff => Self::PowerOff,
            Lasting::ForEver => Self::Removed,
        }
    }

    const fn time(self) -> Option<Time> {
        match self {
            Self::At(time) => Some(time),
            Self::PowerOff | Self::Removed => None,
        }
    }

    /// Returns the time that is left. `None` is for an unknown time.
    fn left(self, now: Time) -> Option<Duration> {
        self.time().map(|end| end.since(now))
    }

    /// Brings the end nearer, if it is a time.
    fn shorten(&mut self, span: Duration) {
        if let Self::At(end) = self {
            *end = Time::ZERO.after(end.since(Time::ZERO).saturating_sub(span));
        }
    }

    /// Returns whether the condition has ended.
    pub(super) fn is_over(self, now: Time) -> bool {
        self.time().is_some_and(|end| end <= now)
    }

    /// Returns whether this ends after another.
    fn outlasts(self, other: Self) -> bool {
        match (self, other) {
            (Self::At(end), Self::At(other)) => end > other,
            (Self::At(_), _) | (Self::PowerOff, Self::Removed) => false,
            _ => true,
        }
    }
}

/// Puts a condition in the place of one that ends earlier.
pub(super) fn extend<T>(place: &mut Option<(Condition, T)>, condition: Condition, detail: T) {
    let present = place.as_ref();
    if present.is_none_or(|(present, _)| condition.until.outlasts(present.until)) {
        *place = Some((condition, detail));
    }
}

impl Conditions {
    pub(super) const fn are_none(&self) -> bool {
        self.silence.is_none()
            && self.gone.is_none()
            && self.bars.is_empty()
            && self.pme.is_empty()
            && self.links.is_empty()
    }

    /// Returns whether the function is silent, and then whether it asks for a retry.
    pub(super) fn silent(&self, now: Time) -> Option<bool> {
        let lasts = |(condition, _): &&(Condition, bool)| !condition.until.is_over(now);
        if self.is_unlinked(now) {
            return Some(false);
        }
        let (_, retry) = self.silence.as_ref().filter(lasts)?;
        Some(*retry)
    }

    /// Returns the time for which the function stays silent. `None` is for an unknown time.
    pub(super) fn silence_left(&self, now: Time) -> Option<Duration> {
        let mut left = self.link_down_left(now)?;
        if let Some((condition, _)) = &self.silence {
            left = left.max(condition.until.left(now)?);
        }
        Some(left)
    }

    /// Brings the ends of the silence nearer.
    pub(super) fn shorten_silence(&mut self, span: Duration) {
        if let Some((condition, _)) = &mut self.silence {
            condition.until.shorten(span);
        }
        for (condition, failure) in &mut self.links {
            if failure.is_down() {
                condition.until.shorten(span);
            }
        }
    }

    fn link_failures(&self, now: Time) -> impl Iterator<Item = (LinkFailure, Until)> {
        let links = self.links.iter();
        let links = links.filter(move |(condition, _)| !condition.until.is_over(now));
        links.map(|(condition, failure)| (*failure, condition.until))
    }

    /// Returns whether the link is down.
    pub(super) fn is_unlinked(&self, now: Time) -> bool {
        let mut failures = self.link_failures(now);
        failures.any(|(failure, _)| failure.is_down())
    }

    /// Returns whether the port contains errors, and whether some are of the function itself.
    pub(super) fn contained(&self) -> (bool, bool) {
        let links = self.links.iter();
        let contained = links.filter_map(|(_, failure)| match failure {
            LinkFailure::Contained { own } => Some(*own),
            _ => None,
        });
        contained.fold((false, false), |(_, any_own), own| (true, any_own || own))
    }

    /// Returns the time for which the link stays down, zero if it is up. `None` is for an unknown time.
    pub(super) fn link_down_left(&self, now: Time) -> Option<Duration> {
        let down = self.link_failures(now);
        let mut down = down.filter(|(failure, _)| failure.is_down());
        down.try_fold(Duration::ZERO, |left, (_, until)| {
            Some(left.max(until.left(now)?))
        })
    }

    /// Returns the highest speed and width of the link, where failures limit them.
    pub(super) fn link_limits(&self, now: Time) -> (Option<u8>, Option<u8>) {
        let (mut speed, mut width): (Option<u8>, Option<u8>) = (None, None);
        for (failure, _) in self.link_failures(now) {
            let (place, limit) = match failure {
                LinkFailure::Down | LinkFailure::Contained { .. } => continue,
                LinkFailure::Speed(limit) => (&mut speed, limit),
                LinkFailure::Width(limit) => (&mut width, limit),
            };
            *place = Some(place.map_or(limit, |other| other.min(limit)));
        }
        (speed, width)
    }

    pub(super) fn is_off(&self, now: Time, bar: u8) -> bool {
        let mut bars = self.bars.iter();
        bars.any(|(condition, off)| *off == bar && !condition.until.is_over(now))
    }

    /// Returns whether `PME_Status` cannot be cleared.
    pub(super) fn keep_pme_status(&self, now: Time) -> bool {
        let mut pme = self.pme.iter();
        pme.any(|(condition, ())| !condition.until.is_over(now))
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        let one = |place: &Option<(Condition, bool)>| place.as_ref()?.0.until.time();
        let bars = self.bars.iter();
        let bars = bars.fold(None, |first, (condition, _)| {
            earliest(first, condition.until.time())
        });
        let links = self.links.iter();
        let links = links.fold(None, |first, (condition, _)| {
            earliest(first, condition.until.time())
        });
        let pme = self.pme.iter();
        let links = pme.fold(links, |first, (condition, ())| {
            earliest(first, condition.until.time())
        });
        let of_function = earliest(one(&self.silence), one(&self.gone));
        earliest(earliest(bars, links), of_function)
    }

    /// Removes the conditions for which `over` holds.
    pub(super) fn end(&mut self, over: impl Fn(&Condition) -> bool) -> Ended {
        self.silence.take_if(|(condition, _)| over(condition));
        self.bars.retain(|(condition, _)| !over(condition));
        self.pme.retain(|(condition, ())| !over(condition));
        let (was_contained, was_own) = self.contained();
        self.links.retain(|(condition, _)| !over(condition));
        let (contained, own) = self.contained();
        let back = self.gone.take_if(|(condition, _)| over(condition));
        Ended {
            back: back.is_some_and(|(_, powered)| powered),
            own_contained: was_own && !own,
            released: was_contained && !contained,
        }
    }

    pub(super) fn save(&self, now: Time) -> SavedConditions {
        SavedConditions {
            silence: self.silence.as_ref().map(|place| save(now, place)),
            gone: self.gone.as_ref().map(|place| save(now, place)),
            bars: self.bars.iter().map(|place| save(now, place)).collect(),
            pme: self.pme.iter().map(|place| save(now, place)).collect(),
            links: self.links.iter().map(|place| save(now, place)).collect(),
        }
    }

    pub(super) fn restored(now: Time, saved: SavedConditions) -> Self {
        Self {
            silence: saved.silence.map(|saved| restored(now, saved)),
            gone: saved.gone.map(|saved| restored(now, saved)),
            bars: saved
                .bars
                .into_iter()
                .map(|saved| restored(now, saved))
                .collect(),
            pme: saved
                .pme
                .into_iter()
                .map(|saved| restored(now, saved))
                .collect(),
            links: saved
                .links
                .into_iter()
                .map(|saved| restored(now, saved))
                .collect(),
        }
    }
}

fn save<T: Copy>(now: Time, (condition, detail): &(Condition, T)) -> Saved<T> {
    Saved {
        by: condition.by.clone(),
        until: match condition.until {
            Until::At(end) => SavedUntil::Nanos(left(now, end)),
            Until::PowerOff => SavedUntil::PowerOff,
            Until::Removed => SavedUntil::Removed,
        },
        detail: *detail,
    }
}

fn restored<T>(now: Time, saved: Saved<T>) -> (Condition, T) {
    let until = match saved.until {
        SavedUntil::Nanos(left) => Until::At(due(now, left)),
        SavedUntil::PowerOff => Until::PowerOff,
        SavedUntil::Removed => Until::Removed,
    };
    let by = saved.by;
    (Condition { by, until }, saved.detail)
}
