//! Options of the devices of a slot as a whole.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::port::PortOptions;
use crate::slot::FunctionNumber;

/// The choices of a host for all devices of a slot.
///
/// ```
/// use pci_device_models::host::{DeviceLink, SetOptions};
/// use pci_device_models::slot::FunctionNumber;
///
/// let audio = FunctionNumber::try_from(1)?;
/// let mut options = SetOptions::default();
/// options.links.push(DeviceLink::new(audio, FunctionNumber::ZERO));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SetOptions {
    /// Device links with runtime power management (`DL_FLAG_PM_RUNTIME`).
    pub links: Vec<DeviceLink>,
    /// The supply of the slot's power.
    pub power: SlotPower,
}

/// The supply of a slot's power: the power resource that its functions share, and the port above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SlotPower {
    /// All functions resume when the power resource is switched on, as with firmware that describes
    /// how each of them wakes the system (`_PRW`; `acpi_device_power_add_dependent`). Otherwise a
    /// function that nobody needs stays as it is, with power and not initialised.
    pub resume_dependents: bool,
    /// The port above the slot.
    pub port: PortOptions,
}

/// A device link of the host: the supplier is awake whenever the consumer is.
///
/// Linux makes such links for the audio, USB and UCSI functions of a graphics card, whose supplier is
/// the display function (`quirk_gpu_hda` and its neighbours).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DeviceLink {
    /// The function that needs the other.
    pub consumer: FunctionNumber,
    /// The function that is needed.
    pub supplier: FunctionNumber,
}

impl DeviceLink {
    /// Creates a link.
    #[must_use]
    pub const fn new(consumer: FunctionNumber, supplier: FunctionNumber) -> Self {
        Self { consumer, supplier }
    }
}

/// Options that do not fit the devices of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SetOptionsError {
    /// A link names a function without a host driver.
    #[error("a link names function {number}, which the slot does not have")]
    NoSuchFunction {
        /// Its number.
        number: FunctionNumber,
    },
    /// A function would supply itself, directly or through others.
    #[error("function {number} would be its own supplier; remove one of the links")]
    Circle {
        /// Its number.
        number: FunctionNumber,
    },
    /// The same link is given twice.
    #[error("the link from consumer {consumer} to supplier {supplier} is given twice")]
    Twice {
        /// The consumer.
        consumer: FunctionNumber,
        /// The supplier.
        supplier: FunctionNumber,
    },
}

impl SetOptions {
    /// Checks that the options fit a slot whose devices have these numbers.
    pub(crate) fn check(&self, numbers: &[FunctionNumber]) -> Result<(), SetOptionsError> {
        for (at, link) in self.links.iter().enumerate() {
            let DeviceLink { consumer, supplier } = *link;
            for number in [consumer, supplier] {
                if !numbers.contains(&number) {
                    return Err(SetOptionsError::NoSuchFunction { number });
                }
            }
            if self.links.iter().take(at).any(|other| other == link) {
                return Err(SetOptionsError::Twice { consumer, supplier });
            }
        }
        for &number in numbers {
            if self.suppliers_of(number).contains(&number) {
                return Err(SetOptionsError::Circle { number });
            }
        }
        Ok(())
    }

    /// Returns all functions that one needs, directly or through others.
    fn suppliers_of(&self, consumer: FunctionNumber) -> BTreeSet<FunctionNumber> {
        let mut found = BTreeSet::new();
        let mut open = vec![consumer];
        while let Some(consumer) = open.pop() {
            let links = self.links.iter().filter(|link| link.consumer == consumer);
            open.extend(
                links
                    .map(|link| link.supplier)
                    .filter(|it| found.insert(*it)),
            );
        }
        found
    }
}
