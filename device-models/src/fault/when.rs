//! The occasions of faults, and the occurrences that they strike.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::FaultError;
use super::words::{Range, Shown, Words, number};
use crate::power::PowerState;
use crate::register::ResetKind;

/// Something that happens to a device, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occurrence {
    Reset(ResetKind),
    PowerOn,
    PowerOff,
    DState { from: PowerState, to: PowerState },
    ConfigRead(Range),
    ConfigWrite(Range),
    BarRead(u8, Range),
    BarWrite(u8, Range),
    Message { vector: u16 },
    Intx { asserted: bool },
    Pme,
    Dma,
    Resume,
    ResumeCallback,
    PortResume,
    DeviceLock,
    DeviceReset,
}

/// The occasion of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    Now,
    After(Duration),
    Every(Duration),
    Reset(Option<ResetKind>),
    PowerOn,
    PowerOff,
    DState {
        from: Option<PowerState>,
        to: Option<PowerState>,
    },
    ConfigRead(Range),
    ConfigWrite(Range),
    BarRead(u8, Range),
    BarWrite(u8, Range),
    Message(Option<u16>),
    Intx {
        asserted: bool,
    },
    Pme,
    Dma,
    Resume,
    ResumeCallback,
    PortResume,
    DeviceLock,
    DeviceReset,
}

/// The occurrences that a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    Each,
    Nth(u64),
    First(u64),
    Chance { of: u64, all: u64, seed: u64 },
}

/// The time at which a fault strikes: an occasion, and which of its occurrences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    pub(super) occasion: Occasion,
    /// Only occurrences so long after the fault was set.
    pub(super) from: Duration,
    pub(super) pick: Pick,
}

const OCCASIONS: &str = "now, after, every, reset, power-on, power-off, d-state, config-read, config-write, \
     bar-read, bar-write, interrupt, intx-assert, intx-release, pme, dma, resume, resume-callback, port-resume, device-lock, \
     device-reset";

const RESETS: [(&str, ResetKind); 5] = [
    ("flr", ResetKind::Flr),
    ("hot", ResetKind::Hot),
    ("fundamental", ResetKind::Fundamental),
    ("power-on", ResetKind::PowerOn),
    ("soft-d3hot", ResetKind::SoftD3hot),
];

impl When {
    /// Returns whether it is an occasion of the host rather than of the function.
    pub(crate) const fn is_of_host(&self) -> bool {
        self.occasion.is_of_host()
    }

    /// Returns the occasion without the choice of its occurrences.
    pub(crate) const fn occasion(&self) -> Occasion {
        self.occasion
    }
}

impl Occasion {
    /// Returns whether it concerns the host rather than the function.
    pub(super) const fn is_of_host(&self) -> bool {
        matches!(
            self,
            Self::Resume
                | Self::ResumeCallback
                | Self::PortResume
                | Self::DeviceLock
                | Self::DeviceReset
        )
    }

    /// Returns whether the occurrence is one of this occasion.
    pub(super) fn covers(self, occurrence: &Occurrence) -> bool {
        match (self, *occurrence) {
            (Self::Reset(kind), Occurrence::Reset(now)) => kind.is_none_or(|kind| kind == now),
            (Self::DState { from, to }, Occurrence::DState { from: f, to: t }) => {
                from.is_none_or(|from| from == f) && to.is_none_or(|to| to == t)
            }
            (Self::ConfigRead(range), Occurrence::ConfigRead(at))
            | (Self::ConfigWrite(range), Occurrence::ConfigWrite(at)) => range.overlaps(at),
            (Self::BarRead(bar, range), Occurrence::BarRead(of, at))
            | (Self::BarWrite(bar, range), Occurrence::BarWrite(of, at)) => {
                bar == of && range.overlaps(at)
            }
            (Self::Message(vector), Occurrence::Message { vector: sent }) => {
                vector.is_none_or(|vector| vector == sent)
            }
            (Self::Intx { asserted }, Occurrence::Intx { asserted: now }) => asserted == now,
            (Self::PowerOn, Occurrence::PowerOn)
            | (Self::PowerOff, Occurrence::PowerOff)
            | (Self::Pme, Occurrence::Pme)
            | (Self::Dma, Occurrence::Dma)
            | (Self::Resume, Occurrence::Resume)
            | (Self::ResumeCallback, Occurrence::ResumeCallback)
            | (Self::PortResume, Occurrence::PortResume)
            | (Self::DeviceLock, Occurrence::DeviceLock)
            | (Self::DeviceReset, Occurrence::DeviceReset) => true,
            _ => false,
        }
    }

    /// Returns the time from setting the fault to its first occurrence, if only time brings it about.
    pub(super) const fn first_due(self) -> Option<Duration> {
        match self {
            Self::Now => Some(Duration::ZERO),
            Self::After(span) | Self::Every(span) => Some(span),
            _ => None,
        }
    }

    fn parse(words: &mut Words<'_>) -> Result<Self, String> {
        let range = |words: &mut Words<'_>| words.take_if(Range::parse).unwrap_or(Range::ALL);
        let bar = |words: &mut Words<'_>| match words.number("the number of a BAR, 0 to 5")? {
            bar @ 0..=5 => Ok(bar as u8),
            bar => Err(format!("there is no BAR {bar}; write 0 to 5")),
        };
        Ok(match words.need(OCCASIONS)? {
            "now" => Self::Now,
            "after" => Self::After(words.duration()?),
            "every" => match words.duration()? {
                Duration::ZERO => {
                    return Err("every 0ns would never end; write a longer duration".to_owned());
                }
                span => Self::Every(span),
            },
            "reset" => Self::Reset(words.take_if(|word| {
                let mut all = RESETS.into_iter();
                all.find_map(|(name, kind)| (name == word).then_some(kind))
            })),
            "power-on" => Self::PowerOn,
            "power-off" => Self::PowerOff,
            "d-state" => {
                let from = state(words)?;
                let to = state(words)?;
                Self::DState { from, to }
            }
            "config-read" => Self::ConfigRead(range(words)),
            "config-write" => Self::ConfigWrite(range(words)),
            "bar-read" => Self::BarRead(bar(words)?, range(words)),
            "bar-write" => Self::BarWrite(bar(words)?, range(words)),
            "interrupt" => Self::Message(words.take_if(|word| word.parse().ok())),
            "intx-assert" => Self::Intx { asserted: true },
            "intx-release" => Self::Intx { asserted: false },
            "pme" => Self::Pme,
            "dma" => Self::Dma,
            "resume" => Self::Resume,
            "resume-callback" => Self::ResumeCallback,
            "port-resume" => Self::PortResume,
            "device-lock" => Self::DeviceLock,
            "device-reset" => Self::DeviceReset,
            word => {
                return Err(format!(
                    "'{word}' is no occasion; choose one of {OCCASIONS}"
                ));
            }
        })
    }
}

/// Parses a power state or `any`.
fn state(words: &mut Words<'_>) -> Result<Option<PowerState>, String> {
    let choice = "two of d0, d1, d2, d3hot, d3cold, any";
    let word = words.need(choice)?;
    if word == "any" {
        return Ok(None);
    }
    let mut all = PowerState::ALL.into_iter();
    let found = all.find(|state| state.to_string().eq_ignore_ascii_case(word));
    found
        .map(Some)
        .ok_or_else(|| format!("'{word}' is no power state; write {choice}"))
}

impl Pick {
    fn parse(words: &mut Words<'_>) -> Result<Self, String> {
        if words.take("nth") {
            Ok(Self::Nth(words.count("the number of the occurrence")?))
        } else if words.take("first") {
            Ok(Self::First(words.count("a number of occurrences")?))
        } else if words.take("chance") {
            let word = words.need("a probability such as 1/8")?;
            let parts = word.split_once('/').and_then(|(of, all)| {
                let (of, all) = (number(of)?, number(all)?);
                (all > 0 && of <= all).then_some((of, all))
            });
            let (of, all) = parts
                .ok_or_else(|| format!("'{word}' is no probability; write one such as 1/8"))?;
            if !words.take("seed") {
                return Err("chance needs a seed; add seed and a number".to_owned());
            }
            let seed = words.number("a number as seed")?;
            Ok(Self::Chance { of, all, seed })
        } else {
            words.take("each");
            Ok(Self::Each)
        }
    }
}

impl FromStr for When {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let mut words = Words::new(text);
        let mut parse = || {
            let occasion = Occasion::parse(&mut words)?;
            let from = match words.take("from") {
                true => words.duration()?,
                false => Duration::ZERO,
            };
            let pick = Pick::parse(&mut words)?;
            words.end()?;
            Ok(Self {
                occasion,
                from,
                pick,
            })
        };
        parse().map_err(|reason| FaultError::When {
            text: text.to_owned(),
            reason,
        })
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.occasion.fmt(f)?;
        if !self.from.is_zero() {
            write!(f, " from {}", Shown(self.from))?;
        }
        match self.pick {
            Pick::Each => Ok(()),
            Pick::Nth(nth) => write!(f, " nth {nth}"),
            Pick::First(first) => write!(f, " first {first}"),
            Pick::Chance { of, all, seed } => write!(f, " chance {of}/{all} seed {seed}"),
        }
    }
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranged = |f: &mut fmt::Formatter<'_>, word: &str, range: Range| match range {
            Range::ALL => f.write_str(word),
            range => write!(f, "{word} {range}"),
        };
        match *self {
            Self::Now => f.write_str("now"),
            Self::After(span) => write!(f, "after {}", Shown(span)),
            Self::Every(span) => write!(f, "every {}", Shown(span)),
            Self::Reset(None) => f.write_str("reset"),
            Self::Reset(Some(kind)) => {
                let mut all = RESETS.into_iter();
                let name = all.find(|(_, known)| *known == kind);
                write!(f, "reset {}", name.map_or("", |(name, _)| name))
            }
            Self::PowerOn => f.write_str("power-on"),
            Self::PowerOff => f.write_str("power-off"),
            Self::DState { from, to } => {
                let name = |state: Option<PowerState>| {
                    state.map_or("any".to_owned(), |state| state.to_string().to_lowercase())
                };
                write!(f, "d-state {} {}", name(from), name(to))
            }
            Self::ConfigRead(range) => ranged(f, "config-read", range),
            Self::ConfigWrite(range) => ranged(f, "config-write", range),
            Self::BarRead(bar, range) => ranged(f, &format!("bar-read {bar}"), range),
            Self::BarWrite(bar, range) => ranged(f, &format!("bar-write {bar}"), range),
            Self::Message(None) => f.write_str("interrupt"),
            Self::Message(Some(vector)) => write!(f, "interrupt {vector}"),
            Self::Intx { asserted: true } => f.write_str("intx-assert"),
            Self::Intx { asserted: false } => f.write_str("intx-release"),
            Self::Pme => f.write_str("pme"),
            Self::Dma => f.write_str("dma"),
            Self::Resume => f.write_str("resume"),
            Self::ResumeCallback => f.write_str("resume-callback"),
            Self::PortResume => f.write_str("port-resume"),
            Self::DeviceLock => f.write_str("device-lock"),
            Self::DeviceReset => f.write_str("device-reset"),
        }
    }
}

impl Serialize for When {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
