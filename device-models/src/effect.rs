//! The effects of a function on its environment.
//!
//! ```
//! use pci_device_models::effect::FunctionEvent;
//! use pci_device_models::power::PowerState;
//!
//! let event = FunctionEvent::DState { from: PowerState::D0, to: PowerState::D3hot };
//! let line = serde_json::to_string(&event)?;
//! assert_eq!(line, r#"{"event":"d-state","from":"D0","to":"D3hot"}"#);
//! # Ok::<(), serde_json::Error>(())
//! ```

use serde::Serialize;
use serde_json::Value;

use crate::capability::{ErrorSeverity, VirtualFunctions};
use crate::dma::DmaRequest;
use crate::power::PowerState;
use crate::register::ResetKind;
use crate::violation::{Violation, cut};

/// The capability that sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageKind {
    /// MSI.
    Msi,
    /// MSI-X.
    Msix,
}

/// A notice of the driver above the function to its clients, which they get by an interrupt of its own
/// index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Notice {
    /// The host asks for its device back (`VFIO_PCI_REQ_IRQ_INDEX`).
    Request,
    /// The host found an uncorrectable error of the device (`VFIO_PCI_ERR_IRQ_INDEX`).
    Error,
}

/// An effect of the function, in the order in which it happened.
#[derive(Debug)]
pub enum Effect {
    /// The INTx wire changed level.
    Intx(bool),
    /// A message signalled interrupt was sent.
    Message {
        /// MSI or MSI-X.
        kind: MessageKind,
        /// Vector.
        vector: u16,
    },
    /// A DMA transfer was started. Its outcome goes to [`crate::function::Function::dma_done`].
    Dma(DmaRequest),
    /// The function lost state. Its driver may have to program it again.
    Reset(ResetKind),
    /// Virtual functions of the function come, go or change with it. They follow its power state.
    VirtualFunctions(VirtualFunctions, PowerState),
    /// The driver above the function notifies its clients.
    Notice(Notice),
    /// The port above contains an error of the function, or does not any more. All functions of the slot are
    /// behind its link.
    Containment(bool),
    /// An event for observers.
    Event(FunctionEvent),
}

/// Maximum length in bytes of the name of a model's event, and of its data as JSON.
const NAME_LENGTH: usize = 64;
const DATA_LENGTH: usize = 1024;

/// A change of a function's state that can be traced. Serialises as `{"event": "d-state", …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum FunctionEvent {
    /// The power state changed.
    DState {
        /// State before.
        from: PowerState,
        /// State after.
        to: PowerState,
    },
    /// The function was reset.
    Reset {
        /// The kind of reset.
        kind: ResetKind,
    },
    /// Main power was switched.
    Rail {
        /// Main power is on now.
        on: bool,
    },
    /// The INTx wire changed level.
    Intx {
        /// INTx is asserted now.
        asserted: bool,
    },
    /// A `PM_PME` message went to the root (PCIe Base §5.3.3.4).
    PmPme,
    /// A message that reports an error (`ERR_COR`, `ERR_NONFATAL`, `ERR_FATAL`) went to the root (PCIe Base
    /// §2.2.8.3).
    ErrorMessage {
        /// Severity that the message reports.
        severity: ErrorSeverity,
    },
    /// `PME_Turn_Off` was acknowledged.
    PmeToAck,
    /// The wake signal (WAKE# or beacon) changed.
    Wake {
        /// The wake signal is asserted now.
        asserted: bool,
    },
    /// The port above took the link down to contain errors, or brought it up again (PCIe Base §6.2.11).
    Containment {
        /// The link is down now.
        contained: bool,
    },
    /// The function, a virtual one, came into being or ceased to exist.
    VirtualFunction {
        /// It exists now.
        exists: bool,
    },
    /// Software did something that hardware leaves undefined or forbids.
    Violation {
        /// The violation.
        #[serde(flatten)]
        violation: Violation,
    },
    /// A fault struck ([`crate::fault`]).
    Fault {
        /// Name of the fault.
        fault: String,
        /// The failure.
        what: String,
        /// Number of its strikes so far.
        count: u64,
    },
    /// The device model reported an event ([`crate::model::Context::event`]).
    Model {
        /// The event's name, which is the model's own.
        name: String,
        /// The event's data.
        data: Value,
    },
}

impl FunctionEvent {
    /// Creates an event of the device model. The name is cut to its limit; data beyond its own
    /// limit is left out.
    pub(crate) fn model(name: &str, data: Value) -> Self {
        let fits = data.to_string().len() <= DATA_LENGTH;
        Self::Model {
            name: cut(name, NAME_LENGTH).to_owned(),
            data: if fits { data } else { Value::Null },
        }
    }
}
