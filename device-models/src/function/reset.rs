//! Changes of power state and resets.

use std::time::Duration;

use super::Function;
use super::core::Core;
use crate::capability::ErrorMessages;
use crate::config::ConfigEffect;
use crate::effect::{Effect, FunctionEvent};
use crate::fault::Occurrence;
use crate::power::{PowerState, Transition};
use crate::register::ResetKind;
use crate::time::Time;
use crate::violation::Violation;

/// Time after a conventional reset or FLR before software may access the function (PCIe Base §6.6.1,
/// §6.6.2).
pub(super) const RESET_RECOVERY: Duration = Duration::from_millis(100);

impl Function {
    /// Acts on a consequence of a config write.
    pub(super) fn apply(&mut self, now: Time, effect: ConfigEffect) {
        match effect {
            ConfigEffect::Command | ConfigEffect::Messages => {
                self.core.update_intx();
                self.core.deliver_messages();
            }
            ConfigEffect::Pme => self.core.update_pme(now),
            ConfigEffect::PowerState {
                from,
                to,
                transition,
            } => match transition {
                Transition::Same => {}
                Transition::Legal => self.change_state(now, from, to),
                Transition::Unsupported => {
                    self.core.violate(now, Violation::UnsupportedState { to });
                }
                Transition::Illegal => {
                    self.core
                        .violate(now, Violation::IllegalTransition { from, to });
                }
            },
            ConfigEffect::FunctionLevelReset => {
                self.reset(now, ResetKind::Flr);
                self.core.start_reset_recovery(now);
            }
            ConfigEffect::BarSize { bar, size } => self.core.resize_bar(bar, size),
            ConfigEffect::PowerAllocation => {
                let latency = self
                    .core
                    .config
                    .dpa()
                    .and_then(|dpa| dpa.transition_latency());
                self.core.allocation_at = latency.map(|latency| now.after(latency));
            }
            ConfigEffect::VirtualFunctions => self.core.tell_virtual_functions(),
        }
    }

    /// Makes the rest of the function follow a change of state that PMCSR shows already.
    pub(super) fn change_state(&mut self, now: Time, from: PowerState, to: PowerState) {
        let pm = self.core.config.pm();
        let immediate = pm.is_some_and(|pm| pm.pmc().immediate_readiness_on_return_to_d0());
        let loses = pm.is_some_and(|pm| !pm.pmcsr().no_soft_reset());
        let soft_reset = to == PowerState::D0
            && (from == PowerState::D3hot && loses || self.core.take_lost_state());
        if from == PowerState::D0 && self.core.dma.pending() {
            self.core.dma.abort();
            self.core.violate(now, Violation::TransactionsPending);
        }
        let lost_table = self.core.take_lost_table();
        if lost_table && let Some(msix) = self.core.config.msix_mut() {
            msix.lose_table();
        }
        if soft_reset {
            self.reset(now, ResetKind::SoftD3hot);
        } else {
            self.core.enter(now, to);
            self.settle(now);
            self.core.tell_virtual_functions();
        }
        self.with_model(now, |model, cx| model.power_changed(cx, from, to));
        if !(to == PowerState::D0 && immediate) {
            self.core.recover(now, from.recovery_time(to));
        }
    }

    /// Resets the function. The caller either waits for the recovery time or starts it.
    pub fn reset(&mut self, now: Time, kind: ResetKind) {
        if self.core.faults.is_some() && self.is_reset_lost(now, kind) {
            return;
        }
        self.start_anew(now, kind);
    }

    /// Resets the function, whatever its faults are.
    pub(super) fn start_anew(&mut self, now: Time, kind: ResetKind) {
        // An asserted INTx is released before the reset begins (PCIe Base §6.6.2).
        self.core.interrupts.clear();
        self.core.lose_late_messages();
        self.core.update_intx();
        self.core.dma.forget();
        self.core.waiting_messages = ErrorMessages::default();
        self.core.config.reset(kind);
        self.core.show_link(now);
        self.core.clear_ram();
        self.core.allocation_at = None;
        self.core.counters.resets = self.core.counters.resets.saturating_add(1);
        self.core.emit(Effect::Event(FunctionEvent::Reset { kind }));
        if self.core.powered {
            self.core.enter(now, PowerState::D0);
        }
        self.with_model(now, |model, cx| model.reset(cx, kind));
        self.core.show_transactions_pending();
        self.settle(now);
        self.core.emit(Effect::Reset(kind));
        self.core.tell_virtual_functions();
        self.settle_faults(now);
    }

    /// Meets the faults at a reset. Returns whether the reset has no effect.
    fn is_reset_lost(&mut self, now: Time, kind: ResetKind) -> bool {
        self.core.note_time(now);
        // A function that does not answer does not see the write that would reset it.
        if kind == ResetKind::Flr && self.core.silenced(now).is_some() {
            return true;
        }
        let prevented = self.core.meet(&Occurrence::Reset(kind)).prevented;
        if prevented && kind == ResetKind::SoftD3hot {
            self.core.enter(now, PowerState::D0);
            self.settle(now);
        }
        prevented
    }

    /// Switches main power off after an orderly `PME_Turn_Off` (PCIe Base §5.3.3.2.1).
    pub fn power_off(&mut self, now: Time) {
        self.core.note_power(false);
        if !self.core.powered {
            return;
        }
        let from = self.core.state;
        self.core.emit(Effect::Event(FunctionEvent::PmeToAck));
        self.core.powered = false;
        self.core.interrupts.clear();
        self.core.lose_late_messages();
        self.core.enter(now, PowerState::D3cold);
        self.core.dma.abort();
        self.core
            .emit(Effect::Event(FunctionEvent::Rail { on: false }));
        self.core.end_virtual_functions();
        self.with_model(now, |model, cx| {
            model.power_changed(cx, from, PowerState::D3cold);
        });
        self.settle(now);
        if self.core.faults.is_some() {
            let to = PowerState::D3cold;
            self.core.meet(&Occurrence::DState { from, to });
            self.core.meet(&Occurrence::PowerOff);
            self.settle_faults(now);
        }
    }

    /// Switches main power on: a fundamental reset, of everything if auxiliary power was missing.
    pub fn power_on(&mut self, now: Time) {
        let kind = if self.core.aux_power {
            ResetKind::Fundamental
        } else {
            ResetKind::PowerOn
        };
        self.start(now, kind);
    }

    /// Switches power on after auxiliary power was off as well, so no state is kept; see
    /// [`Self::power_on`].
    pub fn cold_start(&mut self, now: Time) {
        self.start(now, ResetKind::PowerOn);
    }

    fn start(&mut self, now: Time, kind: ResetKind) {
        if self.core.powered || self.core.note_power(true) {
            return;
        }
        if self.meet_power_on(now) {
            self.settle_faults(now);
        } else {
            self.begin(now, kind);
        }
    }

    /// Brings a function back on the bus that a fault has taken off. It starts without state.
    pub(super) fn come_back(&mut self, now: Time) {
        if !self.core.powered {
            self.begin(now, ResetKind::PowerOn);
        }
    }

    fn begin(&mut self, now: Time, kind: ResetKind) {
        self.core.powered = true;
        self.core
            .emit(Effect::Event(FunctionEvent::Rail { on: true }));
        self.reset(now, kind);
        self.core.start_reset_recovery(now);
    }

    /// Performs a conventional reset from above, by PERST# or in-band, after which software has to
    /// wait. A function without power does not notice.
    pub fn conventional_reset(&mut self, now: Time, kind: ResetKind) {
        if !self.core.powered {
            return;
        }
        self.reset(now, kind);
        self.core.start_reset_recovery(now);
    }

    /// Updates everything that depends on state and registers.
    fn settle(&mut self, now: Time) {
        self.core.update_intx();
        self.core.update_pme(now);
        self.core.deliver_messages();
    }
}

impl Core {
    pub(super) fn start_reset_recovery(&mut self, now: Time) {
        if !self.config.header().status().immediate_readiness() {
            self.recover(now, RESET_RECOVERY);
        }
    }

    /// Clears the memory and gives it the size of its BAR.
    fn clear_ram(&mut self) {
        for bar in 0..self.ram.len() {
            self.clear_bar(bar);
        }
    }

    fn clear_bar(&mut self, bar: usize) {
        if let (Some(size), Some(Some(ram))) = (self.memory_size(bar), self.ram.get_mut(bar)) {
            ram.reset(size);
        }
    }

    /// Resizes a BAR and clears its content (PCIe Base §7.8.6 leaves it undefined).
    fn resize_bar(&mut self, bar: u8, size: u64) {
        self.config.header_mut().resize_bar(usize::from(bar), size);
        self.clear_bar(bar.into());
    }
}
