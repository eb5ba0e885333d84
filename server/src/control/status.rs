//! The status of a served function.

use pci_device_models::host;
use pci_device_models::slot::{FunctionNumber, LinkState};
use serde::{Deserialize, Serialize};

use crate::stats::ConnectionStats;

/// The `ok` value of the verb `status`.
///
/// ```
/// use dormouse::models::power::PowerState;
/// use dormouse::testing::Function;
///
/// let mut served = Function::profile("testdev").start()?;
/// let _client = served.client()?;
/// let status = served.status()?;
/// assert_eq!(status.connection.clients, 1);
/// assert_eq!(status.device.power_state, PowerState::D0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunctionStatus {
    /// The name of the function.
    pub name: String,
    /// The name of its slot.
    pub slot: String,
    /// Its number in the slot.
    pub number: FunctionNumber,
    /// The state of the slot's link.
    pub link: LinkState,
    /// The kind of the server's clock.
    pub clock: ClockKind,
    /// The function's own time in nanoseconds. It stands still while the function is stopped for
    /// migration.
    pub nanos: u64,
    /// Counters of the function's connections.
    pub connection: ConnectionStats,
    /// The function behind its host driver.
    #[serde(flatten)]
    pub device: host::Status,
}

/// The kind of a server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockKind {
    /// Time passes.
    Monotonic,
    /// Time passes when the clock is told to move forward.
    Manual,
}
