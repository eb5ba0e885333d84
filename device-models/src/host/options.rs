//! What a host driver is told to be.

use serde::{Deserialize, Serialize};

use super::dialect::PmDialect;
use super::pci_core::Platform;
use super::runtime_pm::SuspendDelay;
use super::view::View;

/// What becomes of the function when its last client goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDisconnect {
    /// As vfio-pci does on the last close: bus mastering off, D0, function reset.
    #[default]
    Reset,
    /// The function stays as it is; interrupts and DMA maps are dropped all the same.
    Retain,
}

/// The choices of a host driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostOptions {
    /// What clients see.
    pub view: View,
    /// The form of user-driven low power.
    pub pm_dialect: PmDialect,
    /// What the platform can do to a sleeping function.
    pub platform: Platform,
    /// When an unused device goes to sleep.
    pub suspend_delay: SuspendDelay,
    /// A device that nobody has open stays awake (module parameter `disable_idle_d3`).
    pub disable_idle_d3: bool,
    /// References that open takes beyond its own, as a variant driver does that opts out of low
    /// power.
    pub extra_open_gets: u32,
    /// How many clients may have the device open at once.
    pub max_clients: u32,
    /// What becomes of the function when its last client goes.
    pub on_disconnect: OnDisconnect,
    /// Whether the function has a reset that works.
    pub reset_works: bool,
    /// Requests take as long as the waits of the PCI core; else those cost no time.
    pub real_delays: bool,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            view: View::default(),
            pm_dialect: PmDialect::default(),
            platform: Platform::default(),
            suspend_delay: SuspendDelay::default(),
            disable_idle_d3: true,
            extra_open_gets: 0,
            max_clients: 1,
            on_disconnect: OnDisconnect::default(),
            reset_works: true,
            real_delays: false,
        }
    }
}
