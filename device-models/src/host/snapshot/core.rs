//! The saved state of the PCI core.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host::config_image::ConfigImage;
use crate::host::pci_core::PciCore;
use crate::power::PowerState;
use crate::snapshot::{self, nanos};

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedCore {
    #[serde(with = "snapshot::power_state")]
    current: PowerState,
    d3cold_allowed: bool,
    pub(super) saved: Option<String>,
    /// Older states tell whether the image is to be restored.
    #[serde(default)]
    restore: bool,
    armed: bool,
    waited_nanos: u64,
    disconnected: bool,
    #[serde(default)]
    ptm_suspended: bool,
}

impl PciCore {
    pub(super) fn save(&self) -> SavedCore {
        let Self {
            platform: _,
            pmcsr: _,
            current,
            d3cold_allowed,
            saved,
            armed,
            waited,
            disconnected,
            ptm_control: _,
            ptm_suspended,
        } = self;
        SavedCore {
            current: *current,
            d3cold_allowed: *d3cold_allowed,
            saved: saved.as_ref().map(ConfigImage::hex),
            restore: saved.is_some(),
            armed: *armed,
            waited_nanos: nanos(*waited),
            disconnected: *disconnected,
            ptm_suspended: *ptm_suspended,
        }
    }

    pub(super) fn restore(&mut self, from: &SavedCore, image: Option<ConfigImage>) {
        self.current = from.current;
        self.d3cold_allowed = from.d3cold_allowed;
        self.saved = image;
        self.armed = from.armed;
        self.waited = Duration::from_nanos(from.waited_nanos);
        self.disconnected = from.disconnected;
        self.ptm_suspended = from.ptm_suspended;
    }
}
