//! Capabilities: one file each. A capability is a block of registers and the effects of writing
//! them.
//!
//! No capability calls into another. A consequence of a write beyond the capability's own registers
//! is returned as a [`ConfigEffect`], and the function acts on it.
//!
//! ```
//! use pci_device_models::capability::{Capability, DeviceSerialNumber, DsnConfig};
//!
//! let serial = "00-1b-21-ff-ff-aa-bb-cc".to_owned();
//! let capability = DeviceSerialNumber::new(&DsnConfig { offset: None, serial })?;
//! assert!(capability.id().is_extended());
//! assert_eq!(capability.read(1), 0xffaa_bbcc);
//! # Ok::<(), pci_device_models::capability::DsnConfigError>(())
//! ```

/// Saves and restores a capability whose registers are its whole state. Its fields are `registers`
/// and those that the profile fixes, which the macro names. A capability with other fields does not
/// compile.
macro_rules! registers_are_the_state {
    ($($fixed:ident),*) => {
        fn save(&self) -> serde_json::Value {
            let Self { registers, $($fixed: _),* } = self;
            registers.save()
        }

        fn restore(
            &mut self,
            at: &str,
            saved: &serde_json::Value,
            _: &mut Vec<crate::config::ConfigEffect>,
        ) -> Result<(), crate::snapshot::RestoreError> {
            self.registers.restore(at, saved)
        }
    };
}

mod aer;
mod dpa;
mod dsn;
mod enhanced_allocation;
mod l1ss;
mod ltr;
mod msi;
mod msix;
mod pcie;
mod pm;
mod power_budgeting;
mod ptm;
mod raw;
mod rebar;
mod sriov;
mod vendor;

#[cfg(test)]
pub(crate) mod testing;

use std::fmt;

use serde::Serialize;

pub use aer::{AdvancedErrorReporting, AerConfig, AerConfigError, ErrorSeverity};
pub(crate) use aer::{
    Advisory, COMPLETER_ABORT, DetectedError, ErrorKind, ErrorMessages, LogsHeader, POISONED_TLP,
    Recorded, UNSUPPORTED_REQUEST,
};
pub use dpa::{DpaConfig, DpaConfigError, DynamicPowerAllocation};
pub use dsn::{DeviceSerialNumber, DsnConfig, DsnConfigError};
pub use enhanced_allocation::{
    Allocation, EnhancedAllocation, EnhancedAllocationConfig, EnhancedAllocationConfigError,
};
pub use l1ss::{
    L1PmSubstates, L1ssCapabilities, L1ssConfig, L1ssConfigError, L1ssControl1, L1ssControl2,
};
pub use ltr::{LatencyToleranceReporting, LtrConfig, MaxLatency};
pub use msi::{Msi, MsiConfig, MsiConfigError, MsiControl};
pub use msix::{Extent, Msix, MsixConfig, MsixConfigError, MsixControl, MsixRegister};
pub use pcie::{DeviceControl, DeviceControl2, PciExpress, PcieConfig, PcieConfigError, PcieType};
pub(crate) use pm::COMMON_LOGIC;
pub use pm::{AUX_CURRENT_MA, DataRegister, PmConfig, PmConfigError, Pmc, Pmcsr, PowerManagement};
pub use power_budgeting::{
    PowerBudget, PowerBudgeting, PowerBudgetingConfig, PowerBudgetingConfigError,
};
pub use ptm::{PrecisionTimeMeasurement, PtmCapability, PtmConfig, PtmControl};
pub use raw::{Raw, RawConfig, RawConfigError};
pub use rebar::{
    ResizableBar, ResizableBarCapability, ResizableBarConfig, ResizableBarConfigError,
    ResizableBarControl, ResizableBarSizes,
};
pub use sriov::{
    SingleRootIoVirtualization, SriovConfig, SriovConfigError, SriovControl, VfBar,
    VirtualFunctions,
};
pub use vendor::{VendorConfig, VendorConfigError, VendorSpecific};

use crate::config::ConfigEffect;
use crate::pci::{ConventionalId, ExtendedId};
use crate::register::{Block, DwordWrite, ResetKind};
use crate::snapshot::RestoreError;

/// The list that a capability belongs to, and its id there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CapabilityId {
    /// The list that starts at the Capabilities Pointer.
    Conventional(ConventionalId),
    /// The list that starts at 100h (PCIe Base §7.6.3).
    Extended {
        /// Capability id.
        id: ExtendedId,
        /// Capability version, four bits.
        version: u8,
    },
    /// Registers of the device's own, in no list and without a header.
    DeviceSpecific {
        /// The registers are at 100h or above.
        extended: bool,
    },
}

impl CapabilityId {
    /// Returns whether the capability lies at 100h or above.
    #[must_use]
    pub const fn is_extended(self) -> bool {
        match self {
            Self::Conventional(_) => false,
            Self::Extended { .. } => true,
            Self::DeviceSpecific { extended } => extended,
        }
    }

    /// Returns whether it is this id of the extended list, in whatever version.
    pub(crate) fn is_extended_id(self, wanted: ExtendedId) -> bool {
        matches!(self, Self::Extended { id, .. } if id == wanted)
    }

    /// Returns the bits of a header DWORD that hold id, version and next pointer.
    #[must_use]
    pub const fn header_mask(self) -> u32 {
        match self {
            Self::Conventional(_) => 0xffff,
            Self::Extended { .. } => 0xffff_ffff,
            Self::DeviceSpecific { .. } => 0,
        }
    }

    /// Returns the header's bits with the next capability at `next` (0 ends the list).
    #[must_use]
    pub const fn header(self, next: u16) -> u32 {
        match self {
            Self::Conventional(id) => id.number() as u32 | (next as u32 & 0xfc) << 8,
            Self::Extended { id, version } => {
                id.number() as u32 | (version as u32 & 0xf) << 16 | (next as u32 & 0xffc) << 20
            }
            Self::DeviceSpecific { .. } => 0,
        }
    }
}

/// A capability structure in config space.
///
/// Every capability can be inspected, reset and saved: its registers are a [`Block`], and
/// [`Capability::inspect`] must show all other state.
///
/// The registers that the host driver saves and those that it shows to its clients follow from the
/// capability's id: the tables in `host/config_image.rs` and `host/view/permissions.rs` cover every
/// id of [`crate::pci`].
pub trait Capability: fmt::Debug + Send {
    /// Returns the id and the list.
    fn id(&self) -> CapabilityId;

    /// Returns the specification's name in lower case with dashes: `"power-management"`.
    fn name(&self) -> &'static str;

    /// Returns the registers, starting with the header. The header's own bits (id, version, next)
    /// are zero here: their list belongs to the config space.
    fn registers(&self) -> &Block;

    /// Returns the registers for modification; see [`Self::registers`].
    fn registers_mut(&mut self) -> &mut Block;

    /// Returns the value of DWORD `index` as software reads it.
    fn read(&self, index: usize) -> u32 {
        self.registers().read(index)
    }

    /// Handles a write by software to DWORD `index`. Effects are appended in the order in which
    /// they happen.
    fn write(&mut self, index: usize, write: DwordWrite, effects: &mut Vec<ConfigEffect>) {
        let _ = effects;
        self.registers_mut().write(index, write);
    }

    /// Clears the state that a reset of this kind clears.
    fn reset(&mut self, kind: ResetKind) {
        self.registers_mut().reset(kind);
    }

    /// Returns the whole state. An implementation adds the state that is not in the registers.
    fn save(&self) -> serde_json::Value;

    /// Restores the state that [`Self::save`] returned; `at` is its place in the tree. Consequences
    /// for the rest of the function are appended to `effects`. The function acts on
    /// [`ConfigEffect::BarSize`] only, since the rest of its state is restored separately.
    /// # Errors
    /// The tree does not fit this capability.
    fn restore(
        &mut self,
        at: &str,
        saved: &serde_json::Value,
        effects: &mut Vec<ConfigEffect>,
    ) -> Result<(), RestoreError>;

    /// Returns the state field by field, for people.
    fn inspect(&self) -> serde_json::Value;
}
