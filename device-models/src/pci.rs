//! Identifiers of PCI: capability ids and the offsets of registers. Each is defined only here.
//! Silicon, host driver, profiles and tests share them.
//!
//! Linux has them in `<linux/pci_regs.h>`; the comments give its names. The fields inside a register
//! are types of their own beside the structure they belong to, such as
//! [`Command`](crate::config::Command) and [`Pmcsr`](crate::capability::Pmcsr).
//!
//! ```
//! use pci_device_models::pci::{ConventionalId, ExtendedId, header};
//!
//! assert_eq!(ConventionalId::of(0x05), ConventionalId::Msi);
//! assert_eq!(ExtendedId::L1PmSubstates.number(), 0x1e);
//! assert_eq!(header::COMMAND, 4);
//! ```

use serde::Serialize;

/// Size in bytes of conventional PCI's config space (`PCI_CFG_SPACE_SIZE`), and the offset of the
/// extended list.
pub const CONVENTIONAL_SIZE: usize = 0x100;

/// Size in bytes of the config space of a PCI Express function (`PCI_CFG_SPACE_EXP_SIZE`).
pub const EXTENDED_SIZE: usize = 0x1000;

/// Offsets in the type 0 header (PCIe Base §7.5.1.1, §7.5.1.2).
pub mod header {
    /// Vendor ID (`PCI_VENDOR_ID`).
    pub const VENDOR_ID: usize = 0x00;
    /// Command (`PCI_COMMAND`).
    pub const COMMAND: usize = 0x04;
    /// Status (`PCI_STATUS`).
    pub const STATUS: usize = 0x06;
    /// Revision ID, with the class code behind it (`PCI_CLASS_REVISION`).
    pub const CLASS_REVISION: usize = 0x08;
    /// Cache Line Size (`PCI_CACHE_LINE_SIZE`).
    pub const CACHE_LINE_SIZE: usize = 0x0c;
    /// Header Type (`PCI_HEADER_TYPE`).
    pub const HEADER_TYPE: usize = 0x0e;
    /// BIST (`PCI_BIST`).
    pub const BIST: usize = 0x0f;
    /// The first base address register (`PCI_BASE_ADDRESS_0`).
    pub const BASE_ADDRESS_0: usize = 0x10;
    /// Size in bytes of the six base address registers.
    pub const BASE_ADDRESSES_SIZE: usize = 0x18;
    /// CardBus CIS Pointer (`PCI_CARDBUS_CIS`).
    pub const CARDBUS_CIS: usize = 0x28;
    /// Subsystem Vendor ID, with the Subsystem ID behind it (`PCI_SUBSYSTEM_VENDOR_ID`).
    pub const SUBSYSTEM_VENDOR_ID: usize = 0x2c;
    /// Expansion ROM Base Address (`PCI_ROM_ADDRESS`).
    pub const ROM_ADDRESS: usize = 0x30;
    /// Capabilities Pointer (`PCI_CAPABILITY_LIST`).
    pub const CAPABILITIES_POINTER: usize = 0x34;
    /// Interrupt Line (`PCI_INTERRUPT_LINE`).
    pub const INTERRUPT_LINE: usize = 0x3c;
    /// Interrupt Pin (`PCI_INTERRUPT_PIN`).
    pub const INTERRUPT_PIN: usize = 0x3d;
    /// Minimum Grant of conventional PCI (`PCI_MIN_GNT`).
    pub const MIN_GNT: usize = 0x3e;
    /// Maximum Latency of conventional PCI (`PCI_MAX_LAT`).
    pub const MAX_LAT: usize = 0x3f;
    /// Size in bytes of the header (`PCI_STD_HEADER_SIZEOF`).
    pub const SIZE: usize = 0x40;
}

/// Offsets in the PCI Power Management capability (PCIe Base §7.5.2).
pub mod power_management {
    /// Power Management Capabilities (`PCI_PM_PMC`).
    pub const PMC: usize = 2;
    /// Power Management Control/Status (`PCI_PM_CTRL`).
    pub const PMCSR: usize = 4;
    /// Data (`PCI_PM_DATA_REGISTER`).
    pub const DATA: usize = 7;
}

/// Offsets in the MSI capability (PCIe Base §7.7.1). The places of Message Data and the mask depend
/// on the width of the address.
pub mod msi {
    /// Message Control (`PCI_MSI_FLAGS`).
    pub const CONTROL: usize = 2;
    /// Lower half of Message Address (`PCI_MSI_ADDRESS_LO`).
    pub const ADDRESS: usize = 4;
    /// Upper half of Message Address, if there is one (`PCI_MSI_ADDRESS_HI`).
    pub const ADDRESS_HIGH: usize = 8;
    /// Message Data after an address of 32 bits (`PCI_MSI_DATA_32`).
    pub const DATA_32: usize = 8;
    /// Message Data after an address of 64 bits (`PCI_MSI_DATA_64`).
    pub const DATA_64: usize = 12;
}

/// Offsets in the Vendor-Specific capability (PCIe Base §7.9.4).
pub mod vendor_specific {
    /// Length of the whole capability in bytes (`PCI_VNDR_HEADER` is the extended relative).
    pub const LENGTH: usize = 2;
    /// First byte of the vendor's own registers.
    pub const BODY: usize = 3;
}

/// Offsets in the PCI Express capability (PCIe Base §7.5.3).
pub mod express {
    /// Device Capabilities (`PCI_EXP_DEVCAP`).
    pub const DEVICE_CAPABILITIES: usize = 0x04;
    /// Device Control (`PCI_EXP_DEVCTL`).
    pub const DEVICE_CONTROL: usize = 0x08;
    /// Device Status (`PCI_EXP_DEVSTA`).
    pub const DEVICE_STATUS: usize = 0x0a;
    /// Link Control (`PCI_EXP_LNKCTL`).
    pub const LINK_CONTROL: usize = 0x10;
    /// Link Status (`PCI_EXP_LNKSTA`).
    pub const LINK_STATUS: usize = 0x12;
    /// Device Control 2 (`PCI_EXP_DEVCTL2`).
    pub const DEVICE_CONTROL_2: usize = 0x28;
    /// Link Control 2 (`PCI_EXP_LNKCTL2`).
    pub const LINK_CONTROL_2: usize = 0x30;
}

/// Offsets in the MSI-X capability (PCIe Base §7.7.2).
pub mod msix {
    /// Message Control (`PCI_MSIX_FLAGS`).
    pub const CONTROL: usize = 2;
}

/// Offsets in the Advanced Error Reporting capability (PCIe Base §7.8.4).
pub mod error_reporting {
    /// Uncorrectable Error Status (`PCI_ERR_UNCOR_STATUS`).
    pub const UNCORRECTABLE_STATUS: usize = 0x04;
    /// Uncorrectable Error Mask (`PCI_ERR_UNCOR_MASK`).
    pub const UNCORRECTABLE_MASK: usize = 0x08;
    /// Uncorrectable Error Severity (`PCI_ERR_UNCOR_SEVER`).
    pub const UNCORRECTABLE_SEVERITY: usize = 0x0c;
    /// Correctable Error Status (`PCI_ERR_COR_STATUS`).
    pub const CORRECTABLE_STATUS: usize = 0x10;
    /// Correctable Error Mask (`PCI_ERR_COR_MASK`).
    pub const CORRECTABLE_MASK: usize = 0x14;
    /// Advanced Error Capabilities and Control (`PCI_ERR_CAP`).
    pub const CONTROL: usize = 0x18;
    /// Header Log (`PCI_ERR_HEADER_LOG`).
    pub const HEADER_LOG: usize = 0x1c;
    /// TLP Prefix Log (`PCI_ERR_PREFIX_LOG`).
    pub const PREFIX_LOG: usize = 0x38;
}

/// Offsets in the Power Budgeting capability (PCIe Base §7.8.1).
pub mod power_budgeting {
    /// Data Select (`PCI_PWR_DSR`).
    pub const DATA_SELECT: usize = 4;
    /// Data (`PCI_PWR_DATA`).
    pub const DATA: usize = 8;
}

/// Offsets in the extended Vendor-Specific capability (PCIe Base §7.9.5).
pub mod extended_vendor_specific {
    /// First byte of the vendor's own registers, after the two headers.
    pub const BODY: usize = 8;
}

/// Offsets in the Dynamic Power Allocation capability (PCIe Base §7.9.12).
pub mod dynamic_power_allocation {
    /// DPA Capability (`PCI_DPA_CAP`).
    pub const CAPABILITY: usize = 4;
    /// DPA Latency Indicator.
    pub const LATENCY_INDICATOR: usize = 8;
    /// DPA Status.
    pub const STATUS: usize = 0xc;
    /// DPA Control.
    pub const CONTROL: usize = 0xe;
}

/// Offsets in the Single Root I/O Virtualization capability (PCIe Base §9.3.3).
pub mod single_root {
    /// SR-IOV Capabilities (`PCI_SRIOV_CAP`).
    pub const CAPABILITIES: usize = 0x04;
    /// SR-IOV Control (`PCI_SRIOV_CTRL`).
    pub const CONTROL: usize = 0x08;
    /// SR-IOV Status (`PCI_SRIOV_STATUS`).
    pub const STATUS: usize = 0x0a;
    /// InitialVFs (`PCI_SRIOV_INITIAL_VF`).
    pub const INITIAL_VFS: usize = 0x0c;
    /// TotalVFs (`PCI_SRIOV_TOTAL_VF`).
    pub const TOTAL_VFS: usize = 0x0e;
    /// NumVFs (`PCI_SRIOV_NUM_VF`).
    pub const NUM_VFS: usize = 0x10;
    /// Function Dependency Link (`PCI_SRIOV_FUNC_LINK`).
    pub const FUNCTION_DEPENDENCY_LINK: usize = 0x12;
    /// First VF Offset (`PCI_SRIOV_VF_OFFSET`).
    pub const FIRST_VF_OFFSET: usize = 0x14;
    /// VF Stride (`PCI_SRIOV_VF_STRIDE`).
    pub const VF_STRIDE: usize = 0x16;
    /// VF Device ID (`PCI_SRIOV_VF_DID`).
    pub const VF_DEVICE_ID: usize = 0x1a;
    /// Supported Page Sizes (`PCI_SRIOV_SUP_PGSIZE`).
    pub const SUPPORTED_PAGE_SIZES: usize = 0x1c;
    /// System Page Size (`PCI_SRIOV_SYS_PGSIZE`).
    pub const SYSTEM_PAGE_SIZE: usize = 0x20;
    /// VF BAR0, with five more behind it (`PCI_SRIOV_BAR`).
    pub const VF_BAR_0: usize = 0x24;
    /// VF Migration State Array Offset (`PCI_SRIOV_VFM`).
    pub const MIGRATION_STATE_ARRAY: usize = 0x3c;
    /// Size in bytes (`PCI_EXT_CAP_SRIOV_SIZEOF`).
    pub const SIZE: usize = 0x40;
}

/// Offsets in the Latency Tolerance Reporting capability (PCIe Base §7.8.2).
pub mod latency_tolerance {
    /// Max Snoop Latency (`PCI_LTR_MAX_SNOOP_LAT`).
    pub const MAX_SNOOP: usize = 4;
    /// Max No-Snoop Latency (`PCI_LTR_MAX_NOSNOOP_LAT`).
    pub const MAX_NO_SNOOP: usize = 6;
}

/// Offsets in the L1 PM Substates capability (PCIe Base §7.8.3).
pub mod l1_pm_substates {
    /// L1 PM Substates Capabilities (`PCI_L1SS_CAP`).
    pub const CAPABILITIES: usize = 4;
    /// L1 PM Substates Control 1 (`PCI_L1SS_CTL1`).
    pub const CONTROL_1: usize = 8;
    /// L1 PM Substates Control 2 (`PCI_L1SS_CTL2`).
    pub const CONTROL_2: usize = 12;
}

/// Offsets in the Precision Time Measurement capability (PCIe Base §7.9.15).
pub mod precision_time {
    /// PTM Capability (`PCI_PTM_CAP`).
    pub const CAPABILITY: usize = 4;
    /// PTM Control (`PCI_PTM_CTRL`).
    pub const CONTROL: usize = 8;
}

/// Defines the ids of a list. Each number has exactly one value: the named one if it has a name.
macro_rules! ids {
    (
        $(#[$meta:meta])*
        pub enum $name:ident: $number:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $value:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        #[serde(into = "u16")]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
            /// Any other number, about which this crate knows nothing more. [`Self::of`] creates
            /// it.
            Other($number),
        }

        impl $name {
            /// All ids that have a name.
            pub const NAMED: &[Self] = &[$(Self::$variant),*];

            /// Returns the id with this number.
            #[must_use]
            pub const fn of(number: $number) -> Self {
                match number {
                    $($value => Self::$variant,)*
                    other => Self::Other(other),
                }
            }

            /// Returns the number in the list header.
            #[must_use]
            pub const fn number(self) -> $number {
                match self {
                    $(Self::$variant => $value,)*
                    Self::Other(number) => number,
                }
            }
        }

        impl From<$name> for u16 {
            fn from(id: $name) -> Self {
                Self::from(id.number())
            }
        }
    };
}

ids! {
    /// Ids of the list that starts at the Capabilities Pointer (`PCI_CAP_ID_*`). Every table about
    /// capabilities in the host driver is a `match` on this type without a wildcard.
    pub enum ConventionalId: u8 {
        /// PCI Power Management (`PCI_CAP_ID_PM`).
        PowerManagement = 0x01,
        /// MSI (`PCI_CAP_ID_MSI`).
        Msi = 0x05,
        /// Vendor-specific (`PCI_CAP_ID_VNDR`).
        VendorSpecific = 0x09,
        /// PCI Express (`PCI_CAP_ID_EXP`).
        PciExpress = 0x10,
        /// MSI-X (`PCI_CAP_ID_MSIX`).
        Msix = 0x11,
        /// Enhanced Allocation (`PCI_CAP_ID_EA`).
        EnhancedAllocation = 0x14,
    }
}

ids! {
    /// Ids of the list that starts at 100h (`PCI_EXT_CAP_ID_*`). Every table about capabilities in
    /// the host driver is a `match` on this type without a wildcard.
    pub enum ExtendedId: u16 {
        /// Advanced error reporting (`PCI_EXT_CAP_ID_ERR`).
        AdvancedErrorReporting = 0x0001,
        /// Virtual channel (`PCI_EXT_CAP_ID_VC`).
        VirtualChannel = 0x0002,
        /// Device serial number (`PCI_EXT_CAP_ID_DSN`).
        DeviceSerialNumber = 0x0003,
        /// Power budgeting (`PCI_EXT_CAP_ID_PWR`).
        PowerBudgeting = 0x0004,
        /// Vendor-specific (`PCI_EXT_CAP_ID_VNDR`).
        VendorSpecific = 0x000b,
        /// Access control services (`PCI_EXT_CAP_ID_ACS`).
        AccessControlServices = 0x000d,
        /// Address translation services (`PCI_EXT_CAP_ID_ATS`).
        AddressTranslationServices = 0x000f,
        /// Single root I/O virtualization (`PCI_EXT_CAP_ID_SRIOV`).
        SingleRootIoVirtualization = 0x0010,
        /// Page request interface (`PCI_EXT_CAP_ID_PRI`).
        PageRequest = 0x0013,
        /// Resizable BAR (`PCI_EXT_CAP_ID_REBAR`).
        ResizableBar = 0x0015,
        /// Dynamic power allocation (`PCI_EXT_CAP_ID_DPA`).
        DynamicPowerAllocation = 0x0016,
        /// TPH requester (`PCI_EXT_CAP_ID_TPH`).
        TphRequester = 0x0017,
        /// Latency tolerance reporting (`PCI_EXT_CAP_ID_LTR`).
        LatencyToleranceReporting = 0x0018,
        /// Process address space id (`PCI_EXT_CAP_ID_PASID`).
        Pasid = 0x001b,
        /// Downstream port containment (`PCI_EXT_CAP_ID_DPC`).
        DownstreamPortContainment = 0x001d,
        /// L1 PM substates (`PCI_EXT_CAP_ID_L1SS`).
        L1PmSubstates = 0x001e,
        /// Precision time measurement (`PCI_EXT_CAP_ID_PTM`).
        PrecisionTimeMeasurement = 0x001f,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_one_id_and_every_id_its_number() {
        for number in 0..=u8::MAX {
            assert_eq!(ConventionalId::of(number).number(), number);
        }
        for number in 0..=u16::MAX {
            assert_eq!(ExtendedId::of(number).number(), number);
        }
        for id in ConventionalId::NAMED {
            assert_eq!(ConventionalId::of(id.number()), *id);
        }
        for id in ExtendedId::NAMED {
            assert_eq!(ExtendedId::of(id.number()), *id);
        }
    }
}
