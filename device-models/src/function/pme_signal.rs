//! Power management events (PCIe Base §5.3.3).
//!
//! | | `PME_Status` and `PME_En` both set | else |
//! |---|---|---|
//! | D0 to D3hot | `PM_PME` at once, and again every 100 ms | silent |
//! | D3cold with auxiliary power and PME from D3cold | wake signal asserted | released |
//! | D3cold otherwise | nothing | nothing |

use std::time::Duration;

use super::core::Core;
use crate::effect::{Effect, FunctionEvent};
use crate::fault::Occurrence;
use crate::power::PowerState;
use crate::time::Time;

/// Time after which `PM_PME` is sent again while software does not clear `PME_Status` (PCIe Base
/// §5.3.3.4.1: 100 ms, +50 %, −5 %).
const RETRY: Duration = Duration::from_millis(100);

impl Core {
    /// Raises a wake event of the device. `PME_Status` is set whether or not `PME_En` is, but only
    /// in a state from which PMC says that the function can signal it.
    pub(crate) fn pme_event(&mut self, now: Time) {
        let state = self.state;
        let Some(pm) = self.config.pm_mut() else {
            return;
        };
        let alive = self.powered || self.aux_power;
        if alive && pm.supports_pme_from(state) {
            pm.set_pme_status();
            self.update_pme(now);
        }
    }

    /// Raises a wake event that is signalled although an earlier one is pending.
    pub(super) fn pme_event_again(&mut self, now: Time) {
        let pending = self.pme.again_at;
        self.pme_event(now);
        if pending.is_some() && self.pme.again_at == pending {
            self.send_pm_pme(now);
        }
    }

    /// Brings signalling in line with PMCSR and the power state.
    pub(super) fn update_pme(&mut self, now: Time) {
        let Some(pm) = self.config.pm() else { return };
        let pmcsr = pm.pmcsr();
        let signal = pmcsr.pme_en() && pmcsr.pme_status();
        let wake =
            signal && !self.powered && self.aux_power && pm.supports_pme_from(PowerState::D3cold);
        if wake != self.pme.wake {
            self.pme.wake = wake;
            if !wake || !self.meet(&Occurrence::Pme).prevented {
                self.emit(Effect::Event(FunctionEvent::Wake { asserted: wake }));
            }
        }
        if !signal || !self.powered || self.is_unlinked() {
            self.pme.again_at = None;
        } else if self.pme.again_at.is_none() {
            self.send_pm_pme(now);
        }
    }

    pub(super) fn send_pm_pme(&mut self, now: Time) {
        self.pme.again_at = Some(now.after(RETRY));
        if self.meet(&Occurrence::Pme).prevented {
            return;
        }
        self.counters.pm_pme = self.counters.pm_pme.saturating_add(1);
        self.emit(Effect::Event(FunctionEvent::PmPme));
    }
}
