//! The number of a function in its slot (PCI Local Bus §3.2.2.3.4).

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Number of functions that a slot can have.
pub const MAX_FUNCTIONS: usize = 8;

/// The number of a function in its slot, 0 to 7.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u8", into = "u8")]
pub struct FunctionNumber(u8);

/// A number that no function can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0} is no function number; choose 0 to 7")]
pub struct NoSuchNumber(u8);

impl FunctionNumber {
    /// The function that every slot has.
    pub const ZERO: Self = Self(0);

    /// All numbers in their order.
    pub const ALL: [Self; MAX_FUNCTIONS] = {
        let mut all = [Self::ZERO; MAX_FUNCTIONS];
        let mut number = 0;
        while number < MAX_FUNCTIONS {
            all[number] = Self(number as u8);
            number += 1;
        }
        all
    };

    /// All numbers except 0, in their order.
    pub(crate) const OTHERS: [Self; MAX_FUNCTIONS - 1] = {
        let [_, others @ ..] = Self::ALL;
        others
    };

    /// Returns the number as an index of an array of all functions except function 0, or `None` for
    /// function 0.
    pub(crate) const fn among_others(self) -> Option<usize> {
        (self.0 as usize).checked_sub(1)
    }
}

impl TryFrom<u8> for FunctionNumber {
    type Error = NoSuchNumber;

    fn try_from(number: u8) -> Result<Self, NoSuchNumber> {
        if usize::from(number) < MAX_FUNCTIONS {
            Ok(Self(number))
        } else {
            Err(NoSuchNumber(number))
        }
    }
}

impl From<FunctionNumber> for u8 {
    fn from(number: FunctionNumber) -> Self {
        number.0
    }
}

impl fmt::Display for FunctionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
