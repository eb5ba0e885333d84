//! Open, close and reset of the device (`vfio_pci_core_enable`, `vfio_pci_core_disable`,
//! `vfio_pci_ioctl_reset`).

use super::Device;
use super::config::OnDisconnect;
use super::error::HostError;
use super::saved::Saved;
use super::view::{View, VirtualConfig};
use crate::config::{BarKind, Command, MAX_BARS};
use crate::power::PowerState;
use crate::register::{RegisterBits, ResetKind};
use crate::time::Time;

const COMMAND: u64 = 0x04;

impl Device {
    /// The driver is bound: the device may sleep unless it was told not to while unopened.
    pub(super) fn bind(&mut self) {
        if self.config.disable_idle_d3 {
            self.low_power.bound = Some(self.rpm.get());
        }
        self.idle(Time::ZERO);
    }

    /// A client opens the device. Only the first open does anything to it, and that only if it was
    /// not open when it was saved.
    ///
    /// # Errors
    /// [`HostError::Resume`] with the core's own errno: the device did not wake.
    pub fn client_came(&mut self, now: Time) -> Result<(), HostError> {
        if self.low_power.awaited > 0 {
            self.low_power.awaited -= 1;
            return Ok(());
        }
        if self.low_power.opens == 0 {
            let usage = self.resume_and_get(now)?;
            if self.config.view == View::VfioPci {
                self.set_power_state(now, PowerState::D0).ok();
                if self.config.reset_works {
                    self.try_reset(now).ok();
                }
                self.enable_decoding(now);
                self.open_state = Some(Saved::take(self.slot.function()));
                self.vconfig = Some(VirtualConfig::new(
                    self.slot.function(),
                    self.dialect.kind(),
                ));
            }
            self.low_power.open = Some(usage);
            self.low_power.bound = None;
            self.low_power.extra = (0..self.config.extra_open_gets)
                .map(|_| self.rpm.get())
                .collect();
            self.core.take_waited();
            self.settle(now);
        }
        self.low_power.opens += 1;
        Ok(())
    }

    /// Whether another client may open the device.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.connected() < self.config.max_clients
    }

    /// A client is gone. Only the last one's going does anything to the device.
    pub fn client_gone(&mut self, now: Time) {
        self.low_power.opens = self.low_power.opens.saturating_sub(1);
        self.low_power.awaited = self.low_power.awaited.min(self.low_power.opens);
        if self.low_power.opens > 0 {
            return;
        }
        self.leave_low_power();
        // A device that does not wake is closed all the same.
        self.resume(now).ok();
        self.irqs.drop_all(self.slot.function_mut());
        if self.config.on_disconnect == OnDisconnect::Reset {
            self.close(now);
        }
        if self.config.disable_idle_d3 || self.config.on_disconnect == OnDisconnect::Retain {
            self.low_power.bound = Some(self.rpm.get());
        }
        self.low_power.open = None;
        self.low_power.extra.clear();
        self.core.take_waited();
        self.settle(now);
        self.idle(now);
    }

    /// Ends low power without a word to anybody.
    fn leave_low_power(&mut self) {
        self.low_power_exit();
        if let Some(v4) = self.v4() {
            v4.reset();
        }
    }

    fn close(&mut self, now: Time) {
        self.set_power_state(now, PowerState::D0).ok();
        if self.slot.rail_on() {
            let command = self.slot.function().config().header().command();
            let command = command.with_bus_master_enable(false);
            self.write_command(now, command);
            if self.config.reset_works && !self.reset_busy {
                self.reset_function(now);
            }
        }
        if let Some(image) = self.open_state.take() {
            image.restore(self.slot.function_mut(), now);
        }
        self.core.drop_saved();
        self.vconfig = None;
        self.user_state = None;
    }

    /// `pci_enable_device`: what the BARs need decodes from now on.
    fn enable_decoding(&mut self, now: Time) {
        let header = self.slot.function().config().header();
        let kinds = (0..MAX_BARS).filter_map(|index| Some(header.bar(index)?.kind));
        let command = kinds.fold(header.command(), |command, kind| match kind {
            BarKind::Io => command.with_io_space_enable(true),
            BarKind::Memory32 | BarKind::Memory64 => command.with_memory_space_enable(true),
        });
        self.write_command(now, command);
    }

    fn write_command(&mut self, now: Time, command: Command) {
        let word = command.to_bits() as u16;
        self.slot
            .function_mut()
            .config_write(now, COMMAND, &word.to_le_bytes());
    }

    /// `VFIO_DEVICE_RESET`: a function level reset after which the function is ready.
    ///
    /// # Errors
    /// [`HostError::NoReset`], [`HostError::ResetBusy`], [`HostError::NotAwake`].
    pub fn reset(&mut self, now: Time) -> Result<(), HostError> {
        self.guarded(now, |device| {
            if !device.config.reset_works {
                return Err(HostError::NoReset);
            }
            if device.config.view == View::VfioPci {
                device.set_power_state(now, PowerState::D0).ok();
            }
            device.try_reset(now)
        })
    }

    /// `pci_try_reset_function`. In the vfio-pci view config space is what it was before.
    pub(super) fn try_reset(&mut self, now: Time) -> Result<(), HostError> {
        if self.reset_busy {
            return Err(HostError::ResetBusy);
        }
        if self.config.view == View::Hardware {
            self.reset_function(now);
            return Ok(());
        }
        self.core
            .set_power_state(&mut self.slot, now, PowerState::D0)
            .ok();
        let image = Saved::take(self.slot.function());
        self.write_command(now, Command::new().with_interrupt_disable(true));
        self.reset_function(now);
        image.restore(self.slot.function_mut(), now);
        Ok(())
    }

    fn reset_function(&mut self, now: Time) {
        if self.slot.rail_on() && !self.slot.is_dead() {
            self.slot.function_mut().reset(now, ResetKind::Flr);
            self.slot.function_mut().waited();
            self.core.note_state(PowerState::D0);
            self.core.note_wait(super::pci_core::FLR_WAIT);
        }
    }
}
