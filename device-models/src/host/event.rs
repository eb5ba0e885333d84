//! Events for observers of a device.

use serde::Serialize;

use super::runtime_pm::RuntimeStatus;
use crate::effect::FunctionEvent;
use crate::power::PowerState;

/// Something that happened to a device. Serialises as `{"event": "d-state", …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// An event of the function.
    Function(FunctionEvent),
    /// An event of the host layer.
    Host(HostEvent),
}

/// Something that happened in the host layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum HostEvent {
    /// The host put the device to sleep or woke it.
    RuntimeStatus {
        /// Status now.
        status: RuntimeStatus,
    },
    /// The host signalled a wake-up to the client.
    Wakeup,
    /// A fault of a host's operation struck ([`crate::fault`]).
    Fault {
        /// Name of the fault.
        fault: String,
        /// The failure.
        what: String,
        /// Number of its strikes so far.
        count: u64,
    },
    /// The port above the slot changed its state.
    Port {
        /// State now.
        power_state: PowerState,
    },
}
