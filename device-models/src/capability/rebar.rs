//! Resizable BAR extended capability, id 0015h (PCIe Base §7.8.6).
//!
//! For each resizable BAR, from +4 on:
//!
//! | offset | register | attributes |
//! |---|---|---|
//! | +0 | Resizable BAR Capability | read-only |
//! | +4 | Resizable BAR Control | BAR Size RW, the rest read-only |
//!
//! A size is written as n for 2ⁿ MiB.

use bitfield_struct::bitfield;
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::{Capability, CapabilityId};
use crate::config::{BarConfig, BarKind, ConfigEffect, MAX_BARS};
use crate::pci::ExtendedId;
use crate::register::{Block, Dword, DwordWrite, Register, register_bits};
use crate::snapshot::{self, RestoreError};

/// Resizable BAR Capability.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct ResizableBarCapability {
    #[bits(4)]
    __: u8,
    /// Bit n: 2ⁿ MiB is supported.
    #[bits(28)]
    pub sizes: u32,
}

/// Resizable BAR Control.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct ResizableBarControl {
    #[bits(3)]
    pub bar_index: u8,
    #[bits(2)]
    __: u8,
    /// Number of resizable BARs, in the first control register only.
    #[bits(3)]
    pub bar_count: u8,
    /// n for 2ⁿ MiB.
    #[bits(6)]
    pub bar_size: u8,
    #[bits(2)]
    __: u8,
    /// Bit n: 2ⁿ⁺²⁸ MiB is supported.
    pub large_sizes: u16,
}

register_bits!(ResizableBarCapability: u32, ResizableBarControl: u32);

/// First exponent whose support shows in the control register.
const LARGE: u32 = 28;

/// Largest exponent that a BAR can have at power-on.
const MAX_POWER_ON: u32 = 19;

const MIB: u64 = 1 << 20;

/// Size from which a BAR must have 64 bits.
const FOUR_GIB: u64 = 1 << 32;

/// The sizes that one BAR supports.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ResizableBarSizes {
    /// BAR index, 0 to 5.
    pub bar: u8,
    /// Sizes in bytes, powers of two from 1 MiB up. The BAR starts with the size in its own table,
    /// which must be among them.
    pub sizes: Vec<u64>,
}

/// The BARs that support several sizes, and these sizes: the table `[capabilities.resizable-bar]`
/// of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ResizableBarConfig {
    /// Byte offset in config space.
    pub offset: Option<u16>,
    /// At least one BAR.
    pub bars: Vec<ResizableBarSizes>,
}

/// Reasons for which BARs cannot be resized as described.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResizableBarConfigError {
    /// The capability has no BARs, for which there is no encoding.
    #[error("no BAR is named; name at least one or remove the capability")]
    Empty,
    /// The BAR is not a memory BAR, which alone can be resized.
    #[error("BAR {bar} is not a memory BAR of this function; name one that is")]
    NoMemoryBar {
        /// BAR index.
        bar: u8,
    },
    /// Two entries have the same BAR.
    #[error("BAR {bar} is named twice; leave one entry with all its sizes")]
    Duplicate {
        /// BAR index.
        bar: u8,
    },
    /// The size has no encoding.
    #[error(
        "BAR {bar} cannot have {size:#x} bytes; sizes are powers of two from 0x100000 on, from 0x100000000 on with 64-bit BARs only"
    )]
    Size {
        /// BAR index.
        bar: u8,
        /// Size in bytes.
        size: u64,
    },
    /// The BAR's own size is not among its sizes, so software could not return to it.
    #[error(
        "BAR {bar} starts with {size:#x} bytes, which is not among its sizes; add it (0x100000 to 0x8000000000 can be) or change the BAR"
    )]
    PowerOnSize {
        /// BAR index.
        bar: u8,
        /// The BAR's own size in bytes.
        size: u64,
    },
}

impl ResizableBarConfigError {
    /// Returns the key of the table at fault.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        "bars"
    }
}

/// The resizable BAR capability of a function.
#[derive(Debug)]
pub struct ResizableBar {
    registers: Block,
}

impl ResizableBar {
    /// Creates the capability for a function with these BARs.
    ///
    /// # Errors
    /// The BAR and the size that it cannot have.
    pub fn new(
        config: &ResizableBarConfig,
        bars: &[Option<BarConfig>; MAX_BARS],
    ) -> Result<Self, ResizableBarConfigError> {
        if config.bars.is_empty() {
            return Err(ResizableBarConfigError::Empty);
        }
        let mut dwords = vec![Dword::new()];
        let mut seen = Vec::with_capacity(MAX_BARS);
        for ResizableBarSizes { bar, sizes } in &config.bars {
            let bar = *bar;
            if seen.contains(&bar) {
                return Err(ResizableBarConfigError::Duplicate { bar });
            }
            seen.push(bar);
            let power_on = bars
                .get(usize::from(bar))
                .and_then(Option::as_ref)
                .filter(|power_on| power_on.kind != BarKind::Io)
                .ok_or(ResizableBarConfigError::NoMemoryBar { bar })?;
            dwords.extend(entry(bar, sizes, power_on)?);
        }
        let mut registers = Block::new(dwords);
        if let Some(first) = registers.dword_mut(2) {
            let count = ResizableBarControl::new().with_bar_count(seen.len() as u8 & 0x7);
            let field = ResizableBarControl::new().with_bar_count(0x7);
            first.define(field.into(), count.into());
        }
        Ok(Self { registers })
    }

    /// Returns the control registers with the indexes of their DWORDs.
    fn controls(&self) -> impl Iterator<Item = (usize, ResizableBarControl)> + '_ {
        (2..self.registers.len())
            .step_by(2)
            .map(|index| (index, self.registers.get(4 * index)))
    }

    /// Returns the largest size in bytes of a BAR, if it is one of these.
    #[must_use]
    pub fn largest(&self, bar: usize) -> Option<u64> {
        let mut controls = self.controls();
        let (index, _) = controls.find(|(_, control)| usize::from(control.bar_index()) == bar)?;
        let exponent = self.supported(index).checked_ilog2()?;
        MIB.checked_shl(exponent)
    }

    /// Returns the supported sizes of the BAR whose control register is DWORD `index`: bit n for 2ⁿ
    /// MiB.
    fn supported(&self, index: usize) -> u64 {
        let capability: ResizableBarCapability = self.registers.get(4 * (index - 1));
        let control: ResizableBarControl = self.registers.get(4 * index);
        u64::from(control.large_sizes()) << LARGE | u64::from(capability.sizes())
    }
}

/// Returns capability and control of one BAR.
fn entry(
    bar: u8,
    sizes: &[u64],
    power_on: &BarConfig,
) -> Result<[Dword; 2], ResizableBarConfigError> {
    let mut supported = 0_u64;
    for &size in sizes {
        let wide_enough = size < FOUR_GIB || power_on.kind == BarKind::Memory64;
        let exponent = exponent(size)
            .filter(|_| wide_enough)
            .ok_or(ResizableBarConfigError::Size { bar, size })?;
        supported |= 1 << exponent;
    }
    let size = power_on.size;
    let exponent = exponent(size)
        .filter(|exponent| *exponent <= MAX_POWER_ON && supported >> exponent & 1 == 1)
        .ok_or(ResizableBarConfigError::PowerOnSize { bar, size })?;
    let small = (1 << LARGE) - 1;
    let capability = ResizableBarCapability::new().with_sizes(supported as u32 & small);
    let control = ResizableBarControl::new()
        .with_bar_index(bar & 0x7)
        .with_bar_size(exponent as u8 & 0x3f)
        .with_large_sizes((supported >> LARGE) as u16);
    let writable = ResizableBarControl::new().with_bar_size(0x3f);
    Ok([
        Dword::new().with(0, Register::new(capability)),
        Dword::new().with(0, Register::new(control).rw(writable)),
    ])
}

/// Returns the n for which 2ⁿ MiB are `size` bytes, or `None` if there is none up to 2⁶² bytes, the
/// largest BAR.
fn exponent(size: u64) -> Option<u32> {
    (size.is_power_of_two() && (MIB..=1 << 62).contains(&size))
        .then(|| size.trailing_zeros() - MIB.trailing_zeros())
}

impl Capability for ResizableBar {
    fn id(&self) -> CapabilityId {
        CapabilityId::Extended {
            id: ExtendedId::ResizableBar,
            version: 1,
        }
    }

    fn name(&self) -> &'static str {
        "resizable-bar"
    }

    fn registers(&self) -> &Block {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Block {
        &mut self.registers
    }

    /// Handles a write. A size that the BAR does not support is ignored; the specification leaves
    /// the result open.
    fn write(&mut self, index: usize, write: DwordWrite, effects: &mut Vec<ConfigEffect>) {
        let before: ResizableBarControl = self.registers.get(4 * index);
        if self.registers.write(index, write).changed() == 0 {
            return;
        }
        let asked: ResizableBarControl = self.registers.get(4 * index);
        if self.supported(index) >> asked.bar_size() & 1 == 1 {
            effects.push(ConfigEffect::BarSize {
                bar: asked.bar_index(),
                size: MIB << asked.bar_size(),
            });
        } else {
            self.registers.set(4 * index, before);
        }
    }

    fn save(&self) -> Value {
        let Self { registers } = self;
        registers.save()
    }

    fn restore(
        &mut self,
        at: &str,
        saved: &Value,
        effects: &mut Vec<ConfigEffect>,
    ) -> Result<(), RestoreError> {
        let values: Vec<u32> = snapshot::read(at, saved)?;
        let could_hold = |(dword, value): (&Dword, &u32)| dword.could_hold(*value);
        if !self.registers.iter().zip(&values).all(could_hold) {
            let reason = "these are not the BARs and sizes of this capability";
            return Err(RestoreError::part(at, reason));
        }
        self.registers.set_values(at, &values)?;
        for (index, control) in self.controls() {
            let (bar, exponent) = (control.bar_index(), control.bar_size());
            if self.supported(index) >> exponent & 1 == 0 {
                let reason = format!("BAR {bar} cannot have 2^{exponent} MiB");
                return Err(RestoreError::part(at, reason));
            }
            let size = MIB << exponent;
            effects.push(ConfigEffect::BarSize { bar, size });
        }
        Ok(())
    }

    fn inspect(&self) -> Value {
        let bars: Vec<Value> = self
            .controls()
            .map(|(index, control)| {
                let supported = self.supported(index);
                let sizes: Vec<u64> = (0..u64::BITS - MIB.trailing_zeros())
                    .filter(|exponent| supported >> exponent & 1 == 1)
                    .map(|exponent| MIB << exponent)
                    .collect();
                json!({
                    "bar": control.bar_index(),
                    "size": MIB << control.bar_size(),
                    "sizes": sizes,
                })
            })
            .collect();
        json!({ "bars": bars })
    }
}

#[cfg(test)]
mod tests;
