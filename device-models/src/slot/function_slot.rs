//! A slot as seen by one of its functions.

use std::time::Duration;

use serde_json::{Value, json};

use super::functions::Functions;
use super::{FunctionNumber, LinkState, Power, SavedSlot};
use crate::capability::VirtualFunctions;
use crate::function::{Function, Presence, Ram};
use crate::power::PowerState;
use crate::register::ResetKind;
use crate::snapshot::{self, RestoreError};
use crate::time::Time;

/// A slot with one of its functions selected.
///
/// The function exists by construction. Its driver also reaches the power and the resets that the
/// function shares with the others.
#[derive(Debug)]
pub struct FunctionSlot<'a> {
    number: FunctionNumber,
    pub(super) power: &'a mut Power,
    pub(super) functions: &'a mut Functions,
}

impl<'a> FunctionSlot<'a> {
    pub(super) const fn pick_first(power: &'a mut Power, functions: &'a mut Functions) -> Self {
        Self {
            number: FunctionNumber::ZERO,
            power,
            functions,
        }
    }

    pub(super) fn pick(
        power: &'a mut Power,
        functions: &'a mut Functions,
        number: FunctionNumber,
    ) -> Option<Self> {
        functions.get(number)?;
        Some(Self {
            number,
            power,
            functions,
        })
    }

    /// Reborrows the slot for a shorter time.
    pub const fn reborrow(&mut self) -> FunctionSlot<'_> {
        FunctionSlot {
            number: self.number,
            power: self.power,
            functions: self.functions,
        }
    }

    /// Returns the slot as another of its functions sees it.
    pub fn of_function(&mut self, number: FunctionNumber) -> Option<FunctionSlot<'_>> {
        FunctionSlot::pick(self.power, self.functions, number)
    }

    /// Returns the numbers of all functions of the slot, in order.
    pub fn numbers(&self) -> impl Iterator<Item = FunctionNumber> {
        self.functions.iter().map(|(number, _)| number)
    }

    /// Returns the state of the link.
    #[must_use]
    pub fn link(&self) -> LinkState {
        LinkState::of(self.power, self.functions)
    }

    /// Returns the number of the function.
    #[must_use]
    pub const fn number(&self) -> FunctionNumber {
        self.number
    }

    /// Returns the function.
    #[must_use]
    pub fn function(&self) -> &Function {
        self.functions.get_or_first(self.number)
    }

    /// Returns the function.
    pub fn function_mut(&mut self) -> &mut Function {
        self.functions.get_or_first_mut(self.number)
    }

    /// Returns the number of functions in the slot.
    #[must_use]
    pub fn functions(&self) -> usize {
        self.functions.iter().count()
    }

    /// Returns the number of functions that are not virtual.
    #[must_use]
    pub fn physical_functions(&self) -> usize {
        let functions = self.functions.iter();
        functions
            .filter(|(_, function)| !function.is_virtual())
            .count()
    }

    /// Returns whether a function is not a virtual one.
    #[must_use]
    pub fn is_physical(&self, number: FunctionNumber) -> bool {
        self.functions.physical(number).is_none()
    }

    /// Returns the number of the physical function, if the function is a virtual one.
    #[must_use]
    pub fn physical_function(&self) -> Option<FunctionNumber> {
        self.functions.physical(self.number)
    }

    /// Returns the numbers of the function's own virtual functions, in order.
    pub fn virtual_functions(&self) -> impl Iterator<Item = FunctionNumber> + use<> {
        self.functions.virtual_functions(self.number)
    }

    /// Makes the function's virtual functions follow it.
    pub(crate) fn lead(&mut self, now: Time, there: VirtualFunctions, power_state: PowerState) {
        for (index, number) in (0..).zip(self.virtual_functions()) {
            let presence = Presence {
                exists: index < there.number,
                memory_space: there.memory_space,
                power_state,
            };
            if self.functions.get(number).is_some() {
                self.functions
                    .get_or_first_mut(number)
                    .follow(now, presence);
            }
        }
    }

    /// Tells the function's virtual functions that software has waited for them.
    pub(crate) fn virtual_functions_waited(&mut self) {
        for number in self.virtual_functions() {
            if self.functions.get(number).is_some() {
                self.functions.get_or_first_mut(number).waited();
            }
        }
    }

    /// Returns whether each virtual function of the slot is as its physical function says.
    fn check_virtual_functions(&self) -> Result<(), RestoreError> {
        for (of, physical) in self.functions.iter() {
            let Some(sriov) = physical.config().sriov() else {
                continue;
            };
            let there = if physical.is_powered() {
                sriov.virtual_functions()
            } else {
                VirtualFunctions::default()
            };
            for (index, number) in (0..).zip(self.functions.virtual_functions(of)) {
                let exists = index < there.number;
                let function = self.functions.get(number);
                if function.is_some_and(|function| function.exists() != exists) {
                    let at = format!("slot.functions.{number}.core.presence.exists");
                    let reason = format!("function {of} says {exists}");
                    return Err(RestoreError::part(at, reason));
                }
            }
        }
        Ok(())
    }

    /// Returns the supplies.
    pub(crate) const fn power(&self) -> &Power {
        self.power
    }

    /// Returns whether main power is on.
    #[must_use]
    pub const fn rail_on(&self) -> bool {
        self.power.rail_on
    }

    /// Returns whether the card is in the slot.
    #[must_use]
    pub const fn is_occupied(&self) -> bool {
        self.power.present
    }

    /// Takes the card out of the slot; see [`Slot::unplug`](super::Slot::unplug).
    pub fn unplug(&mut self, now: Time) {
        self.power.unplug(now, self.functions);
    }

    /// Puts the card into the slot again; see [`Slot::plug`](super::Slot::plug).
    pub fn plug(&mut self, now: Time) {
        self.power.plug(now, self.functions);
    }

    /// Returns whether the function should have power but does not answer.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        let function = self.function();
        function.is_gone() && self.power.rail_on && !function.is_powered()
    }

    /// Switches main power; see [`Slot::set_rail`](super::Slot::set_rail).
    pub fn set_rail(&mut self, now: Time, on: bool) {
        self.power.set_rail(now, on, self.functions);
    }

    /// Removes and restores all power; see [`Slot::power_cycle`](super::Slot::power_cycle).
    pub fn power_cycle(&mut self, now: Time) {
        self.power.cycle(now, self.functions);
    }

    /// Resets all functions from above; see [`Slot::reset`](super::Slot::reset).
    pub fn reset(&mut self, now: Time, kind: ResetKind) {
        self.power.reset(now, kind, self.functions);
    }

    /// Tells all functions that software has waited for `span` since their last reset.
    pub fn waited_for(&mut self, span: Duration) {
        let functions = self.functions.iter_mut();
        functions.for_each(|function| function.waited_for(span));
    }

    /// Tells all functions when the link above them becomes active; see
    /// [`Function::train_link`].
    pub fn train_link(&mut self, now: Time, training: Duration, recovers_then: bool) {
        let functions = self.functions.iter_mut();
        functions.for_each(|function| function.train_link(now, training, recovers_then));
    }

    /// Sends the message with the slot's power limit (PCIe Base §7.5.3.3) to all functions: value
    /// and scale as in Device Capabilities.
    pub fn set_power_limit(&mut self, value: u8, scale: u8) {
        let functions = self.functions.iter_mut();
        functions.for_each(|function| function.set_slot_power_limit(value, scale));
    }

    /// Restores the tree of a slot that contains only this function.
    ///
    /// # Errors
    /// The tree does not fit this function, which may then be restored in part, or it would change
    /// the power of others.
    pub fn restore(&mut self, now: Time, saved: &Value) -> Result<(), RestoreError> {
        self.restore_part(now, saved, Ram::Inside)
    }

    /// Restores a tree with the memory behind BARs where `ram` says.
    pub(crate) fn restore_part(
        &mut self,
        now: Time,
        saved: &Value,
        ram: Ram,
    ) -> Result<(), RestoreError> {
        let saved: SavedSlot = snapshot::read("slot", saved)?;
        saved.check_numbers(&[self.number])?;
        let alone = self.functions.iter().count() == 1;
        if saved.rail_on != self.power.rail_on && !alone {
            let name = |on: bool| if on { "on" } else { "off" };
            let (saved, here) = (name(saved.rail_on), name(self.power.rail_on));
            let reason = format!(
                "main power was {saved}, but here it is {here}, and other functions share it; restore all functions of the slot at once"
            );
            return Err(RestoreError::part("slot.rail_on", reason));
        }
        let faults = self.power.faults.as_ref().map(|list| list.save(now));
        if !alone && snapshot::tree(&saved.faults) != snapshot::tree(&faults) {
            let reason = "the slot had other faults than here, and other functions share them; restore all functions of the slot at once";
            return Err(RestoreError::part("slot.faults", reason));
        }
        if saved.present != self.power.present && !alone {
            let name = |present: bool| if present { "in" } else { "not in" };
            let (saved, here) = (name(saved.present), name(self.power.present));
            let reason = format!(
                "the card was {saved} the slot, but here it is {here} it, and other functions are on it; restore all functions of the slot at once"
            );
            return Err(RestoreError::part("slot.present", reason));
        }
        for tree in saved.functions.values() {
            self.function_mut().restore_part(now, tree, ram)?;
        }
        self.power
            .restore(now, (saved.rail_on, saved.present), saved.faults)?;
        self.check_virtual_functions()
    }

    /// Restores the tree of the whole slot, with the memory behind BARs where `ram` says.
    pub(crate) fn restore_all(
        &mut self,
        now: Time,
        saved: &Value,
        ram: Ram,
    ) -> Result<(), RestoreError> {
        let saved: SavedSlot = snapshot::read("slot", saved)?;
        let here: Vec<_> = self.numbers().collect();
        saved.check_numbers(&here)?;
        let functions = self.functions.iter_mut().zip(saved.functions.values());
        for (function, saved) in functions {
            function.restore_part(now, saved, ram)?;
        }
        self.power
            .restore(now, (saved.rail_on, saved.present), saved.faults)?;
        self.check_virtual_functions()
    }

    /// Returns rail and function field by field, for people.
    #[must_use]
    pub fn inspect(&self, now: Time) -> Value {
        json!({ "rail": self.power.rail_on, "function": self.function().inspect(now) })
    }
}
