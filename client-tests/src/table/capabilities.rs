//! The capability lists, read by following their pointers.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::{Error, Result, bail, ensure};

/// The name of a capability in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CapabilityName(&'static str);

/// Name, whether it is an extended capability, and id (PCIe Base §7.5, §7.7, §7.8, §7.9).
const NAMES: [(&str, bool, u16); 15] = [
    ("pm", false, 0x01),
    ("msi", false, 0x05),
    ("vendor", false, 0x09),
    ("pcie", false, 0x10),
    ("msix", false, 0x11),
    ("aer", true, 0x01),
    ("dsn", true, 0x03),
    ("pb", true, 0x04),
    ("vsec", true, 0x0b),
    ("sriov", true, 0x10),
    ("rebar", true, 0x15),
    ("dpa", true, 0x16),
    ("ltr", true, 0x18),
    ("l1ss", true, 0x1e),
    ("ptm", true, 0x1f),
];

impl FromStr for CapabilityName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = NAMES.iter().find(|(name, ..)| *name == text);
        match known {
            Some((name, ..)) => Ok(Self(name)),
            None => bail!("`{text}` is no capability that steps know"),
        }
    }
}

/// The offsets of capabilities.
#[derive(Debug, Default)]
pub(super) struct Capabilities(BTreeMap<CapabilityName, u32>);

impl Capabilities {
    /// Follows both lists of a config space.
    ///
    /// # Errors
    /// A list has no end, leaves its range, is not aligned, or has two capabilities of which only
    /// one may exist.
    pub(super) fn walk(config: &[u8]) -> Result<Self> {
        let mut found = Self::default();
        let mut next = u32::from(byte(config, 0x34));
        let mut seen = Vec::new();
        while next != 0 {
            ensure!(next % 4 == 0, "the capability at {next:02x} is not aligned");
            ensure!(
                (0x40..0x100).contains(&next),
                "there is a capability at {next:02x}"
            );
            ensure!(!seen.contains(&next), "the list comes back to {next:02x}");
            seen.push(next);
            found.add(false, byte(config, next).into(), next)?;
            next = u32::from(byte(config, next + 1));
        }
        let mut next = if config.len() > 0x100 { 0x100 } else { 0 };
        while next != 0 {
            ensure!(
                next % 4 == 0,
                "the extended capability at {next:03x} is not aligned"
            );
            ensure!(
                (0x100..0x1000).contains(&next),
                "there is an extended capability at {next:03x}"
            );
            ensure!(!seen.contains(&next), "the list comes back to {next:03x}");
            seen.push(next);
            let header = (0..4).fold(0, |header, at| {
                header | u32::from(byte(config, next + at)) << (8 * at)
            });
            if header != 0 {
                found.add(true, header as u16, next)?;
            }
            next = header >> 20;
        }
        Ok(found)
    }

    /// Returns whether none is known.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that the mandatory capabilities of a PCI Express function exist.
    ///
    /// # Errors
    /// PM or PCI Express is missing.
    pub(super) fn check_mandatory(&self) -> Result<()> {
        self.offset(CapabilityName("pm"))?;
        self.offset(CapabilityName("pcie"))?;
        Ok(())
    }

    /// Returns the offset of a capability.
    ///
    /// # Errors
    /// The function does not have it.
    pub(super) fn offset(&self, name: CapabilityName) -> Result<u32> {
        match self.0.get(&name) {
            Some(offset) => Ok(*offset),
            None => bail!("the function has no {} capability", name.0),
        }
    }

    fn add(&mut self, extended: bool, id: u16, offset: u32) -> Result<()> {
        let known = NAMES
            .iter()
            .find(|known| (known.1, known.2) == (extended, id));
        let Some((name, ..)) = known else {
            return Ok(());
        };
        let before = self.0.insert(CapabilityName(name), offset);
        // A function may have several vendor-specific ones.
        ensure!(
            before.is_none() || matches!(*name, "vendor" | "vsec"),
            "there are two {name} capabilities"
        );
        Ok(())
    }
}

fn byte(config: &[u8], at: u32) -> u8 {
    config.get(at as usize).copied().unwrap_or(0xff)
}
