//! Events for observers of a device.

use serde::Serialize;

use super::hotplug::CardState;
use super::runtime_pm::RuntimeStatus;
use crate::capability::ErrorSeverity;
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
    /// The host asked the clients for the device, by the irq index REQ.
    #[serde(rename = "req")]
    Request {
        /// Number of requests before this one, of the same removal.
        count: u32,
        /// A trigger was bound, and is signalled.
        signalled: bool,
    },
    /// The card left its slot or came into it, or the host learnt of that.
    Card {
        /// It is in its slot now.
        present: bool,
        /// The host's knowledge of it.
        state: CardState,
    },
    /// The host reported an uncorrectable error to the clients, by the irq index ERR.
    #[serde(rename = "err")]
    Error {
        /// A trigger was bound, and is signalled.
        signalled: bool,
    },
    /// A fault of a host's operation struck ([`crate::fault`]).
    Fault {
        /// Name of the fault.
        fault: String,
        /// The failure.
        what: String,
        /// Number of its strikes so far.
        count: u64,
    },
    /// The host has handled an uncorrectable error of the function (`pcie_do_recovery`).
    ErrorRecovery {
        /// Severity of the error.
        severity: ErrorSeverity,
        /// The function answers.
        recovered: bool,
    },
    /// The port above the slot changed its state.
    Port {
        /// State now.
        power_state: PowerState,
    },
}
