//! Open, close and reset of the device (`vfio_pci_core_enable`, `vfio_pci_core_disable`,
//! `vfio_pci_ioctl_reset`).

use std::time::Duration;

use vfio_user_protocol::Errno;

use super::DeviceMut;
use super::error::HostError;
use super::options::OnDisconnect;
use super::view::{View, VirtualConfig};
use crate::config::{BarKind, Command, MAX_BARS};
use crate::fault::Occurrence;
use crate::fault::consequence::Failure;
use crate::pci::header::COMMAND;
use crate::power::PowerState;
use crate::register::{RegisterBits, ResetKind};
use crate::time::Time;

/// The ways in which the PCI core resets a function alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResetMethod {
    /// Function level reset.
    Flr,
    /// D3hot and back, for a function that loses its state there.
    Pm,
    /// Secondary bus reset, for the only function of a slot.
    Bus,
}

/// Time that `pcie_flr` sleeps.
const FLR_WAIT: Duration = Duration::from_millis(100);

/// Time for which `pcie_flr` waits for Transactions Pending of Device Status, which reads one if the
/// function does not answer (`pci_wait_for_pending`).
const PENDING_WAIT: Duration = Duration::from_millis(100 + 200 + 400);

impl DeviceMut<'_> {
    /// Binds the driver. The device may sleep unless an option keeps it awake while unopened.
    pub(super) fn bind(&mut self, now: Time) {
        if self.state.options.disable_idle_d3 {
            self.state.low_power.bound = Some(self.state.rpm.get());
        }
        self.enable_error_reporting(now);
        self.idle(now);
    }

    /// Opens the device for a client. Only the first open affects it, unless it was open when it
    /// was saved. It may take time, which [`Self::take_wait`] returns.
    ///
    /// # Errors
    /// [`HostError::Resume`] with the core's own errno if the device did not wake;
    /// [`HostError::ResetBusy`]; [`HostError::NoVirtualFunction`] if it is a virtual function that
    /// does not exist.
    pub fn client_came(&mut self, now: Time) -> Result<(), HostError> {
        self.check_exists()?;
        if self.state.low_power.awaited > 0 {
            self.state.low_power.awaited -= 1;
            return Ok(());
        }
        if self.state.leaving.is_under_way() {
            return Err(HostError::Leaving);
        }
        if self.state.low_power.opens == 0 {
            let opened = self.first_open(now);
            if opened.is_err() {
                self.state.core.take_waited();
            }
            self.settle(now);
            if opened.is_err() {
                self.idle(now);
            }
            opened?;
        }
        self.state.low_power.opens += 1;
        Ok(())
    }

    fn first_open(&mut self, now: Time) -> Result<(), HostError> {
        let usage = self.resume_and_get(now)?;
        // An earlier close goes on until the host has stopped waiting for the function.
        if let Some(closing) = self.state.low_power.closing.take() {
            self.state.core.note_wait(closing.until.since(now));
        }
        if self.state.options.view == View::VfioPci {
            self.enable(now)?;
        }
        self.state.low_power.open = Some(usage);
        self.state.low_power.bound = None;
        self.state.low_power.extra = (0..self.state.options.extra_open_gets)
            .map(|_| self.state.rpm.get())
            .collect();
        Ok(())
    }

    /// Prepares the function for its user (`vfio_pci_core_enable`). A function that does not answer
    /// is opened all the same, after the host has given up waiting for it.
    fn enable(&mut self, now: Time) -> Result<(), HostError> {
        self.set_power_state(now, PowerState::D0).ok();
        self.state.reset_works = self.has_reset()
            && match self.try_reset(now) {
                Err(error @ HostError::ResetBusy) => return Err(error),
                outcome => outcome.is_ok(),
            };
        self.enable_decoding(now);
        let image = self.state.core.save_state(&self.slot, now);
        self.state.open_state = Some(image);
        let function = self.slot.function();
        self.state.vconfig = Some(VirtualConfig::new(
            function,
            self.state.dialect.kind(),
            function.will_answer(now),
        ));
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
        self.state.low_power.closing = self.take_wait(now);
        self.settle(now);
        self.idle(now);
        self.virtual_function_closed(now);
        self.go_on_removing(now);
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
        let command = self.slot.function().config().header().command();
        self.write_command(now, command.with_bus_master_enable(false));
        let may = self.reset_is_offered() && self.lock(now).is_ok();
        if may && self.reset_function(now).is_ok() {
            self.state.needs_reset = false;
        }
        if let Some(image) = self.state.open_state.take() {
            self.state.core.load_state(image);
            self.state.core.restore_state(&mut self.slot, now);
        }
        self.restore_virtual_functions(now);
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
        if self.state.core.disconnected {
            return;
        }
        let word = command.to_bits() as u16;
        self.slot
            .function_mut()
            .config_write(now, COMMAND as u64, &word.to_le_bytes());
    }

    /// Performs `VFIO_DEVICE_RESET`: a reset of this function alone, after which it is ready.
    ///
    /// # Errors
    /// [`HostError::NoReset`], [`HostError::ResetBusy`], [`HostError::NotReady`],
    /// [`HostError::NotAwake`].
    pub fn reset(&mut self, now: Time) -> Result<(), HostError> {
        self.guarded(now, |device| {
            if !device.reset_is_offered() {
                return Err(HostError::NoReset);
            }
            if let Some(Failure { errno, .. }) = device.meet(now, &Occurrence::DeviceReset) {
                return Err(HostError::ResetFailed { errno });
            }
            if device.state.options.view == View::VfioPci {
                device.set_power_state(now, PowerState::D0).ok();
            }
            device.try_reset(now)
        })
    }

    /// Locks the device for a reset (`pci_dev_trylock`).
    pub(super) fn lock(&mut self, now: Time) -> Result<(), HostError> {
        if self.state.is_locked() {
            return Err(HostError::ResetBusy);
        }
        match self.meet(now, &Occurrence::DeviceLock) {
            None => Ok(()),
            Some(Failure { errno, .. }) if errno == Errno::EAGAIN => Err(HostError::ResetBusy),
            Some(Failure { errno, .. }) => Err(HostError::ResetFailed { errno }),
        }
    }

    /// Returns whether a client may ask for a reset of the function. In the vfio-pci view the reset
    /// at the open decides (`reset_works`).
    pub(super) fn reset_is_offered(&self) -> bool {
        match self.state.options.view {
            View::VfioPci => self.state.reset_works,
            View::Hardware => self.has_reset(),
        }
    }

    /// Resets the function (`pci_try_reset_function`). In the vfio-pci view config space then has
    /// its earlier content.
    pub(super) fn try_reset(&mut self, now: Time) -> Result<(), HostError> {
        self.lock(now)?;
        if self.state.options.view == View::Hardware {
            return self.reset_function(now);
        }
        self.quiesce(now);
        let reset = self.reset_function(now);
        self.state.core.restore_state(&mut self.slot, now);
        self.restore_virtual_functions(now);
        reset
    }

    /// Returns the ways in which the function is reset alone, in the order in which they are tried
    /// (`pci_init_reset_methods`).
    fn reset_methods(&self) -> impl Iterator<Item = ResetMethod> {
        let options = &self.state.options;
        let config = self.slot.function().config();
        let hardware = options.view == View::Hardware;
        let flr = hardware || config.pcie().is_some_and(|pcie| pcie.has_flr());
        let pm = !hardware && config.pm().is_some_and(|pm| !pm.pmcsr().no_soft_reset());
        // A reset of the bus would reach others.
        let alone = self.slot.physical_functions() == 1 && !self.slot.function().is_virtual();
        let bus = !hardware && alone;
        let methods = [
            (flr, ResetMethod::Flr),
            (pm, ResetMethod::Pm),
            (bus, ResetMethod::Bus),
        ];
        let works = options.reset_works;
        let methods = methods.into_iter().filter(move |(has, _)| works && *has);
        methods.map(|(_, method)| method)
    }

    fn has_reset(&self) -> bool {
        self.reset_methods().next().is_some()
    }

    /// Resets the function alone, without saving anything (`__pci_reset_function_locked`). If it does
    /// not answer after one reset, the next is tried.
    fn reset_function(&mut self, now: Time) -> Result<(), HostError> {
        let mut methods: Vec<ResetMethod> = self.reset_methods().collect();
        if methods.is_empty() {
            // The client's own FLR through config space asks for no method.
            methods.push(ResetMethod::Flr);
        }
        for method in methods {
            let ready = match method {
                ResetMethod::Flr => self.reset_by_flr(now),
                ResetMethod::Pm => self.reset_by_pm(now),
                ResetMethod::Bus => self.reset_bus_below(now),
            };
            if ready {
                // The kernel goes on with the state that it knew before.
                if self.state.options.view == View::Hardware {
                    self.state.core.note_state(PowerState::D0);
                }
                return Ok(());
            }
        }
        Err(HostError::NotReady)
    }

    /// Performs `pcie_flr` and returns whether the function answers then. In the hardware view the
    /// client itself waits for a function that is late.
    fn reset_by_flr(&mut self, now: Time) -> bool {
        let core = &mut self.state.core;
        let answers = core.reaches(&self.slot, now);
        if answers {
            self.slot.function_mut().reset(now, ResetKind::Flr);
        }
        if self.state.options.view == View::Hardware {
            if answers {
                core.note_wait(FLR_WAIT);
                self.slot.function_mut().waited_for(FLR_WAIT);
            }
            return answers;
        }
        if !answers {
            core.note_wait(PENDING_WAIT);
        }
        core.wait_until_ready(&mut self.slot, now, FLR_WAIT)
    }

    /// Performs `pci_pm_reset` and returns whether the function answers then. The ones of a function
    /// that does not answer look like `No_Soft_Reset`.
    fn reset_by_pm(&mut self, now: Time) -> bool {
        let core = &mut self.state.core;
        if !core.reaches(&self.slot, now) {
            return false;
        }
        for state in [PowerState::D3hot, PowerState::D0] {
            core.set_power_state(&mut self.slot, now, state).ok();
        }
        core.wait_until_ready(&mut self.slot, now, Duration::ZERO)
    }
}
