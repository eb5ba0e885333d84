//! The slot: the part of the platform that its functions share.
//!
//! A [`Slot`] owns main and auxiliary power, the resets that come from above, and up to eight
//! [`Function`]s, which share all of them. A [`FunctionSlot`] is the same slot as seen by one of
//! its functions and by the driver above that function.
//!
//! # Examples
//!
//! ```
//! use pci_device_models::model::Registry;
//! use pci_device_models::profile::Profile;
//! use pci_device_models::slot::Slot;
//! use pci_device_models::time::Time;
//!
//! let text = Profile::builtin("testdev").ok_or("it is built in")?;
//! let function = Profile::parse("testdev", text, &[])?.function(&Registry::builtin())?;
//! let mut slot = Slot::new(function, true);
//! assert!(slot.rail_on());
//! slot.set_rail(Time::ZERO, false);
//! assert!(!slot.rail_on());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod faults;
mod function_number;
mod function_slot;
mod functions;
mod link;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use function_number::{FunctionNumber, MAX_FUNCTIONS, NoSuchNumber};
pub use function_slot::FunctionSlot;
pub use link::LinkState;

use crate::fault::Occurrence;
use crate::fault::list::{FaultList, SavedFault};
use crate::function::{Function, Ram};
use crate::register::ResetKind;
use crate::snapshot::{self, RestoreError};
use crate::time::Time;
use faults::await_link;
use functions::Functions;

/// A slot with its power and the functions in it.
///
/// ```
/// use pci_device_models::model::Registry;
/// use pci_device_models::profile::Profile;
/// use pci_device_models::slot::{FunctionNumber, Slot};
/// use pci_device_models::time::Time;
///
/// let text = Profile::builtin("testdev").expect("it is built in");
/// let profile = Profile::parse("testdev", text, &[])?;
/// let function = || profile.function(&Registry::builtin());
/// let second = FunctionNumber::try_from(1).expect("it is below 8");
/// let mut slot = Slot::new(function()?, true).with_function(second, function()?);
/// slot.set_rail(Time::ZERO, false);
/// assert!(slot.functions().all(|(_, function)| !function.is_powered()));
/// # Ok::<(), pci_device_models::profile::ProfileError>(())
/// ```
#[derive(Debug)]
pub struct Slot {
    power: Power,
    functions: Functions,
}

/// The supplies of a slot, and the faults of its link.
#[derive(Debug)]
pub(crate) struct Power {
    /// The main supply is on.
    rail_on: bool,
    /// Auxiliary power stays on when the main supply goes off.
    auxiliary: bool,
    /// The faults of the slot, if there are any.
    faults: Option<Box<FaultList>>,
    /// The card with the functions is in the slot.
    present: bool,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedSlot {
    rail_on: bool,
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    present: bool,
    functions: BTreeMap<FunctionNumber, Value>,
    /// The faults of the slot. Absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    faults: Option<Vec<SavedFault>>,
}

/// The card of a state without the key is in its slot.
const fn yes() -> bool {
    true
}

impl SavedSlot {
    /// Refuses a state whose functions are not those of `here`, which are in order.
    fn check_numbers(&self, here: &[FunctionNumber]) -> Result<(), RestoreError> {
        if self.functions.keys().eq(here) {
            return Ok(());
        }
        let list = |numbers: &mut dyn Iterator<Item = &FunctionNumber>| {
            let texts: Vec<String> = numbers.map(ToString::to_string).collect();
            texts.join(", ")
        };
        let saved = list(&mut self.functions.keys());
        let here = list(&mut here.iter());
        let reason = format!("the state has the functions {saved}, here are {here}");
        Err(RestoreError::part("slot.functions", reason))
    }
}

impl Slot {
    /// Creates a slot whose main power is on, with a new function 0. `auxiliary` tells whether
    /// auxiliary power stays on when main power goes off.
    #[must_use]
    pub fn new(mut first: Function, auxiliary: bool) -> Self {
        first.set_aux_power(auxiliary);
        Self {
            power: Power {
                rail_on: true,
                auxiliary,
                faults: None,
                present: true,
            },
            functions: Functions::new(first),
        }
    }

    /// Adds a new function, in place of one with the same number.
    #[must_use]
    pub fn with_function(mut self, number: FunctionNumber, mut function: Function) -> Self {
        function.set_aux_power(self.power.auxiliary);
        self.functions.insert(number, function);
        self
    }

    /// Adds a new virtual function of a physical one, in place of one with the same number. The
    /// virtual functions of a physical one are in the order of their numbers.
    #[must_use]
    pub fn with_virtual_function(
        mut self,
        number: FunctionNumber,
        function: Function,
        of: FunctionNumber,
    ) -> Self {
        self.functions.set_physical(number, of);
        self.with_function(number, function)
    }

    /// Returns the functions in the order of their numbers.
    pub fn functions(&self) -> impl Iterator<Item = (FunctionNumber, &Function)> {
        self.functions.iter()
    }

    /// Returns a function by its number.
    #[must_use]
    pub fn function(&self, number: FunctionNumber) -> Option<&Function> {
        self.functions.get(number)
    }

    /// Returns function 0.
    #[must_use]
    pub const fn first(&self) -> &Function {
        &self.functions.first
    }

    /// Returns the slot as one of its functions sees it.
    pub fn of_function(&mut self, number: FunctionNumber) -> Option<FunctionSlot<'_>> {
        FunctionSlot::pick(&mut self.power, &mut self.functions, number)
    }

    /// Returns the slot as function 0 sees it.
    pub const fn of_first(&mut self) -> FunctionSlot<'_> {
        FunctionSlot::pick_first(&mut self.power, &mut self.functions)
    }

    /// Returns whether main power is on.
    #[must_use]
    pub const fn rail_on(&self) -> bool {
        self.power.rail_on
    }

    /// Returns whether the card with the functions is in the slot.
    #[must_use]
    pub const fn is_occupied(&self) -> bool {
        self.power.present
    }

    /// Takes the card out of the slot at once: the functions lose all power and state.
    pub fn unplug(&mut self, now: Time) {
        self.power.unplug(now, &mut self.functions);
    }

    /// Puts the card into the slot again: with main power on, the functions start without state.
    pub fn plug(&mut self, now: Time) {
        self.power.plug(now, &mut self.functions);
    }

    /// Returns the state of the link, which all functions share.
    #[must_use]
    pub fn link(&self) -> LinkState {
        LinkState::of(&self.power, &self.functions)
    }

    /// Returns the supplies.
    pub(crate) const fn power(&self) -> &Power {
        &self.power
    }

    /// Switches main power of all functions.
    ///
    /// | rail | switched | effect |
    /// |---|---|---|
    /// | on | off | `PME_Turn_Off`, acknowledgement, power off: D3cold |
    /// | off | on | power on, fundamental reset: D0 |
    /// | on | on | none |
    /// | off | off | none |
    pub fn set_rail(&mut self, now: Time, on: bool) {
        self.power.set_rail(now, on, &mut self.functions);
    }

    /// Removes main and auxiliary power from all functions and restores them.
    pub fn power_cycle(&mut self, now: Time) {
        self.power.cycle(now, &mut self.functions);
    }

    /// Resets all functions from above: hot (secondary bus reset) or fundamental (PERST#).
    pub fn reset(&mut self, now: Time, kind: ResetKind) {
        self.power.reset(now, kind, &mut self.functions);
    }

    /// Saves the slot once and each of its functions by its number.
    #[must_use]
    pub fn save(&self, now: Time) -> Value {
        save(&self.power, self.functions(), now, Ram::Inside)
    }

    /// Restores the tree that [`Self::save`] returned.
    ///
    /// # Errors
    /// The tree does not fit this slot and its functions, which may then be restored in part.
    pub fn restore(&mut self, now: Time, saved: &Value) -> Result<(), RestoreError> {
        self.of_first().restore_all(now, saved, Ram::Inside)
    }

    /// Returns the whole state field by field, for people.
    #[must_use]
    pub fn inspect(&self, now: Time) -> Value {
        let functions = self.functions();
        let functions: serde_json::Map<String, Value> = functions
            .map(|(number, function)| (number.to_string(), function.inspect(now)))
            .collect();
        json!({ "rail": self.power.rail_on, "present": self.power.present, "functions": functions })
    }
}

/// Returns the tree of a slot that has these functions.
pub(crate) fn save<'f>(
    power: &Power,
    functions: impl Iterator<Item = (FunctionNumber, &'f Function)>,
    now: Time,
    ram: Ram,
) -> Value {
    let functions = functions.map(|(number, function)| (number, function.save_part(now, ram)));
    snapshot::tree(&SavedSlot {
        rail_on: power.rail_on,
        present: power.present,
        functions: functions.collect(),
        faults: power.faults.as_ref().map(|list| list.save(now)),
    })
}

impl Power {
    fn unplug(&mut self, now: Time, functions: &mut Functions) {
        self.present = false;
        functions.iter_mut().for_each(|it| it.unplug(now));
    }

    fn plug(&mut self, now: Time, functions: &mut Functions) {
        self.present = true;
        if self.rail_on {
            self.start_cold(now, functions);
        }
    }

    /// Starts functions that have lost all power.
    fn start_cold(&mut self, now: Time, functions: &mut Functions) {
        self.meet_power_on(now, ResetKind::PowerOn, functions);
        functions.iter_mut().for_each(|it| it.cold_start(now));
        await_link(now, functions);
    }

    fn set_rail(&mut self, now: Time, on: bool, functions: &mut Functions) {
        if !self.present {
            self.rail_on = on;
            return;
        }
        match (self.rail_on, on) {
            (true, false) => {
                self.rail_on = false;
                functions.iter_mut().for_each(|it| it.power_off(now));
            }
            (false, true) => {
                self.rail_on = true;
                let kind = if self.auxiliary {
                    ResetKind::Fundamental
                } else {
                    ResetKind::PowerOn
                };
                self.meet_power_on(now, kind, functions);
                functions.iter_mut().for_each(|it| it.power_on(now));
                await_link(now, functions);
            }
            (true, true) | (false, false) => {}
        }
    }

    fn cycle(&mut self, now: Time, functions: &mut Functions) {
        self.rail_on = true;
        if self.present {
            functions.iter_mut().for_each(|it| it.power_off(now));
            self.start_cold(now, functions);
        }
    }

    fn meet_power_on(&mut self, now: Time, kind: ResetKind, functions: &mut Functions) {
        self.meet(now, &Occurrence::PowerOn, functions);
        self.meet(now, &Occurrence::Reset(kind), functions);
    }

    fn reset(&mut self, now: Time, kind: ResetKind, functions: &mut Functions) {
        if self.rail_on && self.present {
            self.meet(now, &Occurrence::Reset(kind), functions);
            let all = functions.iter_mut();
            all.for_each(|it| it.conventional_reset(now, kind));
            await_link(now, functions);
        }
    }

    /// Returns whether main power is on.
    pub(crate) const fn rail_on(&self) -> bool {
        self.rail_on
    }

    /// Returns whether the card is in the slot.
    pub(crate) const fn is_occupied(&self) -> bool {
        self.present
    }

    /// Restores rail, presence and faults.
    fn restore(
        &mut self,
        now: Time,
        (rail_on, present): (bool, bool),
        faults: Option<Vec<SavedFault>>,
    ) -> Result<(), RestoreError> {
        self.rail_on = rail_on;
        self.present = present;
        let faults = faults.map(|saved| FaultList::restored(now, "slot.faults", saved));
        self.faults = faults.transpose()?.map(Box::new);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
