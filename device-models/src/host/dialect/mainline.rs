//! Low power as merged: ENTRY, ENTRY_WITH_WAKEUP, EXIT (`vfio_pci_core.c`,
//! `vfio_pci_core_pm_entry` and its neighbours).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Dialect;
use crate::host::error::HostError;
use crate::host::feature::SET;
use crate::host::{AttachedFd, DeviceMut, FeatureCall, FeatureReply, Output};
use crate::time::Time;

/// `VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY`.
const ENTRY: u16 = 3;
/// `VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP`.
const ENTRY_WITH_WAKEUP: u16 = 4;
/// `VFIO_DEVICE_FEATURE_LOW_POWER_EXIT`.
const EXIT: u16 = 5;

/// Bytes of `struct vfio_device_low_power_entry_with_wakeup`.
const WAKEUP_SIZE: u32 = 8;

/// What the dialect remembers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::host) struct Mainline {
    /// A wake-up eventfd waits for its one signal.
    armed: bool,
}

impl Mainline {
    pub(in crate::host) fn inspect(&self) -> Value {
        json!({ "pm_dialect": "mainline", "armed": self.armed })
    }
}

impl DeviceMut<'_> {
    fn mainline(&mut self) -> Option<&mut Mainline> {
        match &mut self.state.dialect {
            Dialect::Mainline(mainline) => Some(mainline),
            Dialect::V4(_) => None,
        }
    }

    /// A feature request. The device is awake: every request wakes it before it is looked at.
    pub(in crate::host) fn mainline_feature(
        &mut self,
        now: Time,
        call: &FeatureCall<'_>,
    ) -> Result<FeatureReply, HostError> {
        call.check_header()?;
        match call.feature() {
            ENTRY => {
                if call.check(SET, 0)? {
                    self.low_power_entry(false)?;
                }
                Ok(FeatureReply::Done)
            }
            ENTRY_WITH_WAKEUP => {
                if !call.check(SET, WAKEUP_SIZE)? {
                    return Ok(FeatureReply::Done);
                }
                check_eventfd(call)?;
                self.low_power_entry(true)?;
                Ok(FeatureReply::Armed)
            }
            EXIT => {
                if call.check(SET, 0)? {
                    self.low_power_exit();
                }
                Ok(FeatureReply::Done)
            }
            _ => self.other_feature(now, call),
        }
    }

    /// Gives up the client's own reference. Mappings go even where low power is engaged already.
    fn low_power_entry(&mut self, armed: bool) -> Result<(), HostError> {
        self.engage()?;
        if let Some(mainline) = self.mainline() {
            mainline.armed = armed;
        }
        Ok(())
    }

    /// Takes the reference back; an eventfd that has not fired is dropped.
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

    /// The driver's part of a resume: an armed eventfd is signalled and ends low power, then INTx
    /// is unmasked.
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
        self.unmask_after_resume();
    }
}

/// `eventfd_ctx_fdget`: the number in the message says only whether there is one; the descriptor
/// itself comes beside it.
fn check_eventfd(call: &FeatureCall<'_>) -> Result<(), HostError> {
    let number = call.word(0)? as i32;
    // Not looked at by the kernel, but part of the message.
    call.word(4)?;
    if number < 0 {
        return Err(HostError::Feature {
            what: "wakeup_eventfd is negative",
        });
    }
    match call.fd {
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
