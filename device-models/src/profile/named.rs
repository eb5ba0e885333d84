//! A capability with its name in the profile.

use crate::config::AnyCapability;

/// A capability with its place in the profile.
#[derive(Debug)]
pub(super) struct Named {
    /// Path of its table.
    pub key: String,
    /// Name of the capability in the lists.
    pub name: String,
    /// Requested offset.
    pub offset: Option<u16>,
    /// The list leads to the capability if the profile does not spell the list out.
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
