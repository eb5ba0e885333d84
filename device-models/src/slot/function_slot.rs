//! A slot as seen by one of its functions.

use std::iter;
use std::time::Duration;

use serde_json::{Value, json};

use super::{FunctionNumber, Power, SavedSlot, present};
use crate::function::{Function, Ram};
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
    power: &'a mut Power,
    function: &'a mut Function,
    /// Function 0 if another function is selected, the other functions with lower numbers, and
    /// those with higher numbers.
    first: Option<&'a mut Function>,
    lower: &'a mut [Option<Box<Function>>],
    higher: &'a mut [Option<Box<Function>>],
}

impl<'a> FunctionSlot<'a> {
    pub(super) const fn pick_first(
        power: &'a mut Power,
        first: &'a mut Function,
        others: &'a mut [Option<Box<Function>>],
    ) -> Self {
        Self {
            number: FunctionNumber::ZERO,
            power,
            function: first,
            first: None,
            lower: &mut [],
            higher: others,
        }
    }

    pub(super) fn pick(
        power: &'a mut Power,
        first: &'a mut Function,
        others: &'a mut [Option<Box<Function>>],
        number: FunctionNumber,
    ) -> Option<Self> {
        let Some(index) = number.among_others() else {
            return Some(Self::pick_first(power, first, others));
        };
        let (lower, rest) = others.split_at_mut_checked(index)?;
        let (function, higher) = rest.split_first_mut()?;
        Some(Self {
            number,
            power,
            function: function.as_deref_mut()?,
            first: Some(first),
            lower,
            higher,
        })
    }

    /// Reborrows the slot for a shorter time.
    pub fn reborrow(&mut self) -> FunctionSlot<'_> {
        FunctionSlot {
            number: self.number,
            power: self.power,
            function: self.function,
            first: self.first.as_deref_mut(),
            lower: self.lower,
            higher: self.higher,
        }
    }

    /// Returns the number of the function.
    #[must_use]
    pub const fn number(&self) -> FunctionNumber {
        self.number
    }

    /// Returns the function.
    #[must_use]
    pub const fn function(&self) -> &Function {
        self.function
    }

    /// Returns the function.
    pub const fn function_mut(&mut self) -> &mut Function {
        self.function
    }

    /// Returns whether main power is on.
    #[must_use]
    pub const fn rail_on(&self) -> bool {
        self.power.rail_on
    }

    /// Returns whether the function should have power but does not answer.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        self.function.dead_after_cold() && self.power.rail_on && !self.function.is_powered()
    }

    /// Switches main power; see [`Slot::set_rail`](super::Slot::set_rail).
    pub fn set_rail(&mut self, now: Time, on: bool) {
        let (power, functions) = self.shared();
        power.set_rail(now, on, functions);
    }

    /// Removes and restores all power; see [`Slot::power_cycle`](super::Slot::power_cycle).
    pub fn power_cycle(&mut self, now: Time) {
        let (power, functions) = self.shared();
        power.cycle(now, functions);
    }

    /// Resets all functions from above; see [`Slot::reset`](super::Slot::reset).
    pub fn reset(&mut self, now: Time, kind: ResetKind) {
        let (power, functions) = self.shared();
        power.reset(now, kind, functions);
    }

    /// Tells all functions that software has waited for `span` since their last reset.
    pub fn waited_for(&mut self, span: Duration) {
        let (_, functions) = self.shared();
        functions.for_each(|function| function.waited_for(span));
    }

    /// Sends the message with the slot's power limit (PCIe Base §7.5.3.3) to all functions: value
    /// and scale as in Device Capabilities.
    pub fn set_power_limit(&mut self, value: u8, scale: u8) {
        let (_, functions) = self.shared();
        functions.for_each(|function| function.set_slot_power_limit(value, scale));
    }

    /// Makes the function stay silent when power comes back, or ends this fault. A function that
    /// should have power then has it.
    pub fn set_dead_after_cold(&mut self, now: Time, dead: bool) {
        self.function.set_dead_after_cold(dead);
        if !dead && self.power.rail_on {
            self.function.power_on(now);
        }
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
        let mut others = self.lower.iter().chain(self.higher.iter());
        let alone = self.first.is_none() && !others.any(Option::is_some);
        if saved.rail_on != self.power.rail_on && !alone {
            let reason = "the slot has other functions, whose power this would change";
            return Err(RestoreError::part("slot.rail_on", reason));
        }
        for tree in saved.functions.values() {
            self.function.restore_part(now, tree, ram)?;
        }
        self.power.rail_on = saved.rail_on;
        Ok(())
    }

    /// Returns rail and function field by field, for people.
    #[must_use]
    pub fn inspect(&self, now: Time) -> Value {
        json!({ "rail": self.power.rail_on, "function": self.function.inspect(now) })
    }

    /// Returns the power, and all functions that share it.
    fn shared(&mut self) -> (&mut Power, impl Iterator<Item = &mut Function>) {
        let first = self.first.as_deref_mut().into_iter();
        let lower = first.chain(present(self.lower));
        let functions = lower.chain(iter::once(&mut *self.function));
        (self.power, functions.chain(present(self.higher)))
    }
}
