//! Regions.

use bitflags::bitflags;

use super::kernel;

numbered! {
    /// Regions of a PCI device (`VFIO_PCI_*_REGION_INDEX`).
    pub enum RegionIndex: u32 {
        /// The first base address register.
        Bar0 = kernel::VFIO_PCI_BAR0_REGION_INDEX,
        /// The second base address register.
        Bar1 = kernel::VFIO_PCI_BAR1_REGION_INDEX,
        /// The third base address register.
        Bar2 = kernel::VFIO_PCI_BAR2_REGION_INDEX,
        /// The fourth base address register.
        Bar3 = kernel::VFIO_PCI_BAR3_REGION_INDEX,
        /// The fifth base address register.
        Bar4 = kernel::VFIO_PCI_BAR4_REGION_INDEX,
        /// The sixth base address register.
        Bar5 = kernel::VFIO_PCI_BAR5_REGION_INDEX,
        /// The expansion ROM.
        Rom = kernel::VFIO_PCI_ROM_REGION_INDEX,
        /// Configuration space.
        Config = kernel::VFIO_PCI_CONFIG_REGION_INDEX,
        /// Legacy VGA ranges.
        Vga = kernel::VFIO_PCI_VGA_REGION_INDEX,
    }
}

impl RegionIndex {
    /// Regions of a PCI device that has none of its own kind (`VFIO_PCI_NUM_REGIONS`).
    pub const COUNT: u32 = kernel::VFIO_PCI_NUM_REGIONS;

    /// Returns the number of the base address register whose region it is.
    pub const fn bar(self) -> Option<u8> {
        match self {
            Self::Bar0 | Self::Bar1 | Self::Bar2 | Self::Bar3 | Self::Bar4 | Self::Bar5 => {
                Some(self as u8)
            }
            Self::Rom | Self::Config | Self::Vga => None,
        }
    }
}

bitflags! {
    /// Properties of a region (`VFIO_REGION_INFO_FLAG_*`). Unknown bits are kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct RegionFlags: u32 {
        /// Reading.
        const READ = kernel::VFIO_REGION_INFO_FLAG_READ;
        /// Writing.
        const WRITE = kernel::VFIO_REGION_INFO_FLAG_WRITE;
        /// Mapping, as a whole or in the areas of a capability.
        const MMAP = kernel::VFIO_REGION_INFO_FLAG_MMAP;
        /// Capabilities follow. Encoding sets this bit and parsing removes it, since the
        /// capabilities themselves show it.
        const CAPS = kernel::VFIO_REGION_INFO_FLAG_CAPS;
        const _ = !0;
    }
}
