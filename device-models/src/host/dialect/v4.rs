//! Low power as posted in version 4 of the series: one feature with flags, control over re-entry,
//! and a virtual PME.

use serde::{Deserialize, Serialize};
use vfio_user_protocol::messages::device_feature::Request;
use vfio_user_protocol::messages::device_feature::power_management::PowerManagement;
use vfio_user_protocol::vfio::{IrqIndex, Operation, PowerManagementFlags};

use super::Dialect;
use crate::host::error::HostError;
use crate::host::runtime_pm::Usage;
use crate::host::status::DialectStatus;
use crate::host::{DeviceMut, FeatureReply, Output};
use crate::time::Time;

/// The dialect's state.
#[derive(Debug)]
pub(in crate::host) struct V4 {
    /// The driver itself lets this device sleep again after another user woke it.
    builtin_reentry: bool,
    /// The client lets the device sleep again, for the present engagement.
    reentry: bool,
    /// The device was woken and stays awake until the client leaves low power
    /// (`pm_runtime_resumed`).
    awake: Option<Usage>,
    pme_en: bool,
    pme_status: bool,
}

/// The saved state of [`V4`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::host) struct SavedV4 {
    reentry: bool,
    awake: bool,
    pme_en: bool,
    pme_status: bool,
}

impl V4 {
    pub(in crate::host) fn save(&self) -> SavedV4 {
        let Self {
            builtin_reentry: _,
            reentry,
            awake,
            pme_en,
            pme_status,
        } = self;
        SavedV4 {
            reentry: *reentry,
            awake: awake.is_some(),
            pme_en: *pme_en,
            pme_status: *pme_status,
        }
    }

    /// Restores the state that [`Self::save`] returned; `usage` creates the reference of a woken
    /// device.
    pub(in crate::host) fn restore(&mut self, saved: &SavedV4, usage: impl FnOnce() -> Usage) {
        let SavedV4 {
            reentry,
            awake,
            pme_en,
            pme_status,
        } = *saved;
        *self = Self {
            builtin_reentry: self.builtin_reentry,
            reentry,
            awake: awake.then(usage),
            pme_en,
            pme_status,
        };
    }

    pub(in crate::host) const fn new(builtin_reentry: bool) -> Self {
        Self {
            builtin_reentry,
            reentry: builtin_reentry,
            awake: None,
            pme_en: false,
            pme_status: false,
        }
    }

    pub(in crate::host) const fn status(&self) -> DialectStatus {
        DialectStatus::V4 {
            reentry: self.reentry,
            woken: self.awake.is_some(),
            pme_en: self.pme_en,
            pme_status: self.pme_status,
        }
    }

    /// Returns the virtual PME bits: `PME_En` and `PME_Status`.
    pub(in crate::host) const fn pme(&self) -> (bool, bool) {
        (self.pme_en, self.pme_status)
    }

    /// Writes the byte that holds the virtual PME bits.
    pub(in crate::host) fn write_pme(&mut self, enable: bool, clear_status: bool) {
        self.pme_en = enable;
        self.pme_status &= !clear_status;
    }

    /// Resets the state to that after the open of a device.
    pub(in crate::host) fn reset(&mut self) {
        *self = Self::new(self.builtin_reentry);
    }
}

impl DeviceMut<'_> {
    pub(in crate::host) fn v4(&mut self) -> Option<&mut V4> {
        match &mut self.state.dialect {
            Dialect::V4(v4) => Some(v4),
            Dialect::Mainline(_) => None,
        }
    }

    /// Performs a request for the POWER_MANAGEMENT feature. It does not wake the device, but
    /// leaving low power does.
    pub(in crate::host) fn v4_power_management(
        &mut self,
        now: Time,
        request: &Request<'_>,
    ) -> Result<FeatureReply, HostError> {
        if !request.wants(Operation::GET | Operation::SET, PowerManagement::SIZE)? {
            return Ok(FeatureReply::Done);
        }
        if request.operation.contains(Operation::GET) {
            return Ok(FeatureReply::PowerManagement(self.v4_state()));
        }
        let wanted = PowerManagement::parse(request.data)?;
        wanted.check_set()?;
        if wanted.flags.contains(PowerManagementFlags::ENTER) {
            let refused = wanted.flags.contains(PowerManagementFlags::REENTRY_DISABLE);
            self.v4_enter(!refused)?;
        } else {
            self.v4_leave(now)?;
        }
        Ok(FeatureReply::Done)
    }

    fn v4_state(&mut self) -> PowerManagement {
        let engaged = self.is_engaged();
        let (builtin, reentry) = self
            .v4()
            .map_or((true, true), |v4| (v4.builtin_reentry, v4.reentry));
        let (mut flags, may_reenter) = if engaged {
            (PowerManagementFlags::ENTER, reentry)
        } else {
            (PowerManagementFlags::EXIT, builtin)
        };
        flags.set(PowerManagementFlags::REENTRY_DISABLE, !may_reenter);
        PowerManagement { flags, reserved: 0 }
    }

    /// Enters low power. `reentry`: a device that another user woke may sleep again.
    pub(in crate::host) fn v4_enter(&mut self, reentry: bool) -> Result<(), HostError> {
        self.engage()?;
        if let Some(v4) = self.v4() {
            v4.reentry = v4.builtin_reentry && reentry;
        }
        Ok(())
    }

    /// Leaves low power. A device that does not wake stays engaged, and the error is the core's
    /// own.
    pub(in crate::host) fn v4_leave(&mut self, now: Time) -> Result<(), HostError> {
        if !self.is_engaged() {
            return Err(HostError::Feature {
                what: "low power is not engaged",
            });
        }
        self.disengage();
        let woken = self.v4().and_then(|v4| v4.awake.take());
        if woken.is_some() {
            return Ok(());
        }
        self.resume(now).inspect_err(|_| {
            // Back to where it was; engaging what was just left cannot fail.
            self.engage().ok();
        })
    }

    /// Performs the driver's part of a resume: INTx first, then the wake event. Leaving low power
    /// and closing the device disengage before they resume the device, so they raise no wake event.
    pub(in crate::host) fn v4_resumed(&mut self, now: Time) {
        self.unmask_after_resume(now);
        if !self.is_engaged() {
            return;
        }
        let bound = self.state.irqs.is_bound(IrqIndex::Pme);
        // Whoever acts for the client hears of the wake event without a trigger.
        let heard = bound || self.state.options.rail_as.is_low_power();
        let Some(v4) = self.v4() else { return };
        v4.pme_status = true;
        let signal = v4.pme_en && heard;
        let stays = signal || !v4.reentry;
        if signal {
            if bound {
                self.state.outputs.push_back(Output::Trigger {
                    index: IrqIndex::Pme,
                    vector: 0,
                });
            }
            self.note_wakeup(now);
        }
        if stays {
            let usage = self.state.rpm.get();
            if let Some(v4) = self.v4() {
                v4.awake = Some(usage);
            }
        }
    }
}
