//! Cards: the functions of one slot, described in TOML.
//!
//! A card's file has a `[[function]]` table for each function and a `[slot]` table for the things that they
//! share. A function is a profile, or starts from another profile and changes keys of it.

mod text;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::error::ProfileError;
use super::{Profile, faults, source::Origin, virtual_function};
use crate::fault::Fault;
use crate::host::{DeviceSet, SetOptions, SetOptionsError};
use crate::model::Registry;
use crate::slot::{FunctionNumber, Slot};

/// The functions of a slot that a profile describes, function 0 among them.
///
/// ```
/// use pci_device_models::model::Registry;
/// use pci_device_models::profile::Card;
///
/// let registry = Registry::builtin();
/// let text = r#"
/// name = "pair"
/// [[function]]
/// profile = "gpu-display"
/// [[function]]
/// profile = "gpu-audio"
/// remove = ["capabilities.pcie"]
/// identity.subsystem-id = 0x16a1
/// "#;
/// let card = Card::parse("pair.toml", text, &[], &|name| registry.base(name))?;
/// let devices = card.device_set(&registry)?;
/// assert_eq!(devices.numbers().count(), 2);
/// # Ok::<(), pci_device_models::profile::ProfileError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Card {
    name: String,
    description: String,
    aux_power: bool,
    /// Function 0.
    first: Profile,
    /// Functions 1 to 7.
    others: BTreeMap<FunctionNumber, Profile>,
    options: SetOptions,
    /// The faults of the slot.
    faults: Vec<Fault>,
}

impl Card {
    /// Parses a profile of either kind: a card, or a single function, which becomes a card of its own.
    ///
    /// `origin` is the file's name for messages. `set` are overrides as in [`Profile::parse`]. In
    /// `function.N` the number is the function's. `bases` returns the text of a profile by the name in a
    /// function's key `profile`, or the reason why there is none.
    ///
    /// # Errors
    /// The text alone must be valid, and so must be the result of the overrides.
    pub fn parse(
        origin: &str,
        text: &str,
        set: &[(String, String)],
        bases: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Self, ProfileError> {
        if text::is_card(text) {
            text::parse(origin, text, set, bases)
        } else {
            Ok(Profile::parse(origin, text, set)?.into())
        }
    }

    /// Puts functions with profiles of their own into one slot. All must agree on its auxiliary power.
    ///
    /// # Errors
    /// There is no function 0, a number is given twice, or the profiles do not agree.
    pub fn assemble(
        name: &str,
        functions: impl IntoIterator<Item = (FunctionNumber, Profile)>,
    ) -> Result<Self, ProfileError> {
        let refused = |key: &str, message: String| ProfileError {
            origin: format!("slot {name}"),
            line: None,
            key: key.to_owned(),
            message,
        };
        let mut members = BTreeMap::new();
        for (number, profile) in functions {
            match members.entry(number) {
                Entry::Vacant(place) => {
                    place.insert(profile);
                }
                Entry::Occupied(_) => {
                    let message =
                        format!("function {number} is given twice; choose another number");
                    return Err(refused("", message));
                }
            }
        }
        let first = members.remove(&FunctionNumber::ZERO).ok_or_else(|| {
            refused(
                "",
                "there is no function 0, which every slot has; add one".to_owned(),
            )
        })?;
        let aux_power = first.tables.platform.aux_power;
        let mut different = members.iter();
        let different = different.find(|(_, other)| other.tables.platform.aux_power != aux_power);
        if let Some((number, _)) = different {
            let message = format!(
                "functions 0 and {number} differ, but share the slot's auxiliary power; give them the same value"
            );
            return Err(refused("platform.aux-power", message));
        }
        Self::new(name, "", aux_power, first, members)
    }

    fn new(
        name: &str,
        description: &str,
        aux_power: bool,
        mut first: Profile,
        mut others: BTreeMap<FunctionNumber, Profile>,
    ) -> Result<Self, ProfileError> {
        let several = others.values().any(|profile| !profile.is_virtual());
        first.join_slot(aux_power, several)?;
        for (number, profile) in &mut others {
            profile.join_slot(aux_power, several)?;
            if !profile.is_virtual() {
                profile.check_beside(*number, &first)?;
            }
        }
        virtual_function::check_all(&first, &others)?;
        Ok(Self {
            name: name.to_owned(),
            description: description.to_owned(),
            aux_power,
            options: first.set_options(),
            faults: first.tables.slot.fault.clone(),
            first,
            others,
        })
    }

    /// Sets the options of the devices as a whole.
    ///
    /// # Errors
    /// The options do not fit these functions.
    fn with_options(self, options: SetOptions) -> Result<Self, SetOptionsError> {
        let numbers: Vec<_> = self.functions().map(|(number, _)| number).collect();
        options.check(&numbers)?;
        Ok(Self { options, ..self })
    }

    /// Sets the faults of the slot.
    fn with_faults(self, faults: Vec<Fault>) -> Self {
        Self { faults, ..self }
    }

    /// Returns the name of the card, or of its only function.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a description in one line.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Returns the functions in the order of their numbers.
    pub fn functions(&self) -> impl Iterator<Item = (FunctionNumber, &Profile)> {
        let others = self
            .others
            .iter()
            .map(|(number, profile)| (*number, profile));
        std::iter::once((FunctionNumber::ZERO, &self.first)).chain(others)
    }

    /// Returns the function of a card that has a single one.
    #[must_use]
    pub fn single(&self) -> Option<&Profile> {
        self.others.is_empty().then_some(&self.first)
    }

    /// Creates the functions in one slot, each behind a host driver, powered on and ready.
    ///
    /// # Errors
    /// The registry does not know a profile's model.
    pub fn device_set(&self, registry: &Registry) -> Result<DeviceSet, ProfileError> {
        let mut slot = Slot::new(self.first.function(registry)?, self.aux_power);
        for (number, profile) in &self.others {
            let function = profile.function(registry)?;
            slot = match profile.tables.virtual_function_of {
                None => slot.with_function(*number, function),
                Some(of) => slot.with_virtual_function(*number, function, of),
            };
        }
        let options = self.first.tables.host_options();
        let mut devices = DeviceSet::new(slot, options, self.first.name());
        for (number, profile) in &self.others {
            let options = profile.tables.host_options();
            devices = devices.with_driver(*number, options, profile.name());
        }
        let options = self.options.clone();
        let made = devices.with_options(options).map_err(|error| ProfileError {
            origin: self.name.clone(),
            line: None,
            key: "slot".to_owned(),
            message: error.to_string(),
        });
        let mut devices = made?;
        let of_slot = faults::set_slot(&mut devices, &self.faults);
        of_slot.map_err(|mistake| ProfileError {
            origin: self.name.clone(),
            line: None,
            key: mistake.key,
            message: mistake.message,
        })?;
        for (number, profile) in self.functions() {
            profile.set_faults(&mut devices, number)?;
        }
        Ok(devices)
    }
}

impl From<Profile> for Card {
    /// Puts a single function into a slot, as function 0.
    fn from(profile: Profile) -> Self {
        Self {
            name: profile.name().to_owned(),
            description: profile.description().to_owned(),
            aux_power: profile.tables.platform.aux_power,
            options: profile.set_options(),
            faults: profile.tables.slot.fault.clone(),
            first: profile,
            others: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests;
