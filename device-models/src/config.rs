//! Config space: the type 0 header, the capability lists and the path of an access through them.
//!
//! ```
//! use pci_device_models::model::Registry;
//! use pci_device_models::profile::Profile;
//!
//! let text = Profile::builtin("testdev").expect("it is built in");
//! let function = Profile::parse("testdev", text, &[])?.function(&Registry::builtin())?;
//! let mut identity = [0; 4];
//! function.config().read(0, &mut identity);
//! assert_eq!(identity, [0x34, 0x12, 0xc0, 0xd3]);
//! # Ok::<(), pci_device_models::profile::ProfileError>(())
//! ```

mod bar;
mod header;
mod space;

pub use bar::{BarConfig, BarError, BarKind, MAX_BARS};
pub use header::{Command, Header, HeaderConfig, Status};
pub use space::{AnyCapability, ConfigSpace, LayoutError, Placement};

use serde::Serialize;

use crate::power::{PowerState, Transition};

/// A consequence of a config write beyond the registers that it changes.
///
/// Effects come in the order in which hardware performs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigEffect {
    /// Command changed, which may affect decoding, bus mastering or `Interrupt Disable`.
    Command,
    /// `PME_En` or `PME_Status` changed.
    Pme,
    /// Software requested another power state.
    PowerState {
        /// State before.
        from: PowerState,
        /// Requested state.
        to: PowerState,
        /// The function's answer to the request.
        transition: Transition,
    },
    /// MSI or MSI-X was enabled, disabled, masked or unmasked. The function may now send pending
    /// messages, and may assert or release INTx.
    Messages,
    /// Software wrote Initiate Function Level Reset on a function that has it. The write itself is
    /// complete before the reset begins (PCIe Base §6.6.2).
    FunctionLevelReset,
    /// Software selected another size of a Resizable BAR.
    BarSize {
        /// BAR index, 0 to 5.
        bar: u8,
        /// New size in bytes, a power of two.
        size: u64,
    },
    /// Software requested another Dynamic Power Allocation substate.
    PowerAllocation,
    /// Software changed which virtual functions exist, or whether their memory decodes.
    VirtualFunctions,
}
