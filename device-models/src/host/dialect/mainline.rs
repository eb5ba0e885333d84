//! Low power as merged: ENTRY, ENTRY_WITH_WAKEUP, EXIT (`vfio_pci_core.c`,
//! `vfio_pci_core_pm_entry` and its neighbours).

use serde::{Deserialize, Serialize};
use vfio_user_protocol::messages::device_feature::Request;
use vfio_user_protocol::messages::device_feature::low_power_entry_with_wakeup::LowPowerEntryWithWakeup;
use vfio_user_protocol::vfio::{Feature, Operation};

use super::Dialect;
use crate::host::error::HostError;
use crate::host::status::DialectStatus;
use crate::host::{AttachedFd, DeviceMut, FeatureReply, Output};
use crate::time::Time;

/// The dialect's state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::host) struct Mainline {
    /// A wake-up eventfd waits for its one signal.
    armed: bool,
}

impl Mainline {
    pub(in crate::host) const fn status(&self) -> DialectStatus {
        DialectStatus::Mainline { armed: self.armed }
    }
}

impl DeviceMut<'_> {
    fn mainline(&mut self) -> Option<&mut Mainline> {
        match &mut self.state.dialect {
            Dialect::Mainline(mainline) => Some(mainline),
            Dialect::V4(_) => None,
        }
    }

    /// Performs a feature request. The device is awake: every request wakes it before the driver
    /// checks it.
    pub(in crate::host) fn mainline_feature(
        &mut self,
        now: Time,
        request: &Request<'_>,
        fd: AttachedFd,
    ) -> Result<FeatureReply, HostError> {
        request.check()?;
        match Feature::from_number(request.feature) {
            Some(Feature::LowPowerEntry) => {
                if request.wants(Operation::SET, 0)? {
                    self.low_power_entry(false)?;
                }
                Ok(FeatureReply::Done)
            }
            Some(Feature::LowPowerEntryWithWakeup) => {
                if !request.wants(Operation::SET, LowPowerEntryWithWakeup::SIZE)? {
                    return Ok(FeatureReply::Done);
                }
                check_eventfd(&LowPowerEntryWithWakeup::parse(request.data)?, fd)?;
                self.low_power_entry(true)?;
                Ok(FeatureReply::Armed)
            }
            Some(Feature::LowPowerExit) => {
                if request.wants(Operation::SET, 0)? {
                    self.low_power_exit();
                }
                Ok(FeatureReply::Done)
            }
            _ => self.other_feature(now, request),
        }
    }

    /// Gives up the client's own reference. Mappings are removed even if low power is engaged
    /// already.
    pub(in crate::host) fn low_power_entry(&mut self, armed: bool) -> Result<(), HostError> {
        self.engage()?;
        if let Some(mainline) = self.mainline() {
            mainline.armed = armed;
        }
        Ok(())
    }

    /// Takes the reference back. An eventfd that has not fired is dropped.
    pub(in crate::host) fn low_power_exit(&mut self) {
        self.disengage();
        if let Some(mainline) = self.mainline()
            && std::mem::take(&mut mainline.armed)
        {
            self.state
                .outputs
                .push_back(Output::Wakeup { signal: false });
        }
    }

    /// Performs the driver's part of a resume. It signals an armed eventfd and ends low power, then
    /// it unmasks INTx.
    pub(in crate::host) fn mainline_resumed(&mut self, now: Time) {
        if let Some(mainline) = self.mainline()
            && std::mem::take(&mut mainline.armed)
        {
            self.state
                .outputs
                .push_back(Output::Wakeup { signal: true });
            self.note_wakeup(now);
            self.disengage();
        }
        self.unmask_after_resume(now);
    }
}

/// Checks the eventfd of a request (`eventfd_ctx_fdget`). The number in the message tells only
/// whether there is one; the descriptor itself comes beside the message.
const fn check_eventfd(data: &LowPowerEntryWithWakeup, fd: AttachedFd) -> Result<(), HostError> {
    if data.wakeup_eventfd < 0 {
        return Err(HostError::Feature {
            what: "wakeup_eventfd is negative",
        });
    }
    match fd {
        AttachedFd::Eventfd => Ok(()),
        AttachedFd::None => Err(HostError::MissingDescriptor),
        AttachedFd::Other => Err(HostError::Feature {
            what: "the descriptor that came is no eventfd",
        }),
        AttachedFd::Many => Err(HostError::Feature {
            what: "more than one descriptor came; one eventfd is wanted",
        }),
    }
}
