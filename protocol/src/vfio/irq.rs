//! Interrupts.

use bitflags::bitflags;
use serde::{Deserialize, Serialize};

use super::kernel;

numbered! {
    /// Interrupt types of a PCI device (`VFIO_PCI_*_IRQ_INDEX`).
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum IrqIndex: u32 {
        /// The INTx pin.
        Intx = kernel::VFIO_PCI_INTX_IRQ_INDEX,
        /// MSI.
        Msi = kernel::VFIO_PCI_MSI_IRQ_INDEX,
        /// MSI-X.
        Msix = kernel::VFIO_PCI_MSIX_IRQ_INDEX,
        /// An error the device cannot recover from.
        Err = kernel::VFIO_PCI_ERR_IRQ_INDEX,
        /// A request to release the device.
        Req = kernel::VFIO_PCI_REQ_IRQ_INDEX,
        /// Wake event of the v4 dialect (`VFIO_PCI_PME_IRQ_INDEX` of the series as posted in July
        /// 2022). Mainline does not have it.
        Pme = kernel::VFIO_PCI_NUM_IRQS,
    }
}

impl IrqIndex {
    /// Interrupt types of mainline (`VFIO_PCI_NUM_IRQS`).
    pub const COUNT: u32 = kernel::VFIO_PCI_NUM_IRQS;

    /// Interrupt types of the v4 dialect: those of mainline and [`Self::Pme`].
    pub const V4_COUNT: u32 = Self::COUNT + 1;
}

bitflags! {
    /// Properties of an interrupt type (`VFIO_IRQ_INFO_*`). Unknown bits are kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct IrqInfoFlags: u32 {
        /// Vectors can be bound to eventfds.
        const EVENTFD = kernel::VFIO_IRQ_INFO_EVENTFD;
        /// Vectors can be masked and unmasked.
        const MASKABLE = kernel::VFIO_IRQ_INFO_MASKABLE;
        /// A vector is masked automatically when it fires.
        const AUTOMASKED = kernel::VFIO_IRQ_INFO_AUTOMASKED;
        /// The number of vectors in use changes only by disabling all of them first.
        const NORESIZE = kernel::VFIO_IRQ_INFO_NORESIZE;
        const _ = !0;
    }
}

bitflags! {
    /// An action on interrupts (`VFIO_IRQ_SET_*`): one data bit and one action bit.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct IrqSetFlags: u32 {
        /// No data: the action is for all vectors of the range.
        const DATA_NONE = kernel::VFIO_IRQ_SET_DATA_NONE;
        /// A byte per vector says whether the action is for it.
        const DATA_BOOL = kernel::VFIO_IRQ_SET_DATA_BOOL;
        /// The action's eventfds are bound or unbound.
        const DATA_EVENTFD = kernel::VFIO_IRQ_SET_DATA_EVENTFD;
        /// Mask.
        const ACTION_MASK = kernel::VFIO_IRQ_SET_ACTION_MASK;
        /// Unmask.
        const ACTION_UNMASK = kernel::VFIO_IRQ_SET_ACTION_UNMASK;
        /// Interrupt.
        const ACTION_TRIGGER = kernel::VFIO_IRQ_SET_ACTION_TRIGGER;
    }
}

impl IrqSetFlags {
    /// The data bits.
    pub const DATA: Self = Self::from_bits_retain(kernel::VFIO_IRQ_SET_DATA_TYPE_MASK);

    /// The action bits.
    pub const ACTION: Self = Self::from_bits_retain(kernel::VFIO_IRQ_SET_ACTION_TYPE_MASK);
}
