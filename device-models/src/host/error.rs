//! Why the host driver refuses a request.

use thiserror::Error;

/// A request that makes no sense for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HostError {
    /// No region has this index.
    #[error("region {index} does not exist; regions are 0 to 8")]
    NoSuchRegion {
        /// Index asked for.
        index: u32,
    },
    /// An access leaves its region.
    #[error("{len} bytes at {offset:#x} leave region {index}, which has {size:#x} bytes")]
    OutsideRegion {
        /// Region.
        index: u32,
        /// First byte of the access.
        offset: u64,
        /// Length of the access.
        len: usize,
        /// Size of the region.
        size: u64,
    },
    /// No irq has this index.
    #[error("irq index {index} does not exist; indexes are 0 to 4")]
    NoSuchIrq {
        /// Index asked for.
        index: u32,
    },
    /// Vectors beyond what the index has.
    #[error("vectors {start}+{count} of irq index {index}, which has {available}")]
    IrqRange {
        /// Irq index.
        index: u32,
        /// First vector.
        start: u32,
        /// Number of vectors.
        count: u32,
        /// Vectors of the index.
        available: u32,
    },
    /// An action that the index does not have, or not in this form.
    #[error("irq index {index}: {what}")]
    IrqForm {
        /// Irq index.
        index: u32,
        /// What is wrong and what would be right.
        what: &'static str,
    },
}

impl HostError {
    /// The errno that vfio-pci gives in this case: always EINVAL (22).
    #[must_use]
    pub const fn errno(self) -> i32 {
        match self {
            Self::NoSuchRegion { .. }
            | Self::OutsideRegion { .. }
            | Self::NoSuchIrq { .. }
            | Self::IrqRange { .. }
            | Self::IrqForm { .. } => 22,
        }
    }
}
