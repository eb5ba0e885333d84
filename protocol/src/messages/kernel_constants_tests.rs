//! Numbers that vfio-user took over from the kernel's interface, against bindings made from the
//! kernel's own header.

use vfio_bindings::bindings::vfio as kernel;

use super::device_feature::mig_device_state::DeviceState;
use super::device_feature::migration::MigrationFlags;
use super::device_feature::{Feature, Operation};
use super::device_info::DeviceFlags;
use super::irq_info::{self, IrqFlags};
use super::region_info::{self, Capability, RegionFlags};
use super::set_irqs::IrqSetFlags;

#[test]
fn region_indices_and_flags() {
    for (ours, kernels) in [
        (region_info::BAR0, kernel::VFIO_PCI_BAR0_REGION_INDEX),
        (region_info::BAR1, kernel::VFIO_PCI_BAR1_REGION_INDEX),
        (region_info::BAR2, kernel::VFIO_PCI_BAR2_REGION_INDEX),
        (region_info::BAR3, kernel::VFIO_PCI_BAR3_REGION_INDEX),
        (region_info::BAR4, kernel::VFIO_PCI_BAR4_REGION_INDEX),
        (region_info::BAR5, kernel::VFIO_PCI_BAR5_REGION_INDEX),
        (region_info::ROM, kernel::VFIO_PCI_ROM_REGION_INDEX),
        (region_info::CONFIG, kernel::VFIO_PCI_CONFIG_REGION_INDEX),
        (region_info::VGA, kernel::VFIO_PCI_VGA_REGION_INDEX),
        (region_info::COUNT, kernel::VFIO_PCI_NUM_REGIONS),
        (RegionFlags::READ.bits(), kernel::VFIO_REGION_INFO_FLAG_READ),
        (
            RegionFlags::WRITE.bits(),
            kernel::VFIO_REGION_INFO_FLAG_WRITE,
        ),
        (RegionFlags::MMAP.bits(), kernel::VFIO_REGION_INFO_FLAG_MMAP),
        (RegionFlags::CAPS.bits(), kernel::VFIO_REGION_INFO_FLAG_CAPS),
        (
            Capability::SPARSE_MMAP.into(),
            kernel::VFIO_REGION_INFO_CAP_SPARSE_MMAP,
        ),
        (Capability::TYPE.into(), kernel::VFIO_REGION_INFO_CAP_TYPE),
        (
            Capability::MSIX_MAPPABLE.into(),
            kernel::VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
        ),
        (DeviceFlags::RESET.bits(), kernel::VFIO_DEVICE_FLAGS_RESET),
        (DeviceFlags::PCI.bits(), kernel::VFIO_DEVICE_FLAGS_PCI),
    ] {
        assert_eq!(ours, kernels);
    }
}

#[test]
fn irq_indices_and_flags() {
    for (ours, kernels) in [
        (irq_info::INTX, kernel::VFIO_PCI_INTX_IRQ_INDEX),
        (irq_info::MSI, kernel::VFIO_PCI_MSI_IRQ_INDEX),
        (irq_info::MSIX, kernel::VFIO_PCI_MSIX_IRQ_INDEX),
        (irq_info::ERR, kernel::VFIO_PCI_ERR_IRQ_INDEX),
        (irq_info::REQ, kernel::VFIO_PCI_REQ_IRQ_INDEX),
        (irq_info::COUNT, kernel::VFIO_PCI_NUM_IRQS),
        (IrqFlags::EVENTFD.bits(), kernel::VFIO_IRQ_INFO_EVENTFD),
        (IrqFlags::MASKABLE.bits(), kernel::VFIO_IRQ_INFO_MASKABLE),
        (
            IrqFlags::AUTOMASKED.bits(),
            kernel::VFIO_IRQ_INFO_AUTOMASKED,
        ),
        (IrqFlags::NORESIZE.bits(), kernel::VFIO_IRQ_INFO_NORESIZE),
        (
            IrqSetFlags::DATA_NONE.bits(),
            kernel::VFIO_IRQ_SET_DATA_NONE,
        ),
        (
            IrqSetFlags::DATA_BOOL.bits(),
            kernel::VFIO_IRQ_SET_DATA_BOOL,
        ),
        (
            IrqSetFlags::DATA_EVENTFD.bits(),
            kernel::VFIO_IRQ_SET_DATA_EVENTFD,
        ),
        (
            IrqSetFlags::ACTION_MASK.bits(),
            kernel::VFIO_IRQ_SET_ACTION_MASK,
        ),
        (
            IrqSetFlags::ACTION_UNMASK.bits(),
            kernel::VFIO_IRQ_SET_ACTION_UNMASK,
        ),
        (
            IrqSetFlags::ACTION_TRIGGER.bits(),
            kernel::VFIO_IRQ_SET_ACTION_TRIGGER,
        ),
    ] {
        assert_eq!(ours, kernels);
    }
}

#[test]
fn feature_numbers_and_operations() {
    for (ours, kernels) in [
        (
            Feature::PciVfToken,
            kernel::VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
        ),
        (Feature::Migration, kernel::VFIO_DEVICE_FEATURE_MIGRATION),
        (
            Feature::MigDeviceState,
            kernel::VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
        ),
        (
            Feature::LowPowerEntry,
            kernel::VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
        ),
        (
            Feature::LowPowerEntryWithWakeup,
            kernel::VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
        ),
        (
            Feature::LowPowerExit,
            kernel::VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
        ),
        (
            Feature::DmaLoggingStart,
            kernel::VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
        ),
        (
            Feature::DmaLoggingStop,
            kernel::VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
        ),
        (
            Feature::DmaLoggingReport,
            kernel::VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
        ),
        (
            Feature::MigDataSize,
            kernel::VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
        ),
        (Feature::BusMaster, kernel::VFIO_DEVICE_FEATURE_BUS_MASTER),
    ] {
        assert_eq!(u32::from(ours.number()), kernels);
        assert_eq!(Feature::from_number(ours.number()), Some(ours));
    }
    assert_eq!(Feature::from_number(11), None);
    assert_eq!(Operation::GET.bits(), kernel::VFIO_DEVICE_FEATURE_GET);
    assert_eq!(Operation::SET.bits(), kernel::VFIO_DEVICE_FEATURE_SET);
    assert_eq!(Operation::PROBE.bits(), kernel::VFIO_DEVICE_FEATURE_PROBE);
}

#[test]
fn migration_states_and_flags() {
    for (ours, kernels) in [
        (
            DeviceState::Error,
            kernel::vfio_device_mig_state_VFIO_DEVICE_STATE_ERROR,
        ),
        (
            DeviceState::Stop,
            kernel::vfio_device_mig_state_VFIO_DEVICE_STATE_STOP,
        ),
        (
            DeviceState::Running,
            kernel::vfio_device_mig_state_VFIO_DEVICE_STATE_RUNNING,
        ),
        (
            DeviceState::StopCopy,
            kernel::vfio_device_mig_state_VFIO_DEVICE_STATE_STOP_COPY,
        ),
        (
            DeviceState::Resuming,
            kernel::vfio_device_mig_state_VFIO_DEVICE_STATE_RESUMING,
        ),
        (
            DeviceState::RunningP2p,
            kernel::vfio_device_mig_state_VFIO_DEVICE_STATE_RUNNING_P2P,
        ),
        (
            DeviceState::PreCopy,
            kernel::vfio_device_mig_state_VFIO_DEVICE_STATE_PRE_COPY,
        ),
        (
            DeviceState::PreCopyP2p,
            kernel::vfio_device_mig_state_VFIO_DEVICE_STATE_PRE_COPY_P2P,
        ),
    ] {
        assert_eq!(ours.number(), kernels);
        assert_eq!(DeviceState::from_number(kernels), Some(ours));
    }
    assert_eq!(DeviceState::from_number(8), None);
    for (ours, kernels) in [
        (MigrationFlags::STOP_COPY, kernel::VFIO_MIGRATION_STOP_COPY),
        (MigrationFlags::P2P, kernel::VFIO_MIGRATION_P2P),
        (MigrationFlags::PRE_COPY, kernel::VFIO_MIGRATION_PRE_COPY),
    ] {
        assert_eq!(ours.bits(), u64::from(kernels));
    }
}
