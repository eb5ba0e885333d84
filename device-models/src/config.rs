//! Config space: the type 0 header, the capability lists and the way an access takes through them.

mod bar;
mod header;
mod space;

pub use bar::{BarConfig, BarError, BarKind, MAX_BARS};
pub use header::{Command, Header, HeaderConfig, Status};
pub use space::{AnyCapability, ConfigSpace, LayoutError, Placement};

use serde::Serialize;

use crate::power::{PowerState, Transition};

/// What a config write causes beyond the registers it changes.
///
/// Effects come in the order in which hardware performs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigEffect {
    /// Command changed: decoding, bus mastering or `Interrupt Disable` may be different.
    Command,
    /// `PME_En` or `PME_Status` changed.
    Pme,
    /// Software asked for another power state.
    PowerState {
        /// State before.
        from: PowerState,
        /// State asked for.
        to: PowerState,
        /// Whether the function follows.
        transition: Transition,
    },
    /// MSI or MSI-X was enabled, disabled, masked or unmasked: pending messages may go out and INTx
    /// may be taken back or asserted.
    Messages,
    /// Initiate Function Level Reset was written on a function that has it. The write itself is
    /// complete before the reset begins (PCIe Base §6.6.2).
    FunctionLevelReset,
    /// A Resizable BAR takes another size.
    BarSize {
        /// BAR index, 0 to 5.
        bar: u8,
        /// New size in bytes, a power of two.
        size: u64,
    },
    /// Another Dynamic Power Allocation substate was asked for.
    PowerAllocation,
}
