//! The client's view of the function.
//!
//! | | [`hardware`] | [`vfio_pci`] |
//! |---|---|---|
//! | config space | the function's own | with vfio-pci's permissions on top: PME hidden, BARs virtual |
//! | PMCSR `PowerState` | the function's register | a request to the host's PCI core |
//! | a BAR that does not decode | all ones | EIO |
//! | a region's end | no access beyond it | a short count |
//! | MSI-X table | registers of a BAR | all ones |
//! | reset | the function's registers are reset | config space is restored afterwards |

mod hardware;
mod permissions;
mod vfio_pci;
mod virtual_pme;

use serde::{Deserialize, Serialize};

pub(super) use vfio_pci::{SavedVirtualConfig, VirtualConfig, find};

/// The view that a device gives to its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// Accesses reach the function as on a bus.
    #[default]
    Hardware,
    /// Config space and errors are those of Linux vfio-pci.
    VfioPci,
}
