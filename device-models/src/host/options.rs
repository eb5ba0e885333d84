//! Options of a host driver.

use serde::{Deserialize, Serialize};

use super::dialect::PmDialect;
use super::firmware::RailAs;
use super::needs_driver::NeedsDriver;
use super::pci_core::Platform;
use super::runtime_pm::SuspendDelay;
use super::view::View;

/// The treatment of the function when its last client disconnects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDisconnect {
    /// As vfio-pci does on the last close: bus mastering off, D0, function reset.
    #[default]
    Reset,
    /// The function keeps its state. Interrupts and DMA maps are dropped all the same.
    Retain,
}

/// The choices of a host driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostOptions {
    /// The view for clients.
    pub view: View,
    /// The form of user-driven low power.
    pub pm_dialect: PmDialect,
    /// The platform's abilities for a sleeping function.
    pub platform: Platform,
    /// The effect of firmware that switches main power of the slot.
    pub rail_as: RailAs,
    /// Time at which an unused device goes to sleep.
    pub suspend_delay: SuspendDelay,
    /// The device stays awake while no client has it open (module parameter `disable_idle_d3`).
    pub disable_idle_d3: bool,
    /// Additional references taken by open, like those of a variant driver that opts out of low
    /// power.
    pub extra_open_gets: u32,
    /// Number of clients that may have the device open at once.
    pub max_clients: u32,
    /// Treatment of the function when its last client disconnects.
    pub on_disconnect: OnDisconnect,
    /// The function has a reset that works.
    pub reset_works: bool,
    /// The driver enables virtual functions when the host's user asks for them (module parameter
    /// `enable_sriov`).
    pub enable_sriov: bool,
    /// The host handles the error messages of the function (native Advanced Error Reporting).
    pub aer: bool,
    /// The consequence when the function loses its power without its user's driver.
    pub needs_driver: NeedsDriver,
    /// Requests take as long as the waits of the PCI core. Otherwise the waits cost no time.
    pub real_delays: bool,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            view: View::default(),
            pm_dialect: PmDialect::default(),
            platform: Platform::default(),
            rail_as: RailAs::default(),
            suspend_delay: SuspendDelay::default(),
            disable_idle_d3: true,
            extra_open_gets: 0,
            max_clients: 1,
            on_disconnect: OnDisconnect::default(),
            reset_works: true,
            enable_sriov: true,
            aer: false,
            needs_driver: NeedsDriver::No,
            real_delays: false,
        }
    }
}
