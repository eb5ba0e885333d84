//! Helpers for the tests of this crate's models.

use std::time::Duration;

use super::Bench;
use crate::dma::{DmaError, DmaId};
use crate::model::Registry;
use crate::profile::Profile;

pub(crate) use super::{COMMAND, ENABLE};

/// PMCSR `PowerState`.
pub(crate) const D0: u16 = 0;
pub(crate) const D3HOT: u16 = 3;

impl Bench {
    /// Creates the function of a built-in profile.
    pub(crate) fn builtin(profile: &str, set: &[(&str, &str)]) -> Self {
        let set: Vec<_> = set
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let text = Profile::builtin(profile).expect("it is built in");
        let profile = Profile::parse(profile, text, &set).expect("it is valid");
        Self::of(&profile, &Registry::builtin()).expect("the model is known")
    }

    pub(crate) fn config(&mut self, offset: u64, value: u16) {
        self.config_write_bytes(offset, &value.to_le_bytes());
    }

    pub(crate) fn pass(&mut self, millis: u64) {
        self.advance_late(Duration::from_millis(millis));
    }

    pub(crate) fn finish(&mut self, id: DmaId, outcome: Result<(), DmaError>) {
        self.complete_dma(id, outcome.map(|()| &[][..]));
    }
}
