//! Open, close and reset of the device (`vfio_pci_core_enable`, `vfio_pci_core_disable`,
//! `vfio_pci_ioctl_reset`).

use super::DeviceMut;
use super::config_image::ConfigImage;
use super::error::HostError;
use super::options::OnDisconnect;
use super::view::{View, VirtualConfig};
use crate::config::{BarKind, Command, MAX_BARS};
use crate::fault::Occurrence;
use crate::pci::header::COMMAND;
use crate::power::PowerState;
use crate::register::{RegisterBits, ResetKind};
use crate::time::Time;

/// The ways in which the PCI core resets a function alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResetMethod {
    /// Function level reset.
    Flr,
    /// D3hot and back, for a function that loses its state there.
    Pm,
    /// Secondary bus reset, for the only function of a slot.
    Bus,
}

impl DeviceMut<'_> {
    /// Binds the driver. The device may sleep unless an option keeps it awake while unopened.
    pub(super) fn bind(&mut self) {
        if self.state.options.disable_idle_d3 {
            self.state.low_power.bound = Some(self.state.rpm.get());
        }
        self.idle(Time::ZERO);
    }

    /// Opens the device for a client. Only the first open affects it, unless it was open when it
    /// was saved.
    ///
    /// # Errors
    /// [`HostError::Resume`] with the core's own errno if the device did not wake.
    /// [`HostError::NoVirtualFunction`] if it is a virtual function that does not exist.
    pub fn client_came(&mut self, now: Time) -> Result<(), HostError> {
        self.check_exists()?;
        if self.state.low_power.awaited > 0 {
            self.state.low_power.awaited -= 1;
            return Ok(());
        }
        if self.state.low_power.opens == 0 {
            let usage = self.resume_and_get(now)?;
            if self.state.options.view == View::VfioPci {
                self.set_power_state(now, PowerState::D0).ok();
                if self.reset_method().is_some() {
                    self.try_reset(now).ok();
                }
                self.enable_decoding(now);
                self.state.open_state = Some(ConfigImage::take(self.slot.function()));
                self.state.vconfig = Some(VirtualConfig::new(
                    self.slot.function(),
                    self.state.dialect.kind(),
                ));
            }
            self.state.low_power.open = Some(usage);
            self.state.low_power.bound = None;
            self.state.low_power.extra = (0..self.state.options.extra_open_gets)
                .map(|_| self.state.rpm.get())
                .collect();
            self.state.core.take_waited();
            self.settle(now);
        }
        self.state.low_power.opens += 1;
        Ok(())
    }

    /// Returns whether another client may open the device.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.state.connected() < self.state.options.max_clients
    }

    /// Closes the device for a client. Only the last close affects the device.
    pub fn client_gone(&mut self, now: Time) {
        self.state.low_power.opens = self.state.low_power.opens.saturating_sub(1);
        self.state.low_power.awaited = self.state.low_power.awaited.min(self.state.low_power.opens);
        if self.state.low_power.opens > 0 {
            return;
        }
        self.leave_low_power();
        // A device that does not wake is closed all the same.
        self.resume(now).ok();
        self.state.irqs.drop_all(self.slot.function_mut());
        if self.state.options.on_disconnect == OnDisconnect::Reset {
            self.close(now);
        }
        if self.state.options.disable_idle_d3
            || self.state.options.on_disconnect == OnDisconnect::Retain
        {
            self.state.low_power.bound = Some(self.state.rpm.get());
        }
        self.state.low_power.open = None;
        self.state.low_power.extra.clear();
        self.state.core.take_waited();
        self.settle(now);
        self.idle(now);
        self.virtual_function_closed(now);
    }

    /// Ends low power without a notice.
    fn leave_low_power(&mut self) {
        self.low_power_exit();
        if let Some(v4) = self.v4() {
            v4.reset();
        }
    }

    fn close(&mut self, now: Time) {
        self.set_power_state(now, PowerState::D0).ok();
        self.state.needs_reset = self.state.options.view == View::VfioPci;
        if self.slot.rail_on() {
            let command = self.slot.function().config().header().command();
            let command = command.with_bus_master_enable(false);
            self.write_command(now, command);
            let may = self.reset_method().is_some() && !self.state.reset_busy;
            if may && self.reset_function(now) {
                self.state.needs_reset = false;
            }
        }
        if let Some(image) = self.state.open_state.take() {
            image.restore(self.slot.function_mut(), now);
        }
        self.restore_virtual_functions(now);
        self.state.core.drop_saved();
        self.state.vconfig = None;
        self.state.user_state = None;
        self.try_reset_set(now);
    }

    /// Enables decoding of the kinds of BARs that exist (`pci_enable_device`).
    fn enable_decoding(&mut self, now: Time) {
        let header = self.slot.function().config().header();
        let kinds = (0..MAX_BARS).filter_map(|index| Some(header.bar(index)?.kind));
        let command = kinds.fold(header.command(), |command, kind| match kind {
            BarKind::Io => command.with_io_space_enable(true),
            BarKind::Memory32 | BarKind::Memory64 => command.with_memory_space_enable(true),
        });
        self.write_command(now, command);
    }

    pub(super) fn write_command(&mut self, now: Time, command: Command) {
        let word = command.to_bits() as u16;
        self.slot
            .function_mut()
            .config_write(now, COMMAND as u64, &word.to_le_bytes());
    }

    /// Performs `VFIO_DEVICE_RESET`: a reset of this function alone, after which it is ready.
    ///
    /// # Errors
    /// [`HostError::NoReset`], [`HostError::ResetBusy`], [`HostError::NotAwake`].
    pub fn reset(&mut self, now: Time) -> Result<(), HostError> {
        self.guarded(now, |device| {
            if device.reset_method().is_none() {
                return Err(HostError::NoReset);
            }
            if let Some(errno) = device.meet(now, &Occurrence::DeviceReset) {
                return Err(HostError::ResetFailed { errno });
            }
            if device.state.options.view == View::VfioPci {
                device.set_power_state(now, PowerState::D0).ok();
            }
            device.try_reset(now)
        })
    }

    /// Resets the function (`pci_try_reset_function`). In the vfio-pci view config space then has
    /// its earlier content.
    pub(super) fn try_reset(&mut self, now: Time) -> Result<(), HostError> {
        if self.state.reset_busy {
            return Err(HostError::ResetBusy);
        }
        if self.state.options.view == View::Hardware {
            self.reset_function(now);
            return Ok(());
        }
        let image = self.quiesce(now);
        self.reset_function(now);
        image.restore(self.slot.function_mut(), now);
        self.restore_virtual_functions(now);
        Ok(())
    }

    /// Returns the way in which the function is reset alone, if there is one
    /// (`pci_init_reset_methods`).
    pub(super) fn reset_method(&self) -> Option<ResetMethod> {
        let options = &self.state.options;
        let config = self.slot.function().config();
        if !options.reset_works {
            None
        } else if options.view == View::Hardware || config.pcie().is_some_and(|pcie| pcie.has_flr())
        {
            Some(ResetMethod::Flr)
        } else if config.pm().is_some_and(|pm| !pm.pmcsr().no_soft_reset()) {
            Some(ResetMethod::Pm)
        } else {
            // A reset of the bus would reach others.
            (self.slot.physical_functions() == 1).then_some(ResetMethod::Bus)
        }
    }

    /// Resets the function alone, without saving anything. Returns whether there was a reset.
    fn reset_function(&mut self, now: Time) -> bool {
        // The client's own FLR through config space asks for no method.
        let method = self.reset_method().unwrap_or(ResetMethod::Flr);
        if !self.slot.rail_on() || self.slot.is_dead() {
            return false;
        }
        match method {
            ResetMethod::Flr => {
                self.slot.function_mut().reset(now, ResetKind::Flr);
                self.state.core.note_wait(super::pci_core::FLR_WAIT);
            }
            ResetMethod::Pm => {
                let core = &mut self.state.core;
                for state in [PowerState::D3hot, PowerState::D0] {
                    core.set_power_state(&mut self.slot, now, state).ok();
                }
            }
            ResetMethod::Bus => {
                self.slot.reset(now, ResetKind::Hot);
                self.state.core.note_wait(super::dev_set::BUS_RESET_WAIT);
            }
        }
        self.slot.function_mut().waited();
        self.state.core.note_state(PowerState::D0);
        true
    }
}
