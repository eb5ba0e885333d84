//! Types of models' keys in a profile.

use serde::{Deserialize, Serialize};

/// A number from `MIN` to `MAX`, both included. Other numbers are refused with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct InRange<const MIN: u8, const MAX: u8>(u8);

impl<const MIN: u8, const MAX: u8> InRange<MIN, MAX> {
    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl<const MIN: u8, const MAX: u8> TryFrom<u8> for InRange<MIN, MAX> {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        (MIN..=MAX)
            .contains(&number)
            .then_some(Self(number))
            .ok_or_else(|| format!("{number} is out of range; choose {MIN} to {MAX}"))
    }
}

impl<const MIN: u8, const MAX: u8> From<InRange<MIN, MAX>> for u8 {
    fn from(number: InRange<MIN, MAX>) -> Self {
        number.get()
    }
}
