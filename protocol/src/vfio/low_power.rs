//! Low power that a client drives. Mainline needs no numbers beyond those of its three features; the
//! v4 dialect has one feature with flags.

use bitflags::bitflags;

bitflags! {
    /// Operations on low power. GET returns ENTER while the device may sleep, EXIT while it may not
    /// (`VFIO_PM_LOW_POWER_*` of the series as posted in July 2022). Unknown bits are
    /// kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct PowerManagementFlags: u32 {
        /// Allow the device to sleep.
        const ENTER = 1 << 0;
        /// The device must not sleep any more.
        const EXIT = 1 << 1;
        /// Once woken, stay awake until EXIT (`VFIO_PM_LOW_POWER_REENTERY_DISABLE`, spelt as posted).
        const REENTRY_DISABLE = 1 << 2;
        const _ = !0;
    }
}
