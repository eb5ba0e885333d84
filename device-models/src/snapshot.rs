//! Saving a device and restoring it: the versioned tree, and the reasons for which one does not
//! fit.
//!
//! ```text
//! {"format": 5, "profile": {"name": …, "shape": …}, "device": {…}}
//! ```
//!
//! The shape is a fingerprint of config space: its registers and the changes that software may make
//! to them. Points in time are saved as the nanoseconds that are left until then, and memory as its
//! runs that are not zero. The restored state is exactly the saved one: a key too many or too few
//! is an error, and no key has a default.

pub mod memory;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use crate::time::Time;

/// The version of the tree that this crate writes and reads.
pub const FORMAT: u64 = 5;

/// The place of a device model's state in the tree, for messages.
pub const MODEL: &str = "function.model";

/// Reasons for which a tree cannot be restored. The device keeps its earlier state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// The tree has another version.
    #[error("the saved state has format {found}; this program reads format {FORMAT}")]
    Format {
        /// The version in the tree.
        found: Value,
    },
    /// The tree was saved from a device of another profile.
    #[error("the state was saved from profile {saved:?}, but the device has profile {here:?}")]
    Profile {
        /// Profile of the saved device.
        saved: String,
        /// Profile of this device.
        here: String,
    },
    /// Config space has other registers.
    #[error(
        "the state belongs to a config space of shape {saved}, but the device has shape {here}; serve the profile as it was when the state was saved"
    )]
    Shape {
        /// Shape of the saved device.
        saved: String,
        /// Shape of this device.
        here: String,
    },
    /// A part of the tree does not fit this device.
    #[error("{at}: {reason}")]
    Part {
        /// Place in the tree: keys with dots between.
        at: String,
        /// Reason for which the part does not fit.
        reason: String,
    },
    /// More clients are connected than the saved device had.
    #[error("clients that are connected: {connected}; the saved device had only {saved}")]
    Clients {
        /// Clients that have the device open now.
        connected: u32,
        /// Clients that had the saved device open.
        saved: u32,
    },
}

impl RestoreError {
    /// Creates the error of a wrong part at `at`.
    #[must_use]
    pub fn part(at: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Part {
            at: at.into(),
            reason: reason.into(),
        }
    }
}

/// Returns the tree of plain data: numbers, strings, lists and structs of them, which always have
/// one.
#[must_use]
pub fn tree<T: Serialize + ?Sized>(state: &T) -> Value {
    serde_json::to_value(state).unwrap_or_default()
}

/// Returns the tree of these members, which [`tree`] would copy.
pub(crate) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let members = members.map(|(key, member)| (key.to_owned(), member));
    Value::Object(members.into_iter().collect())
}

/// Reads the result of [`tree`]. `at` is its place in the whole tree, for messages.
///
/// # Errors
/// The tree is not the result of [`tree`] for any `T`: a key is missing or surplus, or a value has
/// the wrong type.
pub fn read<T: Serialize + DeserializeOwned>(at: &str, saved: &Value) -> Result<T, RestoreError> {
    let state = T::deserialize(saved).map_err(|error| RestoreError::part(at, error.to_string()))?;
    // Options may be absent as far as serde is concerned, and unknown keys be ignored.
    same(at, saved, &tree(&state))?;
    Ok(state)
}

/// Refuses a tree that differs from `back`, the tree that the restored state saves again.
pub(crate) fn same(at: &str, saved: &Value, back: &Value) -> Result<(), RestoreError> {
    if saved == back {
        Ok(())
    } else {
        Err(difference(at, saved, back))
    }
}

/// Returns the error of the first place below `at` where a tree differs from `expected`.
fn difference(at: &str, saved: &Value, expected: &Value) -> RestoreError {
    if let (Value::Object(saved), Value::Object(expected)) = (saved, expected) {
        if let Some(key) = expected.keys().find(|key| !saved.contains_key(*key)) {
            return RestoreError::part(at, format!("the key {key:?} is missing"));
        }
        for (key, value) in saved {
            match expected.get(key) {
                None => return RestoreError::part(at, format!("there is no key {key:?} here")),
                Some(expected) if expected != value => {
                    return difference(&format!("{at}.{key}"), value, expected);
                }
                Some(_) => {}
            }
        }
    }
    RestoreError::part(at, "this is not in the form in which it is saved")
}

/// Returns the nanoseconds from `now` to `deadline`, zero if it has passed.
#[must_use]
pub fn left(now: Time, deadline: Time) -> u64 {
    nanos(deadline.since(now))
}

/// Returns the point in time `left` nanoseconds after `now`.
#[must_use]
pub fn due(now: Time, left: u64) -> Time {
    now.after(Duration::from_nanos(left))
}

pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns bytes as two hexadecimal digits each.
pub(crate) fn hex(bytes: &[u8]) -> String {
    // Without a table, for the compiler to do many at once.
    let digit = |digit: u8| digit.wrapping_add(if digit < 10 { b'0' } else { b'a' - 10 });
    let pairs = bytes
        .iter()
        .map(|byte| [digit(byte >> 4), digit(byte & 0xf)]);
    let pairs: Vec<[u8; 2]> = pairs.collect();
    String::from_utf8(pairs.into_flattened()).unwrap_or_default()
}

/// Serialises bytes in the form of [`hex`].
pub(crate) mod bytes {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::hex(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        super::unhex("", &String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// Returns the bytes of a text in the form of [`hex`].
pub(crate) fn unhex(at: &str, text: &str) -> Result<Vec<u8>, RestoreError> {
    let digit = |c: u8| char::from(c).to_digit(16).map(|digit| digit as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match *pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect::<Option<_>>()
        .ok_or_else(|| RestoreError::part(at, "bytes are two hexadecimal digits each"))
}

/// A hash of 32-bit words that is the same in every build and version (FNV-1a, 64 bits).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) fn text(self) -> String {
        format!("{:016x}", self.0)
    }
}

/// Serialises power states under the names that are displayed.
pub(crate) mod power_state {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::power::PowerState;

    pub(crate) fn serialize<S: Serializer>(state: &PowerState, to: S) -> Result<S::Ok, S::Error> {
        state.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PowerState, D::Error> {
        let name = String::deserialize(from)?;
        let mut all = PowerState::ALL.into_iter();
        all.find(|state| state.to_string() == name)
            .ok_or_else(|| D::Error::custom(format!("{name:?} is not a power state")))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, Serialize)]
    struct State {
        a: Option<u8>,
        b: bool,
    }

    #[test]
    fn what_is_read_is_what_was_saved() {
        for (saved, expected) in [
            (json!({"a": null, "b": true}), None),
            (json!({"a": 1, "b": true}), None),
            (json!({"b": true}), Some("x.y: the key \"a\" is missing")),
            (json!({"a": 1}), Some("x.y: missing field `b`")),
            (
                json!({"a": 1, "b": true, "c": 0}),
                Some("x.y: there is no key \"c\" here"),
            ),
            (
                json!({"a": 256, "b": true}),
                Some("x.y: invalid value: integer `256`, expected u8"),
            ),
        ] {
            let error = read::<State>("x.y", &saved).err();
            assert_eq!(
                error.map(|error| error.to_string()).as_deref(),
                expected,
                "{saved}"
            );
        }
    }

    #[test]
    fn bytes_have_two_digits_each() {
        assert_eq!(unhex("x", &hex(&[0, 0x7f, 0xff])), Ok(vec![0, 0x7f, 0xff]));
        for bad in ["0", "0g", "é"] {
            assert!(unhex("x", bad).is_err(), "{bad}");
        }
    }
}
