//! A capability that was made, with its name in the profile.

use crate::config::AnyCapability;

/// A capability with its place in the profile.
#[derive(Debug)]
pub(super) struct Named {
    /// Path of its table.
    pub key: String,
    /// What the lists call it.
    pub name: String,
    /// Offset asked for.
    pub offset: Option<u16>,
    /// Whether its list leads to it where the profile does not spell the list out.
    pub linked: bool,
    pub capability: AnyCapability,
}

impl Named {
    pub(super) fn is_extended(&self) -> bool {
        self.capability.get().id().is_extended()
    }

    pub(super) fn len(&self) -> usize {
        4 * self.capability.get().registers().len()
    }
}
