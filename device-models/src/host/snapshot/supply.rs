//! The saved state of a slot's supply: its power resource and the port above.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::host::hotplug::Card;
use crate::host::port::SavedPort;
use crate::host::power_resource::PowerResource;
use crate::host::{DeviceMut, SetState};
use crate::slot::FunctionNumber;
use crate::snapshot::RestoreError;
use crate::time::Time;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedSupply {
    /// Those of the saved functions that hold the power resource.
    holders: BTreeSet<FunctionNumber>,
    port: SavedPort,
    #[serde(default, skip_serializing_if = "Card::is_configured")]
    card: Card,
}

impl SavedSupply {
    /// Saves the supply as these functions see it.
    pub(super) fn of(
        set: &SetState,
        now: Time,
        functions: impl Iterator<Item = FunctionNumber>,
    ) -> Self {
        let holders = functions.filter(|number| set.resource.is_held_by(*number));
        Self {
            holders: holders.collect(),
            port: set.port.save(now),
            card: set.card,
        }
    }
}

impl DeviceMut<'_> {
    /// Restores the supply of the slot for `restored` of its functions. Functions without a driver
    /// hold the resource for good.
    pub(super) fn restore_supply(
        &mut self,
        now: Time,
        saved: &SavedSupply,
        restored: usize,
    ) -> Result<(), RestoreError> {
        let numbers: Vec<_> = FunctionNumber::ALL.into_iter().collect();
        let alone = restored > self.peers.iter().count();
        let own = self.slot.number();
        if !alone {
            // Other functions share both, and are not restored.
            if let Some([saved, here]) = self.set.port.difference(&saved.port) {
                let reason = format!(
                    "it was in {saved}, but here it is in {here}, and other functions are below it; bring it to {saved} first, or restore all functions of the slot at once"
                );
                return Err(RestoreError::part("supply.port.state", reason));
            }
            if self.set.card != saved.card {
                let (saved, here) = (saved.card.state(), self.set.card.state());
                let reason = format!(
                    "the card was {saved}, but here it is {here}, and other functions are on it; restore all functions of the slot at once"
                );
                return Err(RestoreError::part("supply.card", reason));
            }
            let held = self.set.resource.is_held_by(own);
            if held != saved.holders.contains(&own) {
                let (was, here) = if held {
                    ("had let go of", "holds")
                } else {
                    ("held", "has let go of")
                };
                let reason = format!(
                    "function {own} {was} the slot's power resource, but here it {here} it, and other functions share the resource; restore all functions of the slot at once"
                );
                return Err(RestoreError::part("supply.holders", reason));
            }
            return Ok(());
        }
        let driven = |number: &FunctionNumber| *number == own || self.peers.has(*number);
        if let Some(unknown) = saved.holders.iter().find(|number| !driven(number)) {
            let reason = format!("function {unknown} is not one of the saved functions");
            return Err(RestoreError::part("supply.holders", reason));
        }
        let held = numbers.into_iter().filter(|number| {
            saved.holders.contains(number)
                || !driven(number) && self.set.resource.is_held_by(*number)
        });
        self.set.resource = PowerResource::held_by(held);
        self.set.port.restore(now, &saved.port);
        self.set.card = saved.card;
        Ok(())
    }

    /// Checks that a device that is awake has power by the resource and by the port.
    pub(super) fn check_supply(&self) -> Result<(), RestoreError> {
        self.check_card()?;
        if self.state.rpm.is_suspended() || self.slot.function().is_virtual() {
            return Ok(());
        }
        let number = self.slot.number();
        if !self.set.resource.is_held_by(number) {
            let reason = format!("function {number} is awake and not among them");
            return Err(RestoreError::part("supply.holders", reason));
        }
        if !self.set.port.is_awake() {
            let reason = format!("it is asleep, but function {number} is awake");
            return Err(RestoreError::part("supply.port.state", reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
