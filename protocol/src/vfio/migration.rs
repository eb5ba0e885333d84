//! Migration, version 2 of VFIO's.

use bitflags::bitflags;

use super::kernel;

numbered! {
    /// The states of migration (`VFIO_DEVICE_STATE_*`).
    pub enum DeviceState: u32 {
        /// A transition failed; only a reset leads out. Cannot be asked for.
        Error = kernel::vfio_device_mig_state_VFIO_DEVICE_STATE_ERROR,
        /// Stopped, nothing is copied.
        Stop = kernel::vfio_device_mig_state_VFIO_DEVICE_STATE_STOP,
        /// Running.
        Running = kernel::vfio_device_mig_state_VFIO_DEVICE_STATE_RUNNING,
        /// Stopped, the state is being read out.
        StopCopy = kernel::vfio_device_mig_state_VFIO_DEVICE_STATE_STOP_COPY,
        /// Stopped, a state is being written in.
        Resuming = kernel::vfio_device_mig_state_VFIO_DEVICE_STATE_RESUMING,
        /// Running without access to other devices.
        RunningP2p = kernel::vfio_device_mig_state_VFIO_DEVICE_STATE_RUNNING_P2P,
        /// Running, the state is being read out.
        PreCopy = kernel::vfio_device_mig_state_VFIO_DEVICE_STATE_PRE_COPY,
        /// Both of these.
        PreCopyP2p = kernel::vfio_device_mig_state_VFIO_DEVICE_STATE_PRE_COPY_P2P,
    }
}

bitflags! {
    /// Kinds of migration (`VFIO_MIGRATION_*`). Unknown bits are kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct MigrationFlags: u64 {
        /// Stop, then copy. A device that migrates at all can do this.
        const STOP_COPY = kernel::VFIO_MIGRATION_STOP_COPY as u64;
        /// A running state without access to other devices.
        const P2P = kernel::VFIO_MIGRATION_P2P as u64;
        /// Copy while running.
        const PRE_COPY = kernel::VFIO_MIGRATION_PRE_COPY as u64;
        const _ = !0;
    }
}
