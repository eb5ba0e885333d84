//! Rust models and profiles by their names.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::designware::DesignWare;
use super::ioat::Ioat;
use super::serial::Serial;
use super::smbus::Smbus;
use super::testdev::TestDevice;
use super::{Model, None};
use crate::profile::{BUILTIN, CARDS};

type Factory = Box<dyn Fn(&toml::Table) -> Result<Box<dyn Model>, ParameterError> + Send + Sync>;

/// The model of functions whose BARs are memory, which needs no code.
pub const RAM: &str = "ram";

/// The parameters of a profile do not fit its model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ParameterError(String);

/// The parameters of a model that has none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParameters {}

/// The models that a profile's `model` key can name, and the profiles that are built into a
/// program.
///
/// ```
/// use pci_device_models::model::{None, Registry};
/// let mut registry = Registry::builtin();
/// registry.register("my-device", || Box::new(None));
/// assert!(registry.create("my-device", &toml::Table::new()).is_some());
/// ```
pub struct Registry {
    factories: BTreeMap<String, Factory>,
    /// Names and texts, the default profile first.
    profiles: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

impl Registry {
    /// Creates a registry with the models and profiles of this crate. For functions without a
    /// device behind their BARs it has the models `none` and [`RAM`].
    #[must_use]
    pub fn builtin() -> Self {
        let mut registry = Self {
            factories: BTreeMap::new(),
            profiles: BUILTIN
                .iter()
                .chain(CARDS)
                .map(|(name, text)| ((*name).into(), (*text).into()))
                .collect(),
        };
        registry.register("none", || Box::new(None));
        registry.register(RAM, || Box::new(None));
        registry.register_with("ioat", |parameters| Box::new(Ioat::new(parameters)));
        registry.register("i2c-designware", || Box::<DesignWare>::default());
        registry.register("smbus", || Box::<Smbus>::default());
        registry.register("serial", || Box::<Serial>::default());
        registry.register("testdev", || Box::<TestDevice>::default());
        registry
    }

    /// Adds a model without parameters, in place of one with the same name.
    pub fn register(
        &mut self,
        name: impl Into<String>,
        factory: impl Fn() -> Box<dyn Model> + Send + Sync + 'static,
    ) {
        self.register_with(name, move |NoParameters {}| factory());
    }

    /// Adds a model with parameters, in place of one with the same name. The keys of the profile's
    /// `[model]` table besides `name` are deserialized into `P`, which refuses unknown ones.
    pub fn register_with<P: DeserializeOwned>(
        &mut self,
        name: impl Into<String>,
        factory: impl Fn(P) -> Box<dyn Model> + Send + Sync + 'static,
    ) {
        let make = move |parameters: &toml::Table| {
            let parameters: Result<P, _> = parameters.clone().try_into();
            let read = parameters.map_err(|error| ParameterError(error.message().to_owned()))?;
            Ok(factory(read))
        };
        self.factories.insert(name.into(), Box::new(make));
    }

    /// Creates an instance of the model of this name, if there is one.
    #[must_use]
    pub fn create(
        &self,
        name: &str,
        parameters: &toml::Table,
    ) -> Option<Result<Box<dyn Model>, ParameterError>> {
        self.factories.get(name).map(|factory| factory(parameters))
    }

    /// Returns the names in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.factories.keys().map(String::as_str)
    }
}

impl Registry {
    /// Adds a profile, in place of one with the same name. Its text is parsed when it is used.
    ///
    /// ```
    /// use pci_device_models::model::Registry;
    ///
    /// let mut registry = Registry::builtin();
    /// let text = registry.profile("testdev").expect("it is built in").to_owned();
    /// registry.register_profile("my-device", text);
    /// assert_eq!(registry.profiles().last(), Some("my-device"));
    /// ```
    pub fn register_profile(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        text: impl Into<Cow<'static, str>>,
    ) {
        let (name, text) = (name.into(), text.into());
        if let Some(profile) = self.profiles.iter_mut().find(|(known, _)| *known == name) {
            profile.1 = text;
        } else {
            self.profiles.push((name, text));
        }
    }

    /// Returns the text of the profile of this name.
    #[must_use]
    pub fn profile(&self, name: &str) -> Option<&str> {
        let mut all = self.profiles.iter();
        all.find_map(|(known, text)| (known == name).then_some(text.as_ref()))
    }

    /// Returns the text of the profile of this name, for functions of a card that start from it; see
    /// [`Card::parse`](crate::profile::Card::parse).
    ///
    /// # Errors
    /// The message says that there is no such profile.
    pub fn base(&self, name: &str) -> Result<String, String> {
        let text = self.profile(name).map(str::to_owned);
        text.ok_or_else(|| {
            let known: Vec<&str> = self.profiles().collect();
            format!(
                "there is no profile '{name}'; choose one of {}",
                known.join(", ")
            )
        })
    }

    /// Returns the names of the profiles: the default one first, then the other functions, the cards, and
    /// those that were added, in their order.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        self.profiles.iter().map(|(name, _)| name.as_ref())
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::builtin()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("models", &self.factories.keys())
            .field("profiles", &self.profiles().collect::<Vec<_>>())
            .finish()
    }
}
