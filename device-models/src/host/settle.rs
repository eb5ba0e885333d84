//! The outputs that follow from the effects of the function.

use super::{DeviceMut, Event, Output};
use crate::effect::{Effect, FunctionEvent};
use crate::time::Time;

impl DeviceMut<'_> {
    /// Turns effects of the function into outputs.
    pub(super) fn settle(&mut self, now: Time) {
        self.slot.function_mut().settle_faults(now);
        self.take_effects(now);
        if self.follow_intx(now) {
            // INTx that rose is masked again.
            self.take_effects(now);
            self.follow_intx(now);
            self.take_effects(now);
        }
        self.show_bars();
        self.watch_pme(now);
    }

    fn take_effects(&mut self, now: Time) {
        while let Some(effect) = self.slot.function_mut().next_effect() {
            match effect {
                Effect::Intx(level) => self.state.irqs.set_level(level, &mut self.state.outputs),
                Effect::Message { kind, vector } => self.state.outputs.push_back(Output::Trigger {
                    index: kind.into(),
                    vector: u32::from(vector),
                }),
                Effect::Dma(request) => self.state.outputs.push_back(Output::Dma(request)),
                Effect::Reset(_) => self.state.irqs.reprogram(self.slot.function_mut()),
                Effect::VirtualFunctions(there, state) => {
                    self.virtual_functions_changed(now, there, state);
                }
                Effect::Notice(notice) => {
                    self.notify(notice);
                }
                Effect::Containment(contained) => self.spread_containment(now, contained),
                Effect::Event(event) => {
                    if event == (FunctionEvent::Wake { asserted: true })
                        || event == FunctionEvent::PmPme && self.port_reports_pme()
                    {
                        self.state.low_power.woken_by_platform = true;
                    }
                    if let FunctionEvent::ErrorMessage { severity } = event {
                        self.state.note_error(severity);
                    }
                    self.state
                        .outputs
                        .push_back(Output::Event(Event::Function(event)));
                }
            }
        }
    }

    /// Brings `Interrupt Disable` of the function to where the driver wants it. Returns whether that
    /// changed it.
    fn follow_intx(&mut self, now: Time) -> bool {
        if self.state.vconfig.is_none() {
            return false;
        }
        let may_be_pending = self.state.irqs.take_may_be_pending();
        let wanted = self.state.irqs.intx_disabled();
        let function = self.slot.function();
        let header = function.config().header();
        let command = header.command();
        if command.interrupt_disable() == wanted || !function.will_answer(now) {
            return false;
        }
        if may_be_pending && !wanted && header.status().interrupt_status() {
            // The function would interrupt at once (`pci_check_and_unmask_intx`).
            self.state.irqs.fire(&mut self.state.outputs);
            return false;
        }
        self.write_command(now, command.with_interrupt_disable(wanted));
        true
    }

    /// Hides shared BARs from clients that have them mapped whenever vfio-pci would zap the
    /// mappings, and shows them again when it would let them fault in again.
    fn show_bars(&mut self) {
        let visible = if self.memory_decodes() && !self.is_engaged() {
            self.slot.function().decoding_bars()
        } else {
            0
        };
        if visible != self.state.bars_visible {
            self.state.bars_visible = visible;
            self.slot.function_mut().set_bars_visible(visible);
        }
    }
}
