//! Enhanced Allocation, id 14h (PCIe Base §7.8.5): resources at fixed addresses instead of BARs.
//!
//! | offset | register | attributes |
//! |---|---|---|
//! | +2 | number of entries | read-only |
//! | entry +0 | size, BAR equivalent, properties, enable | read-only |
//! | entry +4 | base, and bit 1 for a base of 64 bits | read-only |
//! | entry +8 | largest offset, and bit 1 for one of 64 bits | read-only |
//! | entry +C | upper halves of base and largest offset, if they have 64 bits | read-only |

use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::raw::hex_dwords;
use super::{Capability, CapabilityId};
use crate::config::{BarConfig, BarKind, MAX_BARS};
use crate::pci::ConventionalId;
use crate::register::{Block, Dword, Register};

/// A resource of [`EnhancedAllocationConfig`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Allocation {
    /// BAR Equivalent Indicator: 0 to 5 for a BAR, 6 for resources behind a bridge, 7 for none, 8 for the
    /// expansion ROM, 9 to 14 for the BARs of virtual functions.
    pub bar: u8,
    /// Address.
    pub base: u64,
    /// Size in bytes. If absent: that of the BAR.
    #[serde(default)]
    pub size: Option<u64>,
    /// Primary Properties. If absent: memory (0), prefetchable memory (1) or I/O (2) as the BAR.
    #[serde(default)]
    pub primary: Option<u8>,
    /// Base and largest offset have 64 bits. If absent: if the BAR has, or they need them.
    #[serde(default)]
    pub address_64: Option<bool>,
    /// Secondary Properties.
    #[serde(default = "unavailable")]
    pub secondary: u8,
}

/// Returns the properties of an entry that has none.
fn unavailable() -> u8 {
    0xff
}

/// The `[capabilities.enhanced-allocation]` table of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EnhancedAllocationConfig {
    /// Offset in config space.
    #[serde(default)]
    pub offset: Option<u16>,
    /// The resources.
    pub entries: Vec<Allocation>,
}

impl EnhancedAllocationConfig {
    /// Returns the addresses of the BARs among the resources.
    #[must_use]
    pub fn addresses(&self) -> [Option<u64>; MAX_BARS] {
        let mut addresses = [None; MAX_BARS];
        for entry in &self.entries {
            if let Some(address) = addresses.get_mut(usize::from(entry.bar)) {
                *address = Some(entry.base);
            }
        }
        addresses
    }
}

/// The mistake in an [`EnhancedAllocationConfig`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EnhancedAllocationConfigError {
    /// There are more entries than six bits count.
    #[error("{0} entries do not fit six bits; at most 63")]
    TooMany(usize),
    /// The indicator is reserved.
    #[error("BAR equivalent {0} is reserved; they are 0 to 14")]
    Indicator(u8),
    /// The BAR does not exist.
    #[error("there is no BAR {0}; add it, for its kind and size")]
    NoBar(u8),
    /// Two entries are for one BAR.
    #[error("BAR {0} has two entries; remove one")]
    Duplicate(u8),
    /// The size is missing, or is not that of the BAR.
    #[error("entry for {bar}: {problem}")]
    Size {
        /// The indicator.
        bar: u8,
        /// The problem and the remedy.
        problem: &'static str,
    },
}

impl EnhancedAllocationConfigError {
    /// Returns the key at fault.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        "entries"
    }
}

/// The Enhanced Allocation capability of a function.
#[derive(Debug)]
pub struct EnhancedAllocation {
    registers: Block,
}

impl EnhancedAllocation {
    /// Creates the capability. `bars` are the function's.
    ///
    /// # Errors
    /// The entry that is wrong.
    pub fn new(
        config: &EnhancedAllocationConfig,
        bars: &[Option<BarConfig>; MAX_BARS],
    ) -> Result<Self, EnhancedAllocationConfigError> {
        use EnhancedAllocationConfigError as Error;
        let count = config.entries.len();
        let number = u8::try_from(count)
            .ok()
            .filter(|count| *count < 64)
            .ok_or(Error::TooMany(count))?;
        let mut dwords = vec![Dword::new().with(2, Register::new(number))];
        for (position, entry) in config.entries.iter().enumerate() {
            let bar = entry.bar;
            let found = bars.get(usize::from(bar)).copied().flatten();
            if bar > 14 {
                return Err(Error::Indicator(bar));
            }
            if usize::from(bar) < MAX_BARS {
                if found.is_none() {
                    return Err(Error::NoBar(bar));
                }
                let earlier = config.entries.iter().take(position);
                if earlier.into_iter().any(|earlier| earlier.bar == bar) {
                    return Err(Error::Duplicate(bar));
                }
            }
            let refused = |problem| Error::Size { bar, problem };
            let size = match (entry.size, found.map(|found| found.size)) {
                (Some(size), Some(of_bar)) if size != of_bar => {
                    return Err(refused("the BAR has another size; leave size out"));
                }
                (Some(size), _) if size >= 4 && size % 4 == 0 => size,
                (Some(_), _) => return Err(refused("the size is no multiple of 4; choose one")),
                (None, Some(size)) => size,
                (None, None) => return Err(refused("its size is missing; add size")),
            };
            let primary = entry.primary.unwrap_or(match found {
                Some(bar) if bar.kind == BarKind::Io => 2,
                Some(bar) => u8::from(bar.prefetchable),
                None => 0,
            });
            let of_bar = found.is_some_and(|bar| bar.kind == BarKind::Memory64);
            let wide = entry.address_64.unwrap_or(of_bar);
            dwords.extend(registers(entry, size, primary, wide));
        }
        Ok(Self {
            registers: Block::new(dwords),
        })
    }
}

/// Returns the registers of an entry. Base and offset have 64 bits if the BAR has, or if they need them.
fn registers(entry: &Allocation, size: u64, primary: u8, wide: bool) -> Vec<Dword> {
    const WIDE: u32 = 2;
    const ENABLE: u32 = 1 << 31;
    let (base, last) = (entry.base, size - 1);
    let high = |value: u64| (wide || value >> 32 != 0).then_some((value >> 32) as u32);
    let (base_high, last_high) = (high(base), high(last));
    let flag = |high: Option<u32>| if high.is_some() { WIDE } else { 0 };
    let following = 2 + u32::from(base_high.is_some()) + u32::from(last_high.is_some());
    let first = following
        | u32::from(entry.bar) << 4
        | u32::from(primary) << 8
        | u32::from(entry.secondary) << 16
        | ENABLE;
    let mut dwords = vec![
        Dword::read_only(first),
        Dword::read_only(base as u32 & !3 | flag(base_high)),
        Dword::read_only(last as u32 & !3 | flag(last_high)),
    ];
    dwords.extend(base_high.map(Dword::read_only));
    dwords.extend(last_high.map(Dword::read_only));
    dwords
}

impl Capability for EnhancedAllocation {
    fn id(&self) -> CapabilityId {
        CapabilityId::Conventional(ConventionalId::EnhancedAllocation)
    }

    fn name(&self) -> &'static str {
        "enhanced-allocation"
    }

    fn registers(&self) -> &Block {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Block {
        &mut self.registers
    }

    registers_are_the_state!();

    fn inspect(&self) -> Value {
        json!({ "dwords": hex_dwords(&self.registers) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::testing::dwords;

    fn new(text: &str) -> Result<EnhancedAllocation, EnhancedAllocationConfigError> {
        let memory = BarConfig {
            kind: BarKind::Memory64,
            prefetchable: false,
            size: 1 << 30,
        };
        let bars = [Some(memory), None, None, None, None, None];
        let config = toml::from_str(text).expect("a table of the tests");
        EnhancedAllocation::new(&config, &bars)
    }

    #[test]
    fn an_entry_is_that_of_real_silicon() {
        // The first entry of a Cavium ThunderX network function.
        let made = new("entries = [{ bar = 0, base = 0x843000000000 }]").expect("it is right");
        let expected = [
            0x0001_0000,
            0x80ff_0004,
            0x0000_0002,
            0x3fff_fffe,
            0x0000_8430,
            0,
        ];
        assert_eq!(dwords(&made), expected);
    }

    #[test]
    fn an_entry_needs_a_bar_and_a_size() {
        for (entries, says) in [
            ("{ bar = 1, base = 0x1000 }", "there is no BAR 1"),
            ("{ bar = 15, base = 0, size = 16 }", "reserved"),
            ("{ bar = 7, base = 0x1000 }", "missing"),
            ("{ bar = 7, base = 0x1000, size = 6 }", "multiple of 4"),
            ("{ bar = 0, base = 0x1000, size = 16 }", "another size"),
            (
                "{ bar = 0, base = 0 }, { bar = 0, base = 0 }",
                "two entries",
            ),
        ] {
            let error = new(&format!("entries = [{entries}]")).expect_err(entries);
            assert!(error.to_string().contains(says), "{entries}: {error}");
        }
    }
}
