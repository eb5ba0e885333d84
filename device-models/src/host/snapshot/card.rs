//! All functions of a slot, reached from one of them, and their state as a whole.

use serde_json::{Map, Value};

use super::Restorable;
use crate::function::{MemoryImage, Ram};
use crate::host::DeviceMut;
use crate::slot::FunctionNumber;
use crate::snapshot::RestoreError;
use crate::time::Time;

/// The saved state of one function of a slot, as [`DeviceRef::save_state`] returns it, with the memory
/// behind its BARs.
///
/// [`DeviceRef::save_state`]: crate::host::DeviceRef::save_state
#[derive(Debug)]
pub struct FunctionState {
    /// The number of the function.
    pub number: FunctionNumber,
    /// The state without the memory.
    pub state: Value,
    /// The memory.
    pub image: MemoryImage,
}

impl DeviceMut<'_> {
    /// Returns the numbers of all functions in the slot that have a host driver, in order.
    pub fn members(&mut self) -> Vec<FunctionNumber> {
        let numbers: Vec<_> = self.slot.numbers().collect();
        let mut members = numbers;
        members.retain(|number| self.with_member(*number, |_| ()).is_some());
        members
    }

    /// Acts on this device or another one of the slot. Returns `None` if no function of that number has a
    /// host driver.
    pub fn with_member<R>(
        &mut self,
        number: FunctionNumber,
        act: impl FnOnce(DeviceMut<'_>) -> R,
    ) -> Option<R> {
        if number == self.slot.number() {
            Some(act(self.reborrow()))
        } else {
            self.with_peer(number, act)
        }
    }

    /// Restores all functions of the slot. Each is held until its [`Self::fill_memory`] has returned true.
    ///
    /// # Errors
    /// There is not a state of each function, or one does not fit. All functions then keep their earlier
    /// state, but transfers in progress begin again.
    pub fn restore_members(
        &mut self,
        now: Time,
        functions: Vec<FunctionState>,
    ) -> Result<(), RestoreError> {
        let mut images = Vec::new();
        let mut states = Vec::new();
        for FunctionState {
            number,
            state,
            image,
        } in functions
        {
            images.push((number, image));
            states.push(state);
        }
        let saved = merge(states)?;
        Whole(self).restore_all(now, &saved, Ram::Apart, |whole| {
            for (number, image) in &images {
                let check = |device: DeviceMut<'_>| device.slot.function().check_image(image);
                whole.with(*number, check).unwrap_or(Ok(()))?;
            }
            Ok(())
        })?;
        for (number, image) in images {
            self.with_member(number, |mut device| device.adopt_image(image));
        }
        Ok(())
    }
}

/// All devices of a slot.
struct Whole<'w, 'd>(&'w mut DeviceMut<'d>);

impl Restorable for Whole<'_, '_> {
    fn save_all(&mut self, now: Time, ram: Ram) -> Value {
        let numbers = self.numbers();
        let states = numbers
            .into_iter()
            .filter_map(|number| self.with(number, |device| device.as_ref().save_part(now, ram)));
        // They are of one slot and one time.
        merge(states.collect()).unwrap_or_default()
    }

    fn restore_slot(&mut self, now: Time, saved: &Value, ram: Ram) -> Result<(), RestoreError> {
        self.0.slot.restore_all(now, saved, ram)
    }

    fn with<R>(
        &mut self,
        number: FunctionNumber,
        act: impl FnOnce(DeviceMut<'_>) -> R,
    ) -> Option<R> {
        self.0.with_member(number, act)
    }

    fn numbers(&mut self) -> Vec<FunctionNumber> {
        self.0.members()
    }
}

/// The functions that hold the slot's power resource, each in its own state.
const HOLDERS: &str = "/supply/holders";

/// Makes the state of a slot out of those of its functions, which must agree on everything that they
/// share.
fn merge(states: Vec<Value>) -> Result<Value, RestoreError> {
    let refused = |reason: &str| RestoreError::part("the saved state", reason);
    let mut whole: Option<Value> = None;
    let (mut functions, mut devices) = (Map::new(), Map::new());
    let mut holders = Vec::new();
    for mut state in states {
        let mut of_function = take(&mut state, "/slot/functions");
        let mut device = take(&mut state, "/devices");
        if let Some(Value::Array(held)) = state.pointer_mut(HOLDERS) {
            holders.append(held);
        }
        let count = functions.len();
        functions.append(&mut of_function);
        devices.append(&mut device);
        if functions.len() == count {
            return Err(refused("two states are of the same function"));
        }
        match &whole {
            None => whole = Some(state),
            Some(whole) if *whole == state => {}
            Some(_) => {
                return Err(refused(
                    "its functions do not agree on the slot that they share",
                ));
            }
        }
    }
    let mut whole = whole.ok_or_else(|| refused("it has no function"))?;
    for (place, value) in [
        ("/slot/functions", Value::Object(functions)),
        ("/devices", Value::Object(devices)),
        (HOLDERS, Value::Array(holders)),
    ] {
        if let Some(place) = whole.pointer_mut(place) {
            *place = value;
        }
    }
    Ok(whole)
}

/// Takes the members of the object at `place`.
fn take(tree: &mut Value, place: &str) -> Map<String, Value> {
    match tree.pointer_mut(place) {
        Some(Value::Object(members)) => std::mem::take(members),
        _ => Map::new(),
    }
}
