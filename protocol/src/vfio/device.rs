//! A device as a whole.

use bitflags::bitflags;

use super::kernel;

bitflags! {
    /// Properties of a device (`VFIO_DEVICE_FLAGS_*`). Unknown bits are kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct DeviceFlags: u32 {
        /// DEVICE_RESET works.
        const RESET = kernel::VFIO_DEVICE_FLAGS_RESET;
        /// It is a PCI function.
        const PCI = kernel::VFIO_DEVICE_FLAGS_PCI;
        const _ = !0;
    }
}

numbered! {
    /// Operations on bus mastering (`VFIO_DEVICE_FEATURE_{CLEAR,SET}_MASTER`).
    pub enum BusMasterOperation: u32 {
        /// Clear Bus Master Enable.
        Clear = kernel::VFIO_DEVICE_FEATURE_CLEAR_MASTER,
        /// Set Bus Master Enable.
        Set = kernel::VFIO_DEVICE_FEATURE_SET_MASTER,
    }
}
