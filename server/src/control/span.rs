//! Durations with a unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A span of time in nanoseconds, written as a number with a unit (`10ms`, `1.5s`) or as a plain
/// number of nanoseconds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(try_from = "Written", into = "u64")]
pub struct Span(u64);

/// The forms in JSON.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a duration is a number of nanoseconds or a string such as \"10ms\""
)]
enum Written {
    Nanos(u64),
    Text(String),
}

/// Units, with their length in nanoseconds.
const UNITS: [(&str, u64); 5] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
];

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            format!(
                "'{text}' is not a duration; write a number with ns, us, ms, s or min, such as 10ms \
                 or 1.5s, or a plain number of nanoseconds"
            )
        };
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = match unit.trim_start() {
            "" => 1,
            name => UNITS
                .into_iter()
                .find_map(|(known, nanos)| (known == name).then_some(nanos))
                .ok_or_else(wrong)?,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let whole: u64 = whole.parse().map_err(|_| wrong())?;
        whole
            .checked_mul(unit)
            .zip(fraction_of(unit, fraction))
            .and_then(|(whole, fraction)| whole.checked_add(fraction))
            .map(Self)
            .ok_or_else(wrong)
    }
}

/// `0.DIGITS` of `unit` nanoseconds, rounded down.
fn fraction_of(unit: u64, digits: &str) -> Option<u64> {
    let numerator: u64 = digits.parse().ok()?;
    let denominator = 10_u64.checked_pow(u32::try_from(digits.len()).ok()?)?;
    let nanos = u128::from(unit) * u128::from(numerator) / u128::from(denominator);
    u64::try_from(nanos).ok()
}

impl TryFrom<Written> for Span {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written {
            Written::Nanos(nanos) => Ok(Self(nanos)),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<Span> for u64 {
    fn from(Span(nanos): Span) -> Self {
        nanos
    }
}

impl From<Duration> for Span {
    /// A span too long for the number of nanoseconds is the longest one.
    fn from(span: Duration) -> Self {
        Self(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Span> for Duration {
    fn from(Span(nanos): Span) -> Self {
        Self::from_nanos(nanos)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ns", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_exactly() {
        for (text, nanos) in [
            ("0", 0),
            ("17", 17),
            ("17ns", 17),
            ("200us", 200_000),
            ("10ms", 10_000_000),
            ("10 ms", 10_000_000),
            ("1.5s", 1_500_000_000),
            ("0.000000001s", 1),
            ("2min", 120_000_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Span(nanos)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "ms",
            "-1ms",
            "+1ms",
            "1.ms",
            ".5s",
            "1.2.3s",
            "10m",
            "10 parsecs",
            "1e3ms",
            "18446744073709551616",
            "1000000000min",
            "0.00000000000000000000001s",
        ] {
            let error = text.parse::<Span>().unwrap_err();
            assert!(error.contains("is not a duration"), "{text}: {error}");
        }
    }

    #[test]
    fn json_takes_numbers_and_strings() {
        for (json, nanos) in [("5", 5), (r#""5us""#, 5_000)] {
            assert_eq!(serde_json::from_str::<Span>(json).unwrap(), Span(nanos));
        }
        for json in ["-5", "1.5", "true", "[]"] {
            let error = serde_json::from_str::<Span>(json).unwrap_err().to_string();
            assert!(error.contains("a duration is a number"), "{json}: {error}");
        }
    }
}
