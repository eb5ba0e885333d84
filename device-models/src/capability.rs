//! Capabilities: one file each, every one a block of registers plus the effects of writing them.
//!
//! A capability never reaches into another. What a write causes beyond its own registers comes out
//! as a [`ConfigEffect`], and the function acts on it.

/// Saves and restores a capability whose registers are its whole state. Its fields are `registers` and
/// those that the profile fixes, which are named; with another it does not compile.
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
mod l1ss;
mod ltr;
mod msi;
mod msix;
mod pcie;
mod pm;
mod power_budgeting;
mod raw;
mod rebar;
mod vendor;

#[cfg(test)]
pub(crate) mod testing;

use std::fmt;

use serde::Serialize;

pub use aer::{AdvancedErrorReporting, AerConfig, AerConfigError};
pub use dpa::{DpaConfig, DpaConfigError, DynamicPowerAllocation};
pub use dsn::{DeviceSerialNumber, DsnConfig, DsnConfigError};
pub use l1ss::{
    L1PmSubstates, L1ssCapabilities, L1ssConfig, L1ssConfigError, L1ssControl1, L1ssControl2,
};
pub use ltr::{LatencyToleranceReporting, LtrConfig, MaxLatency};
pub use msi::{Msi, MsiConfig, MsiConfigError, MsiControl};
pub use msix::{Extent, Msix, MsixConfig, MsixConfigError, MsixControl, MsixRegister};
pub use pcie::{DeviceControl, DeviceControl2, PciExpress, PcieConfig, PcieConfigError, PcieType};
pub use pm::{AUX_CURRENT_MA, DataRegister, PmConfig, PmConfigError, Pmc, Pmcsr, PowerManagement};
pub use power_budgeting::{
    PowerBudget, PowerBudgeting, PowerBudgetingConfig, PowerBudgetingConfigError,
};
pub use raw::{Raw, RawConfig, RawConfigError};
pub use rebar::{
    ResizableBar, ResizableBarCapability, ResizableBarConfig, ResizableBarConfigError,
    ResizableBarControl, ResizableBarSizes,
};
pub use vendor::{VendorConfig, VendorConfigError, VendorSpecific};

use crate::config::ConfigEffect;
use crate::pci::{ConventionalId, ExtendedId};
use crate::register::{Block, DwordWrite, ResetKind};
use crate::snapshot::RestoreError;

/// Which list a capability is in, and its id there.
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
    /// No list: registers of the device's own, without a header.
    DeviceSpecific {
        /// Whether they are at 100h and beyond.
        extended: bool,
    },
}

impl CapabilityId {
    /// Whether the capability lives at 100h and beyond.
    #[must_use]
    pub const fn is_extended(self) -> bool {
        match self {
            Self::Conventional(_) => false,
            Self::Extended { .. } => true,
            Self::DeviceSpecific { extended } => extended,
        }
    }

    /// The bits of a header DWORD that hold id, version and next pointer.
    #[must_use]
    pub const fn header_mask(self) -> u32 {
        match self {
            Self::Conventional(_) => 0xffff,
            Self::Extended { .. } => 0xffff_ffff,
            Self::DeviceSpecific { .. } => 0,
        }
    }

    /// The header's bits with the next capability at `next` (0 ends the list).
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
/// The bounds make sure that what cannot be inspected, reset or saved does not exist: registers are
/// a [`Block`], everything else a capability holds must be visible in [`Capability::inspect`].
///
/// What the host driver saves of a capability and shows to its clients follows from its id: the
/// tables in `host/config_image.rs` and `host/view/permissions.rs` answer for every id of
/// [`crate::pci`].
pub trait Capability: fmt::Debug + Send {
    /// Id and list.
    fn id(&self) -> CapabilityId;

    /// The specification's name in lower case with dashes: `"power-management"`.
    fn name(&self) -> &'static str;

    /// The registers from the header on. The header's own bits (id, version, next) are zero here:
    /// the list they form belongs to the config space.
    fn registers(&self) -> &Block;

    /// As [`Self::registers`].
    fn registers_mut(&mut self) -> &mut Block;

    /// The value of DWORD `index` as software reads it.
    fn read(&self, index: usize) -> u32 {
        self.registers().read(index)
    }

    /// A write by software to DWORD `index`. Effects are appended in the order in which they happen.
    fn write(&mut self, index: usize, write: DwordWrite, effects: &mut Vec<ConfigEffect>) {
        let _ = effects;
        self.registers_mut().write(index, write);
    }

    /// Loses what a reset of this kind loses.
    fn reset(&mut self, kind: ResetKind) {
        self.registers_mut().reset(kind);
    }

    /// The whole state. What is not in the registers has to be added.
    fn save(&self) -> serde_json::Value;

    /// Takes back what [`Self::save`] gave; `at` says where it stands in the tree. What follows for
    /// the rest of the function is appended to `effects`: of those only [`ConfigEffect::BarSize`] is
    /// acted on, since everything else is restored where it belongs.
    ///
    /// # Errors
    /// The tree is not that of this capability.
    fn restore(
        &mut self,
        at: &str,
        saved: &serde_json::Value,
        effects: &mut Vec<ConfigEffect>,
    ) -> Result<(), RestoreError>;

    /// The state field by field, for people.
    fn inspect(&self) -> serde_json::Value;
}
