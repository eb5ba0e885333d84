//! Which Rust model answers to which name in a profile.

use std::collections::BTreeMap;
use std::fmt;

use super::testdev::TestDevice;
use super::{Model, None};

type Factory = Box<dyn Fn() -> Box<dyn Model> + Send + Sync>;

/// The models that a profile's `model` key can name.
///
/// ```
/// use pci_device_models::model::{None, Registry};
/// let mut registry = Registry::builtin();
/// registry.register("my-device", || Box::new(None));
/// assert!(registry.create("my-device").is_some());
/// ```
pub struct Registry {
    factories: BTreeMap<String, Factory>,
}

impl Registry {
    /// The models of this crate: `testdev`, and `none` for functions without a device behind their
    /// BARs.
    #[must_use]
    pub fn builtin() -> Self {
        let mut registry = Self {
            factories: BTreeMap::new(),
        };
        registry.register("none", || Box::new(None));
        registry.register("testdev", || Box::new(TestDevice::new()));
        registry
    }

    /// Adds a model, in place of one that had the same name.
    pub fn register(
        &mut self,
        name: impl Into<String>,
        factory: impl Fn() -> Box<dyn Model> + Send + Sync + 'static,
    ) {
        self.factories.insert(name.into(), Box::new(factory));
    }

    /// A new instance of the model of this name.
    #[must_use]
    pub fn create(&self, name: &str) -> Option<Box<dyn Model>> {
        self.factories.get(name).map(|factory| factory())
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
