//! Error numbers as people write them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use vfio_user_protocol::Errno as Wire;

/// A positive errno, written as its name or its number.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(try_from = "Written", into = "i32")]
pub struct Errno(i32);

/// The forms in JSON.
#[derive(Debug, Deserialize, Serialize)]
#[serde(
    untagged,
    expecting = "an errno is a name such as \"EBUSY\" or a number"
)]
pub(super) enum Written {
    Number(i32),
    Name(String),
}

/// The largest errno of Linux (`MAX_ERRNO`).
const MAX: i32 = 4095;

impl TryFrom<i32> for Errno {
    type Error = String;

    fn try_from(number: i32) -> Result<Self, Self::Error> {
        if (1..=MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(format!("an errno is 1 to {MAX}, not {number}"))
        }
    }
}

impl FromStr for Errno {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(number) = text.parse::<i32>() {
            return Self::try_from(number);
        }
        let named = (1..=MAX).filter_map(|number| Some((Wire(number).name()?, number)));
        let found = named.clone().find(|(name, _)| *name == text);
        found.map(|(_, number)| Self(number)).ok_or_else(|| {
            let names: Vec<&str> = named.map(|(name, _)| name).collect();
            let names = names.join(", ");
            format!("'{text}' is no errno; write a number from 1 to {MAX} or one of {names}")
        })
    }
}

impl TryFrom<Written> for Errno {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written {
            Written::Number(number) => Self::try_from(number),
            Written::Name(name) => name.parse(),
        }
    }
}

impl From<Errno> for i32 {
    fn from(Errno(number): Errno) -> Self {
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        for (text, number) in [
            ("EBUSY", 16),
            ("EIO", 5),
            ("ETIMEDOUT", 110),
            ("16", 16),
            ("4095", 4095),
        ] {
            assert_eq!(text.parse(), Ok(Errno(number)), "{text}");
        }
        for (json, number) in [("16", 16), (r#""EBUSY""#, 16), (r#""16""#, 16)] {
            assert_eq!(serde_json::from_str::<Errno>(json).unwrap(), Errno(number));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (text, expected) in [
            ("0", "1 to 4095, not 0"),
            ("-16", "not -16"),
            ("4096", "not 4096"),
            ("", "'' is no errno"),
            ("ebusy", "or one of EPERM"),
            ("99999999999", "is no errno"),
        ] {
            let error = text.parse::<Errno>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let error = serde_json::from_str::<Errno>("true").unwrap_err();
        assert!(error.to_string().contains("an errno is a name"), "{error}");
    }
}
