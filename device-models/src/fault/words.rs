//! The words of a fault: numbers, durations, ranges, and names from a list.

use std::fmt;
use std::time::Duration;

/// The words of a text, one after the other.
#[derive(Debug)]
pub(super) struct Words<'a> {
    rest: std::iter::Peekable<std::str::SplitWhitespace<'a>>,
}

/// Units of durations, the longest first.
const UNITS: [(&str, u64); 5] = [
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl<'a> Words<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            rest: text.split_whitespace().peekable(),
        }
    }

    /// Returns the next word.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        self.rest.next()
    }

    /// Returns the next word, which has to be there.
    pub(super) fn need(&mut self, meaning: &str) -> Result<&'a str, String> {
        self.next()
            .ok_or_else(|| format!("a word is missing: write {meaning}"))
    }

    /// Takes the next word if it is this one.
    pub(super) fn take(&mut self, word: &str) -> bool {
        self.rest.next_if(|next| *next == word).is_some()
    }

    /// Takes the next word if it means something.
    pub(super) fn take_if<T>(&mut self, meaning: impl Fn(&str) -> Option<T>) -> Option<T> {
        let found = meaning(self.rest.peek()?)?;
        self.rest.next();
        Some(found)
    }

    /// Refuses words that are left.
    pub(super) fn end(&mut self) -> Result<(), String> {
        match self.next() {
            None => Ok(()),
            Some(word) => Err(format!(
                "the word '{word}' has no meaning here; leave it out"
            )),
        }
    }

    pub(super) fn number(&mut self, meaning: &str) -> Result<u64, String> {
        let word = self.need(meaning)?;
        number(word).ok_or_else(|| format!("'{word}' is no number; write {meaning}"))
    }

    pub(super) fn count(&mut self, meaning: &str) -> Result<u64, String> {
        match self.number(meaning)? {
            0 => Err(format!("0 would be never; write {meaning} of at least 1")),
            count => Ok(count),
        }
    }

    pub(super) fn duration(&mut self) -> Result<Duration, String> {
        let word = self.need("a duration such as 300ms")?;
        duration(word).ok_or_else(|| {
            format!("'{word}' is no duration; write a whole number with ns, us, ms, s or min, such as 300ms")
        })
    }
}

/// Returns a number, decimal or with `0x`.
pub(super) fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

/// Returns a duration, a whole number with a unit.
pub(super) fn duration(word: &str) -> Option<Duration> {
    let digits = word.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = word.split_at(digits);
    let (_, nanos) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let count: u64 = count.parse().ok()?;
    count.checked_mul(nanos).map(Duration::from_nanos)
}

/// A duration as it is written.
pub(super) struct Shown(pub(super) Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let fits = |unit: u64| nanos != 0 && nanos.is_multiple_of(u128::from(unit));
        let (name, unit) = UNITS
            .into_iter()
            .find(|(_, unit)| fits(*unit))
            .unwrap_or(("ns", 1));
        write!(f, "{}{name}", nanos / u128::from(unit))
    }
}

/// A range of bytes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Range {
    /// All bytes.
    pub(super) const ALL: Self = Self {
        first: 0,
        last: u64::MAX,
    };

    /// Returns the range of `len` bytes at an offset.
    pub(crate) const fn of(offset: u64, len: usize) -> Self {
        let beyond = (len as u64).saturating_sub(1);
        Self {
            first: offset,
            last: offset.saturating_add(beyond),
        }
    }

    pub(super) const fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Parses `0x44` or `0x44-0x47`.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (first, last) = (number(first)?, number(last)?);
        (first <= last).then_some(Self { first, last })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{:#x}", self.first)
        } else {
            write!(f, "{:#x}-{:#x}", self.first, self.last)
        }
    }
}
