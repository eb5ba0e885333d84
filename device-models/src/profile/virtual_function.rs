//! The rules for virtual functions (PCIe Base §9), alone and beside their physical function.

use std::collections::BTreeMap;

use super::Profile;
use super::error::{Mistake, ProfileError};
use super::tables::{InterruptPin, Tables};
use crate::capability::{SriovConfig, VfBar};
use crate::config::BarKind;
use crate::slot::FunctionNumber;

/// The key that makes a function a virtual one.
pub(super) const VIRTUAL_FUNCTION_OF: &str = "virtual-function-of";

/// Checks the tables of a virtual function: that it has nothing that no virtual function has.
pub(super) fn check(tables: &Tables) -> Result<(), Mistake> {
    if tables.virtual_function_of.is_none() {
        return Ok(());
    }
    let refused = |key: &str, message: &str| Err(Mistake::new(key, message));
    let capabilities = &tables.capabilities;
    for (key, present) in [
        ("capabilities.pm", capabilities.pm.is_some()),
        ("capabilities.sriov", capabilities.sriov.is_some()),
        (
            "capabilities.resizable-bar",
            capabilities.resizable_bar.is_some(),
        ),
        ("rom", tables.rom.is_some()),
    ] {
        if present {
            return refused(key, "a virtual function does not have this; leave it out");
        }
    }
    if !matches!(tables.identity.interrupt_pin, InterruptPin::None) {
        let message = "a virtual function has no INTx; leave it out";
        return refused("identity.interrupt-pin", message);
    }
    if tables.identity.multi_function {
        let message = "Header Type of a virtual function is 0; leave it out";
        return refused("identity.multi-function", message);
    }
    let pcie = capabilities.pcie.as_ref();
    if !pcie.is_some_and(|pcie| pcie.has_flr()) {
        let message =
            "a virtual function has a function level reset; add the table with flr = true";
        return refused("capabilities.pcie", message);
    }
    let io = tables.bar.iter().position(|bar| bar.kind == BarKind::Io);
    if let Some(position) = io {
        let message = "a virtual function has memory BARs only; choose memory32 or memory64";
        return Err(Mistake::new(format!("bar.{position}.kind"), message));
    }
    Ok(())
}

/// Checks that each virtual function fits its physical function.
pub(super) fn check_all(
    first: &Profile,
    others: &BTreeMap<FunctionNumber, Profile>,
) -> Result<(), ProfileError> {
    let mut numbers: BTreeMap<FunctionNumber, u16> = BTreeMap::new();
    for (number, profile) in others {
        let Some(of) = profile.tables.virtual_function_of else {
            continue;
        };
        let physical = if of == FunctionNumber::ZERO {
            Some(first)
        } else {
            others.get(&of)
        };
        let sriov = physical.and_then(|physical| {
            let sriov = physical.tables.capabilities.sriov.as_ref()?;
            (of < *number).then_some((physical, sriov))
        });
        let Some((physical, sriov)) = sriov else {
            let message = format!(
                "function {of} has no capabilities.sriov or comes behind this one; name a physical function with a lower number"
            );
            return Err(profile.refused(VIRTUAL_FUNCTION_OF, message));
        };
        let so_far = numbers.entry(of).or_default();
        *so_far += 1;
        if *so_far > sriov.total_vfs {
            let message = format!(
                "function {of} has {} virtual functions at most; raise its capabilities.sriov.total-vfs",
                sriov.total_vfs
            );
            return Err(profile.refused(VIRTUAL_FUNCTION_OF, message));
        }
        profile.check_identity(of, physical, sriov)?;
        profile.check_bars(of, sriov)?;
    }
    Ok(())
}

impl Profile {
    /// Returns whether the function is a virtual one.
    pub(super) fn is_virtual(&self) -> bool {
        self.tables.virtual_function_of.is_some()
    }

    fn refused(&self, key: &str, message: String) -> ProfileError {
        self.source.error(Mistake::new(key, message))
    }

    /// Refuses a virtual function without its physical function.
    pub(super) fn check_alone(&self) -> Result<(), ProfileError> {
        if !self.is_virtual() {
            return Ok(());
        }
        let message = "a virtual function stands beside its physical function; make both [[function]] tables of a card";
        Err(self.refused(VIRTUAL_FUNCTION_OF, message.to_owned()))
    }

    /// Checks the ids, of which the host takes some from the physical function.
    fn check_identity(
        &self,
        of: FunctionNumber,
        physical: &Self,
        sriov: &SriovConfig,
    ) -> Result<(), ProfileError> {
        let (own, its) = (&self.tables.identity, &physical.tables.identity);
        for (key, found, expected) in [
            ("vendor-id", own.vendor_id.into(), its.vendor_id.into()),
            ("device-id", own.device_id.into(), sriov.vf_device_id.into()),
            ("class", own.class, its.class),
            ("revision", own.revision.into(), its.revision.into()),
        ] {
            if found != expected {
                let message = format!(
                    "{found:#x} is not what function {of} says; its virtual functions have {expected:#x}"
                );
                return Err(self.refused(&format!("identity.{key}"), message));
            }
        }
        Ok(())
    }

    /// Checks that the BARs are those that the physical function maps.
    fn check_bars(&self, of: FunctionNumber, sriov: &SriovConfig) -> Result<(), ProfileError> {
        let mut mapped: Vec<VfBar> = sriov.bars.clone();
        for (position, bar) in self.tables.bar.iter().enumerate() {
            let own = VfBar {
                index: bar.index,
                kind: bar.kind,
                size: bar.size,
                prefetchable: bar.prefetchable,
            };
            let found = mapped.iter().position(|mapped| *mapped == own);
            let Some(found) = found else {
                let message = format!(
                    "function {of} does not map such a BAR for its virtual functions; make it one of its capabilities.sriov.bars"
                );
                return Err(self.refused(&format!("bar.{position}.index"), message));
            };
            mapped.remove(found);
        }
        match mapped.first() {
            None => Ok(()),
            Some(missing) => {
                let message = format!(
                    "BAR {}, which function {of} maps for its virtual functions, is missing; add it",
                    missing.index
                );
                Err(self.refused("bar", message))
            }
        }
    }
}

#[cfg(test)]
mod tests;
