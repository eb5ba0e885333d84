//! Reasons for which the host driver refuses a request.

use thiserror::Error;
use vfio_user_protocol::{Errno, MessageError};

use crate::power::PowerState;
use crate::slot::FunctionNumber;

/// A request that the host driver refuses, with the errno that Linux vfio-pci gives.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HostError {
    /// No region has this index.
    #[error("region {index} does not exist; regions are 0 to 8")]
    NoSuchRegion {
        /// Requested index.
        index: u32,
    },
    /// The region has no bytes.
    #[error("region {index} is not implemented by this function")]
    EmptyRegion {
        /// Requested index.
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
    /// An access leaves config space, where vfio-pci answers EFAULT.
    #[error("{len} bytes at {offset:#x} leave config space, which has {size:#x} bytes")]
    OutsideConfig {
        /// First byte of the access.
        offset: u64,
        /// Length of the access.
        len: usize,
        /// Size of config space.
        size: u64,
    },
    /// The expansion ROM cannot be written.
    #[error("the expansion ROM is read-only")]
    RomWrite,
    /// The ROM does not decode, so it cannot be mapped.
    #[error("the expansion ROM does not decode: memory decoding is off or the function is asleep")]
    RomAsleep,
    /// A memory region does not decode.
    #[error("region {index} does not decode: memory decoding is off or the function is asleep")]
    MemoryDisabled {
        /// Region.
        index: u32,
    },
    /// No irq has this index.
    #[error("irq index {index} does not exist; there are {count}")]
    NoSuchIrq {
        /// Requested index.
        index: u32,
        /// Number of indexes of this device.
        count: u32,
    },
    /// The vectors exceed those of the index.
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
    /// The action is impossible now, or not in this form.
    #[error("irq index {index}: {what}")]
    IrqForm {
        /// Irq index.
        index: u32,
        /// The mistake and the correct form.
        what: &'static str,
    },
    /// The index does not support the action.
    #[error("irq index {index}: {what}")]
    IrqUnsupported {
        /// Irq index.
        index: u32,
        /// The mistake and the correct form.
        what: &'static str,
    },
    /// The device did not wake up, with the error that the runtime power management core gives.
    #[error("the device did not resume: {errno}")]
    Resume {
        /// The core's error.
        errno: Errno,
    },
    /// The device did not wake up for a request. The driver hides the reason.
    #[error("the device did not resume for this request: {cause}")]
    NotAwake {
        /// The core's error, which only the host's log shows.
        cause: Errno,
    },
    /// The PCI core did not change the power state.
    #[error("the power state cannot become {to}")]
    PowerState {
        /// Requested state.
        to: PowerState,
        /// The core's error.
        errno: Errno,
    },
    /// The function has no reset that works.
    #[error("the function has no reset that works")]
    NoReset,
    /// The function did not answer after any of its resets.
    #[error("the function does not answer after a reset; the host gave up waiting for it")]
    NotReady,
    /// A reset of the bus would reach a function that this driver does not have.
    #[error("the slot has functions without this driver, so its bus cannot be reset")]
    NoBusReset,
    /// A virtual function has no bus of its own that could be reset.
    #[error("a virtual function has no bus of its own, so there is no bus reset for it")]
    NoBus,
    /// The virtual function does not exist.
    #[error(
        "the virtual function does not exist; enable it with sriov-numvfs or VF Enable of function {physical}"
    )]
    NoVirtualFunction {
        /// Number of its physical function.
        physical: FunctionNumber,
    },
    /// The host has given the device up, or is about to.
    #[error("the host gives the device up: its card leaves the slot, or has left it")]
    Leaving,
    /// There is no card in the slot.
    #[error("there is no card in the slot; put one in with insert")]
    NoCard,
    /// There is a card in the slot.
    #[error("there is a card in the slot; take it out with remove")]
    Occupied,
    /// The card is being removed already.
    #[error(
        "the host is removing the card already and waits for its clients; take it out at once with remove and surprise"
    )]
    Unconfiguring,
    /// The function has no SR-IOV capability.
    #[error("the function has no SR-IOV capability")]
    NoSriov,
    /// The driver does not enable virtual functions (module parameter `enable_sriov`).
    #[error("the driver does not enable virtual functions; set host.enable-sriov = true")]
    SriovDisabled,
    /// More virtual functions were requested than there can be.
    #[error("{count} virtual functions; there can be {total}")]
    TooManyVfs {
        /// Requested number.
        count: u16,
        /// `TotalVFs`.
        total: u16,
    },
    /// Virtual functions exist or are being removed, and not as many as requested.
    #[error("{number} virtual functions are enabled; disable them first")]
    VfsEnabled {
        /// Their number.
        number: u16,
    },
    /// Another user holds the device.
    #[error("the device is locked by somebody else")]
    ResetBusy,
    /// A fault makes the reset fail.
    #[error("the reset fails by a fault that is set")]
    ResetFailed {
        /// The errno of the fault.
        errno: Errno,
    },
    /// The device feature does not exist in this dialect.
    #[error("device feature {feature} does not exist here")]
    NoSuchFeature {
        /// Feature number.
        feature: u16,
    },
    /// The request is malformed.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A device feature request came at the wrong time or with the wrong descriptor.
    #[error("device feature: {what}")]
    Feature {
        /// The mistake and the correct form.
        what: &'static str,
    },
    /// The device is stopped for migration, which does not allow this request.
    #[error("the device is stopped for migration")]
    Stopped,
    /// A feature requires a file descriptor that did not come.
    #[error("device feature: no eventfd came with the request")]
    MissingDescriptor,
}

impl HostError {
    /// Returns the error of a request for which the device did not wake because of `cause`.
    pub(super) const fn not_awake(cause: &Self) -> Self {
        Self::NotAwake {
            cause: cause.errno(),
        }
    }

    /// Returns the errno that vfio-pci gives in this case.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::NoSuchRegion { .. }
            | Self::EmptyRegion { .. }
            | Self::OutsideRegion { .. }
            | Self::RomWrite
            | Self::NoSuchIrq { .. }
            | Self::IrqRange { .. }
            | Self::IrqForm { .. }
            | Self::NoReset
            | Self::NoBusReset
            | Self::Feature { .. } => Errno::EINVAL,
            Self::OutsideConfig { .. } => Errno::EFAULT,
            Self::RomAsleep => Errno::ENOMEM,
            Self::MemoryDisabled { .. } | Self::NotAwake { .. } => Errno::EIO,
            Self::IrqUnsupported { .. } | Self::NoSuchFeature { .. } | Self::NotReady => {
                Errno::ENOTTY
            }
            Self::Resume { errno }
            | Self::ResetFailed { errno }
            | Self::PowerState { errno, .. } => *errno,
            Self::Message(error) => error.errno(),
            Self::ResetBusy => Errno::EAGAIN,
            Self::NoBus | Self::NoVirtualFunction { .. } | Self::Leaving | Self::NoCard => {
                Errno::ENODEV
            }
            Self::NoSriov | Self::SriovDisabled => Errno::ENOENT,
            Self::TooManyVfs { .. } => Errno::ERANGE,
            Self::Stopped | Self::VfsEnabled { .. } | Self::Occupied | Self::Unconfiguring => {
                Errno::EBUSY
            }
            Self::MissingDescriptor => Errno::EBADF,
        }
    }
}
