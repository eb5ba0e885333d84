//! What a function does to the world around it.

use serde::Serialize;

use crate::dma::DmaRequest;
use crate::host::RuntimeStatus;
use crate::power::PowerState;
use crate::register::ResetKind;
use crate::violation::Violation;

/// Which capability a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageKind {
    /// MSI.
    Msi,
    /// MSI-X.
    Msix,
}

/// Something that leaves the function, in the order in which it left.
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
    /// A DMA transfer was started; its outcome goes to [`crate::function::Function::dma_done`].
    Dma(DmaRequest),
    /// The function lost state. Whoever programmed it may have to do so again.
    Reset(ResetKind),
    /// Something worth telling those who watch.
    Event(Event),
}

/// A change of state that can be traced. Serialises as `{"event": "d-state", …}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The power state changed.
    DState {
        /// State before.
        from: PowerState,
        /// State after.
        to: PowerState,
    },
    /// The function was reset.
    Reset {
        /// Which reset.
        kind: ResetKind,
    },
    /// Main power was switched.
    Rail {
        /// Whether it is on now.
        on: bool,
    },
    /// The INTx wire changed level.
    Intx {
        /// Whether it is asserted now.
        asserted: bool,
    },
    /// A `PM_PME` message went to the root (PCIe Base §5.3.3.4).
    PmPme,
    /// `PME_Turn_Off` was acknowledged.
    PmeToAck,
    /// The wake signal (WAKE# or beacon) changed.
    Wake {
        /// Whether it is asserted now.
        asserted: bool,
    },
    /// The host put the device to sleep or woke it.
    RuntimeStatus {
        /// Status now.
        status: RuntimeStatus,
    },
    /// The client was told of a wake-up.
    Wakeup,
    /// Software did what hardware leaves undefined or forbids.
    Violation {
        /// What it did.
        #[serde(flatten)]
        violation: Violation,
    },
}
