//! Interrupts of a function: the INTx level, and message delivery.
//!
//! The wire is `cause AND D0 AND NOT Interrupt Disable AND NOT MSI AND NOT MSI-X` (PCIe Base §6.1.2;
//! the D0 term is a choice, the specification leaves it open). `Interrupt Status` shows the cause
//! itself, except while messages are in use.

use super::core::Core;
use crate::effect::{Effect, FunctionEvent, MessageKind};
use crate::fault::Occurrence;
use crate::power::PowerState;

impl Core {
    pub(super) fn message_kind(&self) -> Option<MessageKind> {
        if self.config.msix().is_some_and(|msix| msix.enabled()) {
            Some(MessageKind::Msix)
        } else if self.config.msi().is_some_and(|msi| msi.enabled()) {
            Some(MessageKind::Msi)
        } else {
            None
        }
    }

    /// Raises an interrupt of the device: message `vector` if messages are enabled, else INTx.
    pub(crate) fn interrupt(&mut self, vector: u16) {
        match self.message_kind() {
            None => self.set_intx_cause(true),
            Some(_) if self.state != PowerState::D0 => self.interrupts.hold(vector, true),
            Some(kind) => self.send_message(kind, vector),
        }
    }

    /// Sends a message whose delay is over, as the state of the function allows now. One that is masked, or
    /// that may not be sent, waits as if it had been raised now (PCIe Base §6.1.4.5, §7.5.1.1.3).
    pub(super) fn send_late(&mut self, kind: MessageKind, vector: u16) {
        if self.message_kind() != Some(kind) {
            return;
        }
        if self.state != PowerState::D0 {
            self.interrupts.hold(vector, true);
        } else if let Some(vector) = self.raise(kind, vector) {
            self.emit(Effect::Message { kind, vector });
        }
    }

    fn raise(&mut self, kind: MessageKind, vector: u16) -> Option<u16> {
        let bus_master = self.bus_master();
        match kind {
            MessageKind::Msix => self
                .config
                .msix_mut()
                .and_then(|msix| msix.raise(vector, bus_master)),
            MessageKind::Msi => self
                .config
                .msi_mut()
                .and_then(|msi| msi.raise(vector, bus_master)),
        }
    }

    fn send_message(&mut self, kind: MessageKind, vector: u16) {
        if let Some(vector) = self.raise(kind, vector) {
            self.emit_message(kind, vector);
        }
    }

    /// Withdraws message `vector`, whose cause has gone before it was sent.
    pub(crate) fn withdraw(&mut self, vector: u16) {
        self.interrupts.hold(vector, false);
        self.withdraw_late(vector);
        if let Some(msix) = self.config.msix_mut() {
            msix.withdraw(vector);
        }
        if let Some(msi) = self.config.msi_mut() {
            msi.withdraw(vector);
        }
    }

    /// Asserts or releases INTx for the device.
    pub(crate) fn set_intx_cause(&mut self, cause: bool) {
        self.interrupts.cause = cause;
        self.update_intx();
    }

    /// Updates wire and `Interrupt Status` from the state that they depend on.
    pub(super) fn update_intx(&mut self) {
        let cause = self.interrupts.cause && self.config.header().interrupt_pin() != 0;
        let shown = cause && self.message_kind().is_none();
        let linked = !self.is_unlinked();
        let header = self.config.header_mut();
        header.set_status(header.status().with_interrupt_status(shown));
        let wire = shown
            && self.powered
            && linked
            && self.state == PowerState::D0
            && !header.command().interrupt_disable();
        if wire != self.interrupts.wire {
            self.interrupts.wire = wire;
            if self.meet(&Occurrence::Intx { asserted: wire }).prevented {
                return;
            }
            self.emit(Effect::Intx(wire));
            self.emit(Effect::Event(FunctionEvent::Intx { asserted: wire }));
        }
    }

    /// Sends pending and held messages that can go now.
    pub(super) fn deliver_messages(&mut self) {
        if self.state != PowerState::D0 {
            return;
        }
        let Some(kind) = self.message_kind() else {
            return;
        };
        while let Some(vector) = self.interrupts.take_held() {
            self.send_message(kind, vector);
        }
        let bus_master = self.bus_master();
        while let Some(vector) = match kind {
            MessageKind::Msix => self
                .config
                .msix_mut()
                .and_then(|msix| msix.next_pending(bus_master)),
            MessageKind::Msi => self
                .config
                .msi_mut()
                .and_then(|msi| msi.next_pending(bus_master)),
        } {
            self.emit_message(kind, vector);
        }
    }

    /// Sends a message, unless it is lost. Another one follows if it is doubled.
    fn emit_message(&mut self, kind: MessageKind, vector: u16) {
        let verdict = self.meet(&Occurrence::Message { vector });
        if !verdict.prevented && self.delay_message(verdict.delayed, kind, vector) {
            return;
        }
        let times = match verdict.prevented {
            true => 0,
            false => 1 + usize::from(verdict.doubled),
        };
        for _ in 0..times {
            self.emit(Effect::Message { kind, vector });
        }
    }
}
