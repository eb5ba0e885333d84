//! The account of a fault.

use serde::Serialize;

use super::{What, When};

/// A fault that is set, with the account of its strikes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FaultStatus {
    /// Name.
    pub name: String,
    /// The occasion.
    pub when: When,
    /// The failure.
    pub what: What,
    /// Number of occurrences of the occasion since the fault was set.
    pub occurred: u64,
    /// Number of strikes.
    pub struck: u64,
    /// Time of the last strike in nanoseconds of the device's time. `None` if it has not struck.
    pub last_nanos: Option<u64>,
}
