//! The failures of faults.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::FaultError;
use super::consequence::Consequence;
use super::form::Kind;
use super::kind::ALL;
use super::when::When;
use super::words::Words;

/// The failure of a fault: a kind with its words.
#[derive(Clone, Debug)]
pub struct What {
    kind: &'static Kind,
    words: String,
    consequence: Consequence,
}

/// The help of a kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WhatHelp {
    /// Name.
    pub name: &'static str,
    /// The words after the name.
    pub form: &'static str,
    /// Description.
    pub about: &'static str,
}

/// Returns the kinds of failures, by name.
pub fn kinds() -> impl Iterator<Item = WhatHelp> {
    ALL.iter().map(|kind| WhatHelp {
        name: kind.name,
        form: kind.form,
        about: kind.about,
    })
}

impl What {
    /// Returns the name of the kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        self.kind.name
    }

    pub(crate) const fn consequence(&self) -> &Consequence {
        &self.consequence
    }

    pub(super) fn check(&self, when: &When) -> Result<(), FaultError> {
        if (self.kind.fits)(&when.occasion()) {
            return Ok(());
        }
        Err(FaultError::Unfit {
            what: self.to_string(),
            when: when.to_string(),
            fits: self.kind.occasions,
        })
    }
}

impl PartialEq for What {
    fn eq(&self, other: &Self) -> bool {
        self.consequence == other.consequence && self.kind.name == other.kind.name
    }
}

impl Eq for What {}

impl FromStr for What {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let wrong = |reason: String| FaultError::What {
            text: text.to_owned(),
            reason,
        };
        let names = || {
            ALL.iter()
                .map(|kind| kind.name)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let mut words = Words::new(text);
        let name = words.next().unwrap_or_default();
        let kind = ALL
            .iter()
            .copied()
            .find(|kind| kind.name == name)
            .ok_or_else(|| wrong(format!("'{name}' is no failure; choose one of {}", names())))?;
        let mut parse = || {
            let (consequence, rest) = (kind.parse)(&mut words)?;
            words.end()?;
            Ok((consequence, rest))
        };
        let (consequence, words) = parse().map_err(|reason: String| {
            let form = if kind.form.is_empty() { "" } else { " " };
            wrong(format!(
                "{reason}. The form is {}{form}{}",
                kind.name, kind.form
            ))
        })?;
        Ok(Self {
            kind,
            words,
            consequence,
        })
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name)?;
        if !self.words.is_empty() {
            write!(f, " {}", self.words)?;
        }
        Ok(())
    }
}

impl Serialize for What {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for What {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
