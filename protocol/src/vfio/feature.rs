//! Device features.

use bitflags::bitflags;

use super::kernel;

numbered! {
    /// Features by number (`VFIO_DEVICE_FEATURE_*`).
    pub enum Feature: u16 {
        /// Secret shared between the functions of a physical device.
        PciVfToken = kernel::VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
        /// The supported kinds of migration: [`MigrationFlags`](super::MigrationFlags).
        Migration = kernel::VFIO_DEVICE_FEATURE_MIGRATION,
        /// The state of migration: [`DeviceState`](super::DeviceState).
        MigDeviceState = kernel::VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
        /// Allow the device to sleep. No data. In the v4 dialect the number means
        /// [`Self::V4_POWER_MANAGEMENT`].
        LowPowerEntry = kernel::VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
        /// Allow the device to sleep, with a notice when it wakes.
        LowPowerEntryWithWakeup = kernel::VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
        /// The device must not sleep any more. No data.
        LowPowerExit = kernel::VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
        /// Start logging the pages that the device writes.
        DmaLoggingStart = kernel::VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
        /// Stop logging.
        DmaLoggingStop = kernel::VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
        /// Read and clear the log.
        DmaLoggingReport = kernel::VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
        /// Amount of migration data to expect.
        MigDataSize = kernel::VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
        /// Switch bus mastering: [`BusMasterOperation`](super::BusMasterOperation).
        BusMaster = kernel::VFIO_DEVICE_FEATURE_BUS_MASTER,
    }
}

impl Feature {
    /// Low power in the v4 dialect (`VFIO_DEVICE_FEATURE_POWER_MANAGEMENT` of the series as posted in
    /// July 2022): [`PowerManagementFlags`](super::PowerManagementFlags). Mainline gave its number
    /// to [`Self::LowPowerEntry`].
    pub const V4_POWER_MANAGEMENT: Self = Self::LowPowerEntry;

    /// The bits of the flag word that hold the number; the others are an [`Operation`].
    pub const MASK: u32 = kernel::VFIO_DEVICE_FEATURE_MASK;
}

bitflags! {
    /// Operations on a feature (`VFIO_DEVICE_FEATURE_{GET,SET,PROBE}`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Operation: u32 {
        /// Read it.
        const GET = kernel::VFIO_DEVICE_FEATURE_GET;
        /// Write it.
        const SET = kernel::VFIO_DEVICE_FEATURE_SET;
        /// Only report whether the other operations are supported.
        const PROBE = kernel::VFIO_DEVICE_FEATURE_PROBE;
    }
}
