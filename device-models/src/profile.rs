//! Profiles: functions described in TOML.
//!
//! A [`Profile`] is parsed from text, changed by `--set` overrides, and made into a [`DeviceSet`].
//! An error ([`ProfileError`]) has file, line, key, problem and remedy. `docs/profiles.md`
//! describes every key.
//!
//! ```
//! use pci_device_models::model::Registry;
//! use pci_device_models::profile::Profile;
//!
//! let text = Profile::builtin("testdev").expect("it is built in");
//! let set = [("capabilities.pm.d1".to_owned(), "true".to_owned())];
//! let profile = Profile::parse("testdev", text, &set)?;
//! let devices = profile.device_set(&Registry::builtin())?;
//! assert!(devices.slot().rail_on());
//! # Ok::<(), pci_device_models::profile::ProfileError>(())
//! ```

mod backend;
mod bars;
mod beside;
mod build;
mod builtin;
mod capabilities;
mod card;
mod document;
mod doorbells;
mod dump;
mod error;
mod faults;
mod layout;
mod mappable;
mod named;
mod overrides;
mod rom;
mod source;
mod tables;
mod virtual_function;

pub use backend::BackendPlace;
pub use card::Card;
pub use dump::hex_dump;
pub use error::ProfileError;
pub use tables::ClientMemory;

pub(crate) use builtin::{BUILTIN, CARDS};

use crate::function::{Function, FunctionParts};
use crate::host::{DeviceSet, SetOptions};
use crate::model::backend::BackendKind;
use crate::model::{Model, Registry};
use crate::slot::{FunctionNumber, Slot};
use error::Mistake;
use source::{Origin, Source};
use tables::Tables;

/// The array of BARs, whose items people identify by BAR index.
const BAR: &str = "bar";

/// The array of a card's functions, whose items people identify by function number.
const FUNCTION: &str = "function";

/// Returns the key that identifies the items of the array at `path`, if not their position does.
fn identifier(path: &str) -> Option<&'static str> {
    let in_function = |rest: &str| rest.split_once('.').is_some_and(|(_, rest)| rest == BAR);
    let below = path
        .strip_prefix(FUNCTION)
        .and_then(|rest| rest.strip_prefix('.'));
    match path {
        FUNCTION => Some("number"),
        BAR => Some("index"),
        _ if below.is_some_and(in_function) => Some("index"),
        _ => None,
    }
}

/// The parameters of a model that give the destination of its back end. The second is for serial
/// ports only.
const BACKEND: &str = "backend";
const LINE: &str = "line";

/// A function that a profile describes.
///
/// Only the model's name can still be wrong, since parsing has checked everything else.
#[derive(Clone, Debug)]
pub struct Profile {
    source: Source,
    tables: Tables,
    config_space: Vec<u8>,
}

impl Profile {
    /// Parses a profile. `origin` is the file's name for messages. `set` are overrides, applied in
    /// order: paths with dots, and values, as in `[("capabilities.pm.d1", "true")]`. A value is a
    /// TOML value, and other text is a string. An empty value removes the key. In `bar.N` the
    /// number is the BAR's index.
    ///
    /// # Errors
    /// The text alone must be a valid profile, and so must be the result of the overrides.
    pub fn parse(origin: &str, text: &str, set: &[(String, String)]) -> Result<Self, ProfileError> {
        let profile = Self::parse_at(&Origin::file(origin), text, set)?;
        profile.check_alone()?;
        Ok(profile)
    }

    /// Parses the text of a function at a place of a file.
    fn parse_at(
        origin: &Origin,
        text: &str,
        set: &[(String, String)],
    ) -> Result<Self, ProfileError> {
        let profile = Self::read(Source::new(origin, text, &[])?)?;
        if set.is_empty() {
            return Ok(profile);
        }
        let text = source::overridden(origin, text, set)?;
        Self::read(Source::new(origin, &text, set)?)
    }

    fn read(source: Source) -> Result<Self, ProfileError> {
        let tables = source.tables()?;
        let mut profile = Self {
            source,
            tables,
            config_space: Vec::new(),
        };
        profile.fill_config_space()?;
        Ok(profile)
    }

    fn fill_config_space(&mut self) -> Result<(), ProfileError> {
        let config = self.source.parts(&self.tables)?.config;
        self.check_faults(&config)?;
        self.config_space = vec![0; usize::from(config.size())];
        config.read(0, &mut self.config_space);
        Ok(())
    }

    /// Returns the text of the built-in profile of this name.
    #[must_use]
    pub fn builtin(name: &str) -> Option<&'static str> {
        let mut all = builtin::BUILTIN.iter();
        all.find_map(|(known, text)| (*known == name).then_some(*text))
    }

    /// Returns the names of the built-in profiles of single functions, the default one first.
    pub fn builtins() -> impl Iterator<Item = &'static str> {
        builtin::BUILTIN.iter().map(|(name, _)| *name)
    }

    /// Creates the function with number 0 in a slot of its own behind a host driver, powered on and
    /// ready.
    ///
    /// # Errors
    /// The registry does not know the profile's model.
    pub fn device_set(&self, registry: &Registry) -> Result<DeviceSet, ProfileError> {
        let slot = Slot::new(self.function(registry)?, self.tables.platform.aux_power);
        let options = self.tables.host_options();
        let devices = DeviceSet::new(slot, options, self.name());
        let mut devices = devices.with_power(self.tables.slot.power());
        let of_slot = faults::set_slot(&mut devices, &self.tables.slot.fault);
        of_slot.map_err(|mistake| self.source.error(mistake))?;
        self.set_faults(&mut devices, FunctionNumber::ZERO)?;
        Ok(devices)
    }

    /// Returns the options of a slot in which this function is number 0.
    fn set_options(&self) -> SetOptions {
        SetOptions {
            power: self.tables.slot.power(),
            ..SetOptions::default()
        }
    }

    /// Creates the function alone, powered on and ready.
    ///
    /// # Errors
    /// Those of [`Self::device_set`].
    pub fn function(&self, registry: &Registry) -> Result<Function, ProfileError> {
        let (model, _) = self.model(registry)?;
        self.function_around(model)
    }

    /// Creates the function around a model that no registry knows.
    pub(crate) fn function_around(&self, model: Box<dyn Model>) -> Result<Function, ProfileError> {
        let parts = self.source.parts(&self.tables)?;
        let mut function = Function::new(FunctionParts { model, ..parts });
        function.set_aux_power(self.tables.platform.aux_power);
        function.permit_misdirected_dma(self.tables.host.misdirected_dma);
        Ok(function)
    }

    /// Returns warnings: the properties that a specification forbids although silicon has them.
    #[must_use]
    pub fn warnings(&self) -> Vec<ProfileError> {
        let departures = build::departures(&self.tables).into_iter();
        departures
            .map(|mistake| self.source.error(mistake))
            .collect()
    }

    /// Returns config space after power-on, 256 or 4096 bytes.
    #[must_use]
    pub fn config_space(&self) -> &[u8] {
        &self.config_space
    }

    /// Returns the profile's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.tables.name
    }

    /// Returns a description of the function in one line.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.tables.description
    }

    /// Returns the Linux driver for the function, if there is one.
    #[must_use]
    pub fn linux_driver(&self) -> Option<&str> {
        self.tables.linux_driver.as_deref()
    }

    /// Returns the server's way to reach the client's memory.
    #[must_use]
    pub fn client_memory(&self) -> ClientMemory {
        self.tables.host.client_memory
    }

    /// Returns the kind and the destination of the model's back end, if it has one.
    ///
    /// # Errors
    /// The registry does not know the profile's model, or the model has no back end of that kind.
    pub fn backend(
        &self,
        registry: &Registry,
    ) -> Result<Option<(BackendKind, BackendPlace)>, ProfileError> {
        let (mut model, place) = self.model(registry)?;
        Ok(model.backend().map(|backend| backend.kind()).zip(place))
    }

    /// Creates the model and finds the destination of its back end, if it has one. Models without a
    /// back end may have parameters of the same names.
    fn model(
        &self,
        registry: &Registry,
    ) -> Result<(Box<dyn Model>, Option<BackendPlace>), ProfileError> {
        let all = &self.tables.model.parameters;
        let mut mistaken = None;
        for keys in [&[BACKEND, LINE][..], &[BACKEND]] {
            let mut others = all.clone();
            let given = keys.iter().filter_map(|key| others.remove_entry(*key));
            let given: Vec<(String, toml::Value)> = given.collect();
            if given.is_empty() {
                continue;
            }
            match self.create(registry, &others) {
                Ok(mut model) => match model.backend().map(|backend| backend.kind()) {
                    Some(kind) if kind == BackendKind::Serial || !keys.contains(&LINE) => {
                        return Ok((model, Some(self.backend_place(kind, &given)?)));
                    }
                    _ => {}
                },
                Err(error) => mistaken = mistaken.or(Some(error)),
            }
        }
        let model = self.create(registry, all);
        let mut model = model.map_err(|error| mistaken.unwrap_or(error))?;
        let place = model.backend().map(|_| BackendPlace::None);
        Ok((model, place))
    }

    fn backend_place(
        &self,
        kind: BackendKind,
        given: &[(String, toml::Value)],
    ) -> Result<BackendPlace, ProfileError> {
        let place = match given {
            [(key, toml::Value::String(text))] => {
                let what = if key == LINE { LINE } else { "back end" };
                BackendPlace::parse(text, kind, what).map_err(|message| (key.as_str(), message))
            }
            [(key, value)] => {
                let message = format!("{value} is no string; write where the back end leads");
                Err((key.as_str(), message))
            }
            _ => Err((
                LINE,
                "is another name for backend; remove one of them".to_owned(),
            )),
        };
        place.map_err(|(key, message)| {
            let mistake = Mistake::new(format!("model.{key}"), message);
            self.source.error(mistake)
        })
    }

    fn create(
        &self,
        registry: &Registry,
        parameters: &toml::Table,
    ) -> Result<Box<dyn Model>, ProfileError> {
        let name = &self.tables.model.name;
        let made = registry.create(name, parameters).ok_or_else(|| {
            let known: Vec<&str> = registry.names().collect();
            let message = format!(
                "there is no model {name:?}; choose one of {}, or register it",
                known.join(", ")
            );
            self.source.error(Mistake::new("model", message))
        })?;
        made.map_err(|error| {
            let message = document::remedy_apart(&error.to_string());
            self.source.error(Mistake::new("model", message))
        })
    }
}

#[cfg(test)]
mod tests;
