//! Which Rust model answers to which name in a profile.

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

type Factory = Box<dyn Fn(&toml::Table) -> Result<Box<dyn Model>, ParameterError> + Send + Sync>;

/// The model of functions whose BARs are memory, and which need no code.
pub const RAM: &str = "ram";

/// A model cannot be made with the parameters that a profile gives it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ParameterError(String);

/// The parameters of a model that has none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParameters {}

/// The models that a profile's `model` key can name.
///
/// ```
/// use pci_device_models::model::{None, Registry};
/// let mut registry = Registry::builtin();
/// registry.register("my-device", || Box::new(None));
/// assert!(registry.create("my-device", &toml::Table::new()).is_some());
/// ```
pub struct Registry {
    factories: BTreeMap<String, Factory>,
}

impl Registry {
    /// The models of this crate, and for functions without a device behind their BARs `none` and
    /// [`RAM`].
    #[must_use]
    pub fn builtin() -> Self {
        let mut registry = Self {
            factories: BTreeMap::new(),
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

    /// Adds a model without parameters, in place of one that had the same name.
    pub fn register(
        &mut self,
        name: impl Into<String>,
        factory: impl Fn() -> Box<dyn Model> + Send + Sync + 'static,
    ) {
        self.register_with(name, move |NoParameters {}| factory());
    }

    /// Adds a model with parameters, in place of one that had the same name. What the profile gives
    /// in its `[model]` table besides `name` is read into `P`, which refuses what it does not know.
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

    /// A new instance of the model of this name, if there is one.
    #[must_use]
    pub fn create(
        &self,
        name: &str,
        parameters: &toml::Table,
    ) -> Option<Result<Box<dyn Model>, ParameterError>> {
        self.factories.get(name).map(|factory| factory(parameters))
    }

    /// The names in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.factories.keys().map(String::as_str)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::builtin()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.factories.keys()).finish()
    }
}
