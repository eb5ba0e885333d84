//! Faults: the ways in which a device fails, at the times that a test chooses.
//!
//! A [`Fault`] says *when* something goes wrong and *what* then goes wrong, in words that are the same in a
//! profile (`[[fault]]`), on the command line (`--fault`) and at the control socket (`fault add`):
//!
//! ```
//! use pci_device_models::fault::Fault;
//!
//! let fault: Fault = "when=reset flr first 2,what=not-ready 300ms rrs".parse()?;
//! assert_eq!(fault.when.to_string(), "reset flr first 2");
//! assert_eq!(fault.what.to_string(), "not-ready 300ms rrs");
//! # Ok::<(), pci_device_models::fault::FaultError>(())
//! ```
//!
//! # When
//!
//! An occasion, and then which of its occurrences the fault strikes:
//!
//! | occasion | occurs |
//! |---|---|
//! | `now` | once, as soon as the fault is set |
//! | `after DURATION` | once, so long after the fault was set |
//! | `every DURATION` | again and again |
//! | `reset [KIND]` | at a reset: `flr`, `hot`, `fundamental`, `power-on`, `soft-d3hot`; without a kind at any |
//! | `power-on`, `power-off` | when main power comes and goes |
//! | `d-state FROM TO` | at a change between `d0`, `d1`, `d2`, `d3hot`, `d3cold`, or `any` |
//! | `config-read [RANGE]`, `config-write [RANGE]` | at an access to these bytes of config space: `0x44` or `0x44-0x47` |
//! | `bar-read N [RANGE]`, `bar-write N [RANGE]` | at an access to these bytes of BAR N |
//! | `interrupt [VECTOR]` | when the function is about to send an MSI or MSI-X message |
//! | `intx-assert`, `intx-release` | when the INTx wire is about to change |
//! | `pme` | when a `PM_PME` message or the wake signal is about to go out |
//! | `dma` | when a transfer is about to start |
//! | `resume` | when the host is about to wake the device: an error is not remembered |
//! | `resume-callback` | likewise in the driver's callback: the host remembers an error and does not try again |
//! | `port-resume` | when the host is about to wake the port above the slot |
//! | `device-lock` | when the host is about to lock the device for a reset: at `VFIO_DEVICE_RESET`, open, close, a hot reset |
//! | `device-reset` | at `VFIO_DEVICE_RESET` |
//!
//! | which | strikes |
//! |---|---|
//! | `each`, or nothing | every occurrence |
//! | `nth N` | the Nth only |
//! | `first N` | the first N |
//! | `chance N/M seed S` | N of M, by a generator that starts from S |
//! | `from DURATION` before these | only occurrences so long after the fault was set |
//!
//! # What
//!
//! [`kinds`] lists what can go wrong. Each kind is a file of its own below `fault/kind`, which consists of
//! its name, the occasions that it fits, and a `Consequence` that it makes of its words. The hooks in
//! `function/faults.rs` meet the faults at each occasion and carry the consequences out. To add a kind,
//! write its file and name it in `fault/kind.rs`; add a consequence and its hook only if none fits.
//!
//! # Bounds
//!
//! A function has at most [`MAX_FAULTS`] faults, and so has a slot, to which the faults of its link and port
//! belong. One that strikes is counted and reported as an event. At
//! most 256 of these events wait to be collected; the count is exact in any case.

pub(crate) mod consequence;
mod form;
mod kind;
pub(crate) mod list;
mod random;
mod status;
mod what;
mod when;
mod words;

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::capability::{DetectedError, PciExpress};
use crate::config::ConfigSpace;
use consequence::Consequence;
use when::Occasion;

pub use status::FaultStatus;
pub use what::{What, WhatHelp, kinds};
pub use when::When;

pub(crate) use when::Occurrence;
pub(crate) use words::Range;

/// Maximum number of faults of a function.
pub const MAX_FAULTS: usize = 32;

/// Maximum length of a fault's name.
const MAX_NAME: usize = 64;

/// Something that goes wrong at a certain time. See the [module](self) for the words.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Fault {
    /// Name by which the fault is listed and removed. By default that of its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The occasion.
    pub when: When,
    /// The failure.
    pub what: What,
}

/// Reasons for which a fault cannot be set or removed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FaultError {
    /// The words of `when` mean nothing.
    #[error("when = \"{text}\": {reason}")]
    When {
        /// The words.
        text: String,
        /// The problem and the remedy.
        reason: String,
    },
    /// The words of `what` mean nothing.
    #[error("what = \"{text}\": {reason}")]
    What {
        /// The words.
        text: String,
        /// The problem and the remedy.
        reason: String,
    },
    /// The failure cannot happen at this occasion.
    #[error("\"{what}\" cannot happen at \"{when}\"; {fits}")]
    Unfit {
        /// The failure.
        what: String,
        /// The occasion.
        when: String,
        /// The occasions that fit.
        fits: &'static str,
    },
    /// The name is no name.
    #[error(
        "{name:?} is no name for a fault; write up to {MAX_NAME} letters, digits, dots, - and _"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Another fault has the name.
    #[error("there is a fault {name:?} already; remove it, or choose another name")]
    Taken {
        /// The name.
        name: String,
    },
    /// There is no fault of that name.
    #[error("there is no fault {name:?}; {}", they_are(known))]
    Unknown {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The function has as many faults as it can have.
    #[error("the function has {MAX_FAULTS} faults, which is the maximum; remove one")]
    TooMany,
    /// The function lacks a part that the fault needs.
    #[error("{0}")]
    Lacks(String),
    /// The profile does not permit transfers to wrong addresses.
    #[error(
        "\"{0}\" destroys memory of the client; set host.misdirected-dma = true in the profile to permit it"
    )]
    NotPermitted(String),
    /// The text is not `when=…,what=…`.
    #[error(
        "{0:?} is no fault; write when=OCCASION,what=FAILURE, and name=NAME if it is to have one"
    )]
    Form(String),
}

/// Returns the words for the faults that there are.
fn they_are(known: &[String]) -> String {
    if known.is_empty() {
        "none is set".to_owned()
    } else {
        format!("the faults are {}", known.join(", "))
    }
}

impl FaultError {
    /// Adds the names of faults of another list to those that there are.
    pub(crate) fn with_known(self, more: Vec<String>) -> Self {
        match self {
            Self::Unknown { name, mut known } => {
                known.extend(more);
                Self::Unknown { name, known }
            }
            other => other,
        }
    }
}

impl Fault {
    /// Creates a fault from the words of its two parts.
    ///
    /// # Errors
    /// The words mean nothing, or the failure does not fit the occasion.
    pub fn new(when: &str, what: &str) -> Result<Self, FaultError> {
        let fault = Self {
            name: None,
            when: when.parse()?,
            what: what.parse()?,
        };
        fault.check()?;
        Ok(fault)
    }

    /// Returns the fault with a name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..self
        }
    }

    /// Checks that name, occasion and failure fit each other.
    ///
    /// # Errors
    /// [`FaultError::Name`], [`FaultError::Unfit`].
    pub fn check(&self) -> Result<(), FaultError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if let Some(name) = &self.name
            && (name.is_empty() || name.len() > MAX_NAME || !name.chars().all(fits))
        {
            return Err(FaultError::Name { name: name.clone() });
        }
        self.what.check(&self.when)
    }

    /// Checks that the fault is one that the profile permits.
    pub(crate) fn check_permitted(&self, misdirected_dma: bool) -> Result<(), FaultError> {
        let misdirects = matches!(self.what.consequence(), Consequence::Misdirect { .. });
        if misdirects && !misdirected_dma {
            return Err(FaultError::NotPermitted(self.what.to_string()));
        }
        Ok(())
    }

    /// Checks that the function has the parts that the fault needs.
    ///
    /// # Errors
    /// [`FaultError::Lacks`].
    pub(crate) fn check_parts(&self, config: &ConfigSpace) -> Result<(), FaultError> {
        let bar = match (self.when.occasion(), self.what.consequence()) {
            (_, &Consequence::BarOff { bar, .. })
            | (Occasion::BarRead(bar, _) | Occasion::BarWrite(bar, _), _) => Some(bar),
            _ => None,
        };
        if let Some(bar) = bar
            && config.header().bar(bar.into()).is_none()
        {
            let reason = format!("there is no BAR {bar}; choose another");
            return Err(FaultError::Lacks(reason));
        }
        if let Consequence::Detect(error) = self.what.consequence() {
            check_error(error, config)?;
        }
        let of_link = matches!(self.what.consequence(), Consequence::Link { .. });
        if of_link && !config.pcie().is_some_and(PciExpress::has_link) {
            let reason =
                "the function has no link: there are no link registers in a PCI Express capability";
            return Err(FaultError::Lacks(reason.to_owned()));
        }
        let of_pme = matches!(
            self.what.consequence(),
            Consequence::WakeEvent { again: true } | Consequence::KeepPmeStatus { .. }
        );
        if of_pme && config.pm().is_none() {
            let reason = "there is no power management capability, and so no PME";
            return Err(FaultError::Lacks(reason.to_owned()));
        }
        if *self.what.consequence() == Consequence::LoseTable && config.msix().is_none() {
            let reason = "there is no MSI-X capability, whose table could be lost";
            return Err(FaultError::Lacks(reason.to_owned()));
        }
        let changes = matches!(self.when.occasion(), Occasion::DState { .. });
        if changes && config.pm().is_none() {
            let reason =
                "there is no power management capability, so the power state never changes";
            return Err(FaultError::Lacks(reason.to_owned()));
        }
        Ok(())
    }

    /// Returns whether the fault concerns the slot with its link and port, which all functions share.
    pub(crate) const fn is_of_slot(&self) -> bool {
        matches!(self.what.consequence(), Consequence::Link { .. })
            || matches!(self.when.occasion(), Occasion::PortResume)
    }

    /// Returns whether the fault concerns the host rather than the function.
    pub(crate) const fn is_of_host(&self) -> bool {
        self.when.is_of_host()
    }
}

/// Checks that a function can detect an error, and has a place for its header.
fn check_error(error: &DetectedError, config: &ConfigSpace) -> Result<(), FaultError> {
    let name = error.kind.name;
    let lacks = |reason: String| Err(FaultError::Lacks(reason));
    if config.pcie().is_none() {
        return lacks("there is no PCI Express capability, so no error is reported".to_owned());
    }
    let headed = error.header != [0; 4] || error.prefixes.is_some();
    match config.aer() {
        None if headed => lacks("there is no AER, so no header is logged; leave it out".to_owned()),
        None if !error.kind.is_baseline() => {
            lacks(format!("a function without AER does not report {name}"))
        }
        Some(aer) if !aer.implements(error.kind) => lacks(format!(
            "the function's AER has no {name}; set the bit in capabilities.aer"
        )),
        Some(aer) if headed && !aer.logs_header(error.kind) => lacks(format!(
            "the header of {name} is logged only with capabilities.aer.completion-timeout-log"
        )),
        Some(aer) if error.prefixes.is_some() && !aer.has_prefix_log() => lacks(
            "the function's AER has no TLP Prefix Log; set capabilities.aer.tlp-prefix-log"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    /// Parses `when=…,what=…`, with `name=…` if it has one, in any order.
    fn from_str(text: &str) -> Result<Self, FaultError> {
        let form = || FaultError::Form(text.to_owned());
        let (mut name, mut when, mut what) = (None, None, None);
        for item in text.split(',') {
            let (key, value) = item.split_once('=').ok_or_else(form)?;
            let place = match key.trim() {
                "name" => &mut name,
                "when" => &mut when,
                "what" => &mut what,
                _ => return Err(form()),
            };
            if place.replace(value.trim()).is_some() {
                return Err(form());
            }
        }
        let (Some(when), Some(what)) = (when, what) else {
            return Err(form());
        };
        let fault = Self {
            name: name.map(str::to_owned),
            ..Self::new(when, what)?
        };
        fault.check()?;
        Ok(fault)
    }
}

#[cfg(test)]
mod tests;
