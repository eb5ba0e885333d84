//! The PCI core of the host: power states as `drivers/pci/pci.c` and `pci-driver.c` handle them.
//!
//! The core acts on the function through its config space, as on a real bus. It keeps its own
//! record of the power state (`pci_dev->current_state`), which may differ from the function's. Its
//! waits take no time of the function; [`PciCore::take_waited`] returns their sum.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vfio_user_protocol::Errno;

use super::config_image::ConfigImage;
use super::error::HostError;
use super::readiness::{READY_POLL, wait_for_function};
use crate::capability::{Pmcsr, PtmControl};
use crate::config::AnyCapability;
use crate::pci::{ExtendedId, power_management, precision_time};
use crate::power::PowerState;
use crate::slot::FunctionSlot;
use crate::time::Time;

/// The mechanism that removes power in D3cold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColdVia {
    /// The function's own power resource (ACPI `_PR3`).
    #[default]
    Device,
    /// The port above, when it enters D3cold itself.
    Port,
}

/// The platform's abilities for a sleeping function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// The deepest state to which the platform brings the function: D0, D3hot or D3cold.
    pub deepest_state: PowerState,
    /// The mechanism that removes power in D3cold.
    pub cold_via: ColdVia,
    /// Time for which firmware's `_ON` waits after it has switched the function's own power
    /// resource on. The kernel adds nothing to it.
    pub on_delay: Duration,
}

impl Default for Platform {
    fn default() -> Self {
        Self {
            deepest_state: PowerState::D3cold,
            cold_via: ColdVia::Device,
            on_delay: D3COLD_WAIT,
        }
    }
}

/// Time from power on to the first access, below a bridge (`PCI_PM_D3COLD_WAIT`) and in firmware
/// that does what PCIe Base §6.6.1 demands.
const D3COLD_WAIT: Duration = Duration::from_millis(100);

/// The core's state for one function.
#[derive(Debug)]
pub(super) struct PciCore {
    pub(super) platform: Platform,
    /// Offset of PMCSR.
    pub(super) pmcsr: Option<u16>,
    pub(super) current: PowerState,
    pub(super) d3cold_allowed: bool,
    /// The last image that was taken (`saved_config_space`), whatever for.
    pub(super) saved: Option<ConfigImage>,
    /// Wake-up is armed (`wakeup_prepared`).
    pub(super) armed: bool,
    pub(super) waited: Duration,
    /// The function did not come back with its link. The core does not reach it any more
    /// (`pci_dev_is_disconnected`).
    pub(super) disconnected: bool,
    /// Offset of PTM Control.
    pub(super) ptm_control: Option<u16>,
    /// Precision Time Measurement is to be enabled again after the present sleep (`ptm_enabled`).
    pub(super) ptm_suspended: bool,
}

impl PciCore {
    pub(super) fn new(slot: &FunctionSlot<'_>, platform: Platform) -> Self {
        let placed = slot.function().config().capabilities();
        let pmcsr = placed
            .filter(|placed| placed.linked)
            .find(|placed| matches!(placed.capability, AnyCapability::PowerManagement(_)))
            .map(|placed| placed.offset + power_management::PMCSR as u16);
        let config = slot.function().config();
        let ptm_control = config
            .extended_at(ExtendedId::PrecisionTimeMeasurement)
            .map(|offset| offset + precision_time::CONTROL as u16);
        Self {
            platform,
            pmcsr,
            current: PowerState::D0,
            d3cold_allowed: true,
            saved: None,
            armed: false,
            waited: Duration::ZERO,
            disconnected: false,
            ptm_control,
            ptm_suspended: false,
        }
    }

    /// Returns the recorded power state (`pci_dev->current_state`).
    pub(super) const fn current(&self) -> PowerState {
        self.current
    }

    pub(super) const fn d3cold_allowed(&self) -> bool {
        self.d3cold_allowed
    }

    pub(super) const fn set_d3cold_allowed(&mut self, allowed: bool) {
        self.d3cold_allowed = allowed;
    }

    /// Returns and clears the time that the core has waited since the last call.
    pub(super) fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }

    /// Records that the driver has waited for a reset.
    pub(super) fn note_wait(&mut self, span: Duration) {
        self.waited += span;
    }

    fn wait(&mut self, slot: &mut FunctionSlot<'_>, span: Duration) {
        self.waited += span;
        slot.function_mut().waited_for(span);
    }

    /// Waits until a function answers that was reset `begun` ago (`pci_dev_wait`), and returns
    /// whether it does.
    pub(super) fn wait_until_ready(
        &mut self,
        slot: &mut FunctionSlot<'_>,
        now: Time,
        begun: Duration,
    ) -> bool {
        if self.disconnected {
            // "disconnected; not waiting"
            self.wait(slot, begun);
            return false;
        }
        let answers = slot.function().silent_for(now);
        let waited = wait_for_function(begun, answers, READY_POLL);
        self.wait(slot, waited.span);
        waited.ready
    }

    /// Returns whether accesses of the core reach a function that answers.
    pub(super) fn reaches(&self, slot: &FunctionSlot<'_>, now: Time) -> bool {
        !self.disconnected && slot.function().will_answer(now)
    }

    fn read_pmcsr(&self, slot: &mut FunctionSlot<'_>, now: Time) -> Option<u16> {
        let offset = self.pmcsr?;
        let mut word = [0xff; 2];
        if !self.disconnected {
            slot.function_mut()
                .config_read(now, u64::from(offset), &mut word);
        }
        Some(u16::from_le_bytes(word))
    }

    fn write_pmcsr(&self, slot: &mut FunctionSlot<'_>, now: Time, word: u16) {
        if let Some(offset) = self.pmcsr
            && !self.disconnected
        {
            slot.function_mut()
                .config_write(now, u64::from(offset), &word.to_le_bytes());
        }
    }

    /// Sets the power state (`pci_set_power_state`).
    ///
    /// # Errors
    /// EINVAL for a shallower state other than D0; EIO for a state that the function does not have,
    /// and if the function does not answer.
    pub(super) fn set_power_state(
        &mut self,
        slot: &mut FunctionSlot<'_>,
        now: Time,
        to: PowerState,
    ) -> Result<(), HostError> {
        if to == self.current {
            Ok(())
        } else if to == PowerState::D0 {
            self.set_full_power(slot, now)
        } else {
            self.power_down(slot, now, to)
        }
    }

    /// Enters a low-power state (`pci_set_low_power_state`).
    fn power_down(
        &mut self,
        slot: &mut FunctionSlot<'_>,
        now: Time,
        to: PowerState,
    ) -> Result<(), HostError> {
        if self.current > to {
            return Err(HostError::PowerState {
                to,
                errno: Errno::EINVAL,
            });
        }
        let failed = || HostError::PowerState {
            to,
            errno: Errno::EIO,
        };
        let word = self.read_pmcsr(slot, now).ok_or_else(failed)?;
        if word == u16::MAX {
            self.current = PowerState::D3cold;
            return Err(failed());
        }
        let config = slot.function().config();
        let pmc = config.pm().map(|pm| pm.pmc());
        let supported = match to {
            PowerState::D1 => pmc.is_some_and(|pmc| pmc.d1_support()),
            PowerState::D2 => pmc.is_some_and(|pmc| pmc.d2_support()),
            _ => true,
        };
        if !supported {
            return Err(failed());
        }
        let from = self.current;
        self.write_pmcsr(
            slot,
            now,
            Pmcsr::from(word).with_power_state(to.bits()).into(),
        );
        self.wait(slot, from.recovery_time(to));
        let word = self.read_pmcsr(slot, now).unwrap_or(0);
        self.current = PowerState::from_bits(word as u8);
        Ok(())
    }

    /// Brings the function to D0 for the driver (`pci_set_full_power_state`). A function that refuses
    /// stays recorded in its state, which is no error.
    fn set_full_power(&mut self, slot: &mut FunctionSlot<'_>, now: Time) -> Result<(), HostError> {
        let lost_bars = self.power_up(slot, now)?;
        if let Some(word) = self.read_pmcsr(slot, now) {
            self.current = PowerState::from_bits(word as u8);
        }
        if lost_bars && let Some(saved) = &self.saved {
            saved.restore_bars(slot.function_mut(), now);
        }
        Ok(())
    }

    /// Brings the function to D0 (`pci_power_up`). Returns whether it lost its BARs.
    fn power_up(&mut self, slot: &mut FunctionSlot<'_>, now: Time) -> Result<bool, HostError> {
        // A virtual function has no power resource of its own.
        if !slot.rail_on() && !self.disconnected && !slot.function().is_virtual() {
            slot.set_rail(now, true);
            self.waited += self.platform.on_delay;
            slot.waited_for(self.platform.on_delay);
        }
        let Some(word) = self.read_pmcsr(slot, now) else {
            self.current = PowerState::D0;
            return Ok(false);
        };
        if word == u16::MAX {
            self.current = PowerState::D3cold;
            return Err(HostError::PowerState {
                to: PowerState::D0,
                errno: Errno::EIO,
            });
        }
        let from = PowerState::from_bits(word as u8);
        let was_deep = from == PowerState::D3hot || self.current >= PowerState::D3hot;
        if from != PowerState::D0 {
            self.write_pmcsr(slot, now, 0);
            self.wait(slot, from.recovery_time(PowerState::D0));
        }
        self.current = PowerState::D0;
        Ok(was_deep && !Pmcsr::from(word).no_soft_reset())
    }

    /// Records the state in which the function is (`pci_update_current_state`).
    fn verify_state(&mut self, slot: &mut FunctionSlot<'_>, now: Time) {
        self.current = match self.read_pmcsr(slot, now) {
            None => PowerState::D0,
            Some(u16::MAX) => PowerState::D3cold,
            Some(word) => PowerState::from_bits(word as u8),
        };
    }

    /// Saves config space (`pci_save_state`), and returns the image.
    pub(super) fn save_state(&mut self, slot: &FunctionSlot<'_>, now: Time) -> ConfigImage {
        let image = ConfigImage::take(slot.function(), now);
        self.saved = Some(image.clone());
        image
    }

    /// Replaces the saved image (`pci_load_saved_state`).
    pub(super) fn load_state(&mut self, image: ConfigImage) {
        self.saved = Some(image);
    }

    /// Restores config space from the last image, even if that was restored before
    /// (`pci_restore_state`).
    pub(super) fn restore_state(&self, slot: &mut FunctionSlot<'_>, now: Time) {
        if let Some(saved) = self.saved.as_ref().filter(|_| !self.disconnected) {
            saved.restore(slot.function_mut(), now);
        }
    }

    /// Records that the function is in another state than the core assumed, for example after a
    /// reset.
    pub(super) fn note_state(&mut self, state: PowerState) {
        self.current = state;
    }

    /// Returns the state to which an idle function is brought (`pci_target_state`). A platform that
    /// manages the function's power decides alone. Otherwise it is the deepest state from which the
    /// function can wake the system, or D3hot if no such state exists.
    fn target_state(&self, slot: &FunctionSlot<'_>) -> PowerState {
        if self.pmcsr.is_none() || self.platform.deepest_state == PowerState::D0 {
            return PowerState::D0;
        }
        if self.goes_cold() {
            return PowerState::D3cold;
        }
        [
            PowerState::D3hot,
            PowerState::D2,
            PowerState::D1,
            PowerState::D0,
        ]
        .into_iter()
        .find(|state| can_wake(slot, *state))
        .unwrap_or(PowerState::D3hot)
    }

    /// Returns whether the function lets go of its power once it is in its target state.
    fn goes_cold(&self) -> bool {
        self.platform.deepest_state == PowerState::D3cold
            && self.platform.cold_via == ColdVia::Device
            && self.d3cold_allowed
    }

    /// Returns whether the platform removes the function's power by the port above.
    pub(super) fn is_cold_by_port(&self) -> bool {
        self.platform.deepest_state == PowerState::D3cold && self.platform.cold_via == ColdVia::Port
    }

    /// Takes the function for gone, since it did not come back with its link.
    pub(super) fn disconnect(&mut self) {
        self.disconnected = true;
        self.current = PowerState::D3cold;
    }

    /// Suspends the function after the driver's callback (`pci_pm_runtime_suspend`): saves config
    /// space, arms wake-up and brings the function to its target state. Returns whether the function
    /// lets go of its power, which others may hold.
    ///
    /// A function that the driver did not get into D0 stays as it is, and nothing is saved.
    pub(super) fn suspend(&mut self, slot: &mut FunctionSlot<'_>, now: Time) -> bool {
        self.suspend_ptm(slot, now);
        if self.current != PowerState::D0 {
            return false;
        }
        self.save_state(slot, now);
        let target = self.target_state(slot);
        // Only a function that can wake from the state it goes to is armed (`pci_dev_run_wake`),
        // even if it could wake from the D3cold to which the port may bring it.
        self.armed = can_wake(slot, target);
        if self.armed {
            self.write_pme(
                slot,
                now,
                Pmcsr::new().with_pme_en(true).with_pme_status(true),
            );
        }
        let own = target.min(PowerState::D3hot);
        if self.set_power_state(slot, now, own).is_err() {
            self.disarm(slot, now);
            return false;
        }
        let cold = self.pmcsr.is_some() && self.goes_cold();
        if cold {
            self.current = PowerState::D3cold;
        }
        cold
    }

    /// Resumes the function before the driver's callback (`pci_pm_runtime_resume`). A function that
    /// does not answer is not a failure: the core records it as D3cold, and the writes of all further
    /// steps are lost.
    pub(super) fn resume(&mut self, slot: &mut FunctionSlot<'_>, now: Time) {
        self.power_up(slot, now).ok();
        self.verify_state(slot, now);
        self.restore_state(slot, now);
        let pm = slot.function().config().pm();
        if pm.is_some_and(|pm| pm.pmc().pme_support() != 0) {
            // As it was before the restore (`pci_pme_restore`), and then no more.
            if self.armed {
                self.write_pme(slot, now, Pmcsr::new().with_pme_en(true));
            }
            self.disarm(slot, now);
        }
        self.resume_ptm(slot, now);
    }

    /// Ends wake-up (`pci_enable_wake`), and clears a wake event.
    fn disarm(&mut self, slot: &mut FunctionSlot<'_>, now: Time) {
        self.armed = false;
        self.write_pme(slot, now, Pmcsr::new().with_pme_status(true));
    }

    /// Disables Precision Time Measurement for the time of sleep (`pci_suspend_ptm`).
    fn suspend_ptm(&mut self, slot: &mut FunctionSlot<'_>, now: Time) {
        let control = self.read_ptm(slot, now);
        if let Some(control) = control.filter(|control| control.enable()) {
            self.ptm_suspended = true;
            self.write_ptm(slot, now, control.with_enable(false));
        }
    }

    /// Enables Precision Time Measurement again (`pci_resume_ptm`).
    fn resume_ptm(&mut self, slot: &mut FunctionSlot<'_>, now: Time) {
        if std::mem::take(&mut self.ptm_suspended)
            && let Some(control) = self.read_ptm(slot, now)
        {
            self.write_ptm(slot, now, control.with_enable(true));
        }
    }

    /// Returns PTM Control of a function that answers.
    fn read_ptm(&self, slot: &FunctionSlot<'_>, now: Time) -> Option<PtmControl> {
        let offset = self.ptm_control?;
        let function = slot.function();
        let mut control = [0; 4];
        function.config().read(offset.into(), &mut control);
        let answers = function.will_answer(now) && !self.disconnected;
        answers.then(|| PtmControl::from(u32::from_le_bytes(control)))
    }

    fn write_ptm(&self, slot: &mut FunctionSlot<'_>, now: Time, control: PtmControl) {
        if let Some(offset) = self.ptm_control {
            let control = u32::from(control).to_le_bytes();
            slot.function_mut()
                .config_write(now, offset.into(), &control);
        }
    }

    /// Writes the PME bits of PMCSR and leaves the rest (`pci_pme_active`). A set `PME_Status`
    /// clears it.
    fn write_pme(&self, slot: &mut FunctionSlot<'_>, now: Time, pme: Pmcsr) {
        let word = Pmcsr::from(self.read_pmcsr(slot, now).unwrap_or(0))
            .with_pme_en(pme.pme_en())
            .with_pme_status(pme.pme_status());
        self.write_pmcsr(slot, now, word.into());
    }

    /// Clears a pending wake event, and returns whether it was an armed one
    /// (`pci_check_pme_status`). The ones of a function that does not answer look like an armed wake
    /// event.
    pub(super) fn take_pme(&self, slot: &mut FunctionSlot<'_>, now: Time) -> bool {
        let Some(word) = self.read_pmcsr(slot, now) else {
            return false;
        };
        let pmcsr = Pmcsr::from(word);
        if !pmcsr.pme_status() {
            return false;
        }
        self.write_pmcsr(slot, now, pmcsr.with_pme_en(false).into());
        pmcsr.pme_en()
    }
}

/// Returns whether the function can signal PME from a state (`pci_pme_capable`).
fn can_wake(slot: &FunctionSlot<'_>, from: PowerState) -> bool {
    let pm = slot.function().config().pm();
    pm.is_some_and(|pm| pm.supports_pme_from(from))
}
