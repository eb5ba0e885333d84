//! Virtual functions as the host has them: `sriov_numvfs` of Linux sysfs (`drivers/pci/iov.c`) and
//! the driver's part of it (`vfio_pci_core_sriov_configure`).
//!
//! | | virtual functions exist | the physical function |
//! |---|---|---|
//! | the host enables them ([`DeviceMut::set_num_vfs`]) | until the host disables them; a reset brings them back anew | is in use and stays in D0 |
//! | a client sets VF Enable (hardware view) | until it is cleared, also by a reset | is in use |

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vfio_user_protocol::Errno;

use super::error::HostError;
use super::runtime_pm::Usage;
use super::view::View;
use super::{DeviceMut, DeviceRef};
use crate::capability::{SriovControl, VirtualFunctions};
use crate::pci::{ExtendedId, single_root};
use crate::power::PowerState;
use crate::slot::FunctionNumber;
use crate::time::Time;

/// Time for which the host waits after it has set VF Enable (`sriov_enable`).
const ENABLE_WAIT: Duration = Duration::from_millis(100);

/// The host's knowledge of the virtual functions of a device.
#[derive(Debug, Default)]
pub(super) struct Sriov {
    /// Number of virtual functions that the host has enabled.
    num_vfs: u16,
    /// They are removed as soon as no client has one of them open.
    removing: bool,
    /// The reference that keeps the physical function awake.
    hold: Option<Usage>,
}

/// The saved state of [`Sriov`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedSriov {
    num_vfs: u16,
    removing: bool,
    hold: bool,
}

impl SavedSriov {
    /// Returns whether there is nothing to save.
    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Single root I/O virtualization in a [`Status`](super::Status).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum SriovStatus {
    /// The function is a physical one.
    #[non_exhaustive]
    Physical {
        /// `sriov_totalvfs`.
        totalvfs: u16,
        /// `sriov_numvfs`: virtual functions that the host has enabled.
        numvfs: u16,
        /// Virtual functions that exist.
        existing: u16,
        /// The host waits for clients of virtual functions to disconnect, so that it can remove them.
        removing: bool,
    },
    /// The function is a virtual one.
    #[non_exhaustive]
    Virtual {
        /// Number of its physical function.
        physical_function: FunctionNumber,
        /// The function exists.
        exists: bool,
    },
}

impl DeviceRef<'_> {
    /// Returns the part of the status about virtual functions.
    pub(super) fn sriov_status(&self) -> Option<SriovStatus> {
        if let Some(physical_function) = self.state.physical {
            return Some(SriovStatus::Virtual {
                physical_function,
                exists: self.function.exists(),
            });
        }
        let sriov = self.function.config().sriov()?;
        Some(SriovStatus::Physical {
            totalvfs: sriov.total_vfs(),
            numvfs: self.state.sriov.num_vfs,
            existing: sriov.virtual_functions().number,
            removing: self.state.sriov.removing,
        })
    }
}

impl Sriov {
    pub(super) fn save(&self) -> SavedSriov {
        let Self {
            num_vfs,
            removing,
            hold,
        } = self;
        SavedSriov {
            num_vfs: *num_vfs,
            removing: *removing,
            hold: hold.is_some(),
        }
    }

    /// Restores the state that [`Self::save`] returned.
    pub(super) fn restored(saved: SavedSriov, usage: impl FnOnce() -> Usage) -> Self {
        let SavedSriov {
            num_vfs,
            removing,
            hold,
        } = saved;
        Self {
            num_vfs,
            removing,
            hold: hold.then(usage),
        }
    }
}

impl DeviceMut<'_> {
    /// Writes `sriov_numvfs`, as the host's user does: enables the first `count` virtual functions,
    /// or disables all. Clients of virtual functions that are to go get a device request (irq index
    /// REQ), and the functions go when the last of them has disconnected; no new client can open
    /// them.
    ///
    /// # Errors
    /// [`HostError::NoSriov`], [`HostError::TooManyVfs`], [`HostError::SriovDisabled`],
    /// [`HostError::VfsEnabled`], [`HostError::Stopped`]. [`HostError::Resume`] if the device did
    /// not wake.
    pub fn set_num_vfs(&mut self, now: Time, count: u16) -> Result<(), HostError> {
        let sriov = self.slot.function().config().sriov();
        let sriov = sriov.ok_or(HostError::NoSriov)?;
        let total = sriov.total_vfs();
        let existing = sriov.virtual_functions().number;
        let number = self.state.sriov.num_vfs.max(existing);
        if count > total {
            return Err(HostError::TooManyVfs { count, total });
        }
        if count == number && !self.state.sriov.removing {
            return Ok(());
        }
        if !self.state.options.enable_sriov {
            return Err(HostError::SriovDisabled);
        }
        if self.is_frozen() {
            return Err(HostError::Stopped);
        }
        if count == 0 {
            self.remove_virtual_functions(now);
            return Ok(());
        }
        if number != 0 {
            return Err(HostError::VfsEnabled { number });
        }
        let usage = self.resume_and_get(now)?;
        // The client may have put it to sleep.
        self.set_power_state(now, PowerState::D0).ok();
        self.state.sriov.num_vfs = count;
        self.state.sriov.hold = Some(usage);
        self.enable_virtual_functions(now, count);
        // Nobody waits for it.
        self.state.core.take_waited();
        Ok(())
    }

    /// Asks the clients of virtual functions to disconnect, and removes the functions if there is
    /// none (`sriov_del_vfs`, which waits in `vfio_unregister_group_dev`).
    fn remove_virtual_functions(&mut self, now: Time) {
        let mut in_use = false;
        for number in self.slot.virtual_functions() {
            self.with_peer(number, |mut peer| {
                if peer.state.low_power.opens > 0 {
                    in_use = true;
                    peer.request();
                }
            });
        }
        self.state.sriov.removing = true;
        if !in_use {
            self.virtual_functions_removed(now);
        }
    }

    /// Disables the virtual functions that the host has enabled, as when the driver is unbound.
    pub(super) fn disable_virtual_functions(&mut self, now: Time) {
        if self.state.sriov.num_vfs > 0 {
            self.virtual_functions_removed(now);
        }
    }

    /// Disables virtual functions that nobody uses any more (`sriov_disable`).
    fn virtual_functions_removed(&mut self, now: Time) {
        self.write_sriov(now, single_root::CONTROL, self.sriov_control(false));
        self.write_sriov(now, single_root::NUM_VFS, 0);
        self.settle(now);
        self.state.sriov = Sriov::default();
        self.idle(now);
    }

    /// Takes note that the last client of the device has gone, if the device is a virtual function.
    pub(super) fn virtual_function_closed(&mut self, now: Time) {
        let Some(physical) = self.slot.physical_function() else {
            return;
        };
        self.with_peer(physical, |mut physical| {
            // This device is none of its peers meanwhile.
            let others = physical.slot.virtual_functions();
            let mut in_use = false;
            for number in others {
                let opens = physical.with_peer(number, |peer| peer.state.low_power.opens);
                in_use |= opens.is_some_and(|opens| opens > 0);
            }
            if physical.state.sriov.removing && !in_use {
                physical.virtual_functions_removed(now);
            }
        });
        self.note_existence(now);
    }

    /// Writes `NumVFs` and VF Enable, and waits.
    fn enable_virtual_functions(&mut self, now: Time, count: u16) {
        self.write_sriov(now, single_root::NUM_VFS, count);
        self.write_sriov(now, single_root::CONTROL, self.sriov_control(true));
        self.state.core.note_wait(ENABLE_WAIT);
        self.settle(now);
        self.slot.virtual_functions_waited();
    }

    /// Enables virtual functions anew that a reset has ended (`sriov_restore_state`).
    pub(super) fn restore_virtual_functions(&mut self, now: Time) {
        let count = self.state.sriov.num_vfs;
        if count == 0 {
            return;
        }
        // Those from before the reset go first.
        self.settle(now);
        let sriov = self.slot.function().config().sriov();
        if sriov.is_some_and(|sriov| !sriov.control().vf_enable()) {
            self.enable_virtual_functions(now, count);
        }
    }

    /// Returns SR-IOV Control with VF Enable and VF Memory Space Enable set or clear.
    fn sriov_control(&self, enable: bool) -> u16 {
        let sriov = self.slot.function().config().sriov();
        let control = sriov.map_or(SriovControl::new(), |sriov| sriov.control());
        control
            .with_vf_enable(enable)
            .with_vf_memory_space_enable(enable)
            .into()
    }

    fn write_sriov(&mut self, now: Time, register: usize, value: u16) {
        let config = self.slot.function().config();
        if let Some(start) = config.extended_at(ExtendedId::SingleRootIoVirtualization) {
            let at = u64::from(start) + register as u64;
            self.slot
                .function_mut()
                .config_write(now, at, &value.to_le_bytes());
        }
    }

    /// Lets virtual functions follow the function, and keeps the function awake for those that a
    /// client has enabled.
    pub(super) fn virtual_functions_changed(
        &mut self,
        now: Time,
        there: VirtualFunctions,
        power_state: PowerState,
    ) {
        self.slot.lead(now, there, power_state);
        for number in self.slot.virtual_functions() {
            self.with_peer(number, |mut peer| peer.note_existence(now));
        }
        if self.state.options.view == View::Hardware && self.state.sriov.num_vfs == 0 {
            let Self { state, .. } = self;
            state.sriov.hold = (there.number > 0).then(|| state.rpm.get());
        }
    }

    fn note_existence(&mut self, now: Time) {
        self.state.absent = !self.slot.function().exists();
        self.settle(now);
    }

    /// Refuses to leave D0 while the host has virtual functions enabled
    /// (`vfio_pci_set_power_state`).
    pub(super) fn check_virtual_functions(&self, to: PowerState) -> Result<(), HostError> {
        if self.state.sriov.num_vfs > 0 && to > PowerState::D0 {
            return Err(HostError::PowerState {
                to,
                errno: Errno::EBUSY,
            });
        }
        Ok(())
    }

    /// Refuses a client of a virtual function that does not exist, or is being removed.
    pub(super) fn check_exists(&mut self) -> Result<(), HostError> {
        let Some(physical) = self.slot.physical_function() else {
            return Ok(());
        };
        let removing = self.with_peer(physical, |physical| physical.state.sriov.removing);
        if self.slot.function().exists() && removing != Some(true) {
            return Ok(());
        }
        Err(HostError::NoVirtualFunction { physical })
    }
}

#[cfg(test)]
mod tests;
