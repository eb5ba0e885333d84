//! Virtual functions (PCIe Base §9): they exist while their physical function says so, their memory
//! decodes with its VF Memory Space Enable, and without a PM capability of their own they are in its
//! power state (§9.6.1).

use super::Function;
use super::core::Core;
use super::presence::Presence;
use super::reset::RESET_RECOVERY;
use crate::capability::VirtualFunctions;
use crate::effect::{Effect, FunctionEvent};
use crate::register::ResetKind;
use crate::time::Time;

impl Function {
    /// Returns whether the function is a virtual one.
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        self.core.presence.is_some()
    }

    /// Returns whether the function exists, which only a virtual function may not.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.core.exists()
    }

    /// Makes a virtual function follow its physical function. One that comes into being needs time
    /// before it may be accessed (VF Enable, PCIe Base §9.3.3.3.1). One that ceases to exist loses
    /// all of its state.
    pub(crate) fn follow(&mut self, now: Time, presence: Presence) {
        let Some(before) = self.core.presence.replace(presence) else {
            self.core.presence = None;
            return;
        };
        if before.exists != presence.exists {
            let exists = presence.exists;
            if exists {
                self.core.recover(now, RESET_RECOVERY);
            } else {
                // No reset that could fail: there is nothing left that keeps state.
                self.start_anew(now, ResetKind::Flr);
            }
            self.core
                .emit(Effect::Event(FunctionEvent::VirtualFunction { exists }));
        }
        let (from, to) = (self.core.state, presence.power_state);
        if presence.exists && self.core.powered && from != to {
            self.change_state(now, from, to);
        }
    }
}

impl Core {
    pub(super) fn exists(&self) -> bool {
        self.presence.is_none_or(|presence| presence.exists)
    }

    /// Returns whether anything is there that could answer.
    pub(super) fn is_there(&self) -> bool {
        self.powered && self.exists()
    }

    /// Returns whether memory BARs decode in D0.
    pub(super) fn memory_space_enable(&self) -> bool {
        match self.presence {
            Some(presence) => presence.exists && presence.memory_space,
            None => self.config.header().command().memory_space_enable(),
        }
    }

    /// Tells virtual functions, if there can be any, what this function decides for them.
    pub(super) fn tell_virtual_functions(&mut self) {
        if let Some(sriov) = self.config.sriov() {
            let there = sriov.virtual_functions();
            self.emit(Effect::VirtualFunctions(there, self.state));
        }
    }

    /// Tells virtual functions that this function has lost its power, and they are no more (PCIe
    /// Base §9.6.2).
    pub(super) fn end_virtual_functions(&mut self) {
        if self.config.sriov().is_some() {
            let none = VirtualFunctions::default();
            self.emit(Effect::VirtualFunctions(none, self.state));
        }
    }
}
