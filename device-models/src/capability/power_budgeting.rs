//! Power Budgeting extended capability, id 0004h (PCIe Base §7.8.1).
//!
//! | offset | register | attributes |
//! |---|---|---|
//! | +4 | Data Select | RW |
//! | +8 | Data | read-only, follows Data Select; zero after the last entry |
//! | +C | Power Budget Capability | read-only |

use bitfield_struct::bitfield;
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::{Capability, CapabilityId};
use crate::config::ConfigEffect;
use crate::pci::ExtendedId;
use crate::pci::power_budgeting::{DATA, DATA_SELECT};
use crate::register::{Block, Dword, DwordWrite, Register, ResetKind, register_bits};

/// Data, +8: the power drawn from one rail in one operating condition.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct PowerBudget {
    /// Base power in units of the scale. Values from F0h are codes for more than 239 W.
    pub base_power: u8,
    /// Unit: 1, 0.1, 0.01 or 0.001 W.
    #[bits(2)]
    pub data_scale: u8,
    #[bits(3)]
    pub pm_sub_state: u8,
    /// D0 to D3.
    #[bits(2)]
    pub pm_state: u8,
    /// 0 PME auxiliary, 1 auxiliary, 2 idle, 3 sustained, 4 and 5 emergency, 7 maximum.
    #[bits(3)]
    pub condition: u8,
    /// 0 12 V, 1 3.3 V, 2 1.5 or 1.8 V, 4 48 V, 5 5 V, 7 thermal.
    #[bits(3)]
    pub rail: u8,
    #[bits(11)]
    __: u16,
}

register_bits!(PowerBudget: u32);

/// Maximum number of entries, which leaves Data Select one value that reads zero.
const MAX_ENTRIES: usize = 255;

/// A power budget: the table `[capabilities.power-budgeting]` of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PowerBudgetingConfig {
    /// Byte offset in config space.
    pub offset: Option<u16>,
    /// The system's power budget contains this device already.
    pub system_allocated: bool,
    /// Values of Data for Data Select 0, 1, 2 and so on, in the layout of [`PowerBudget`].
    pub entries: Vec<u32>,
}

/// Reasons for which a table does not form a power budget.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PowerBudgetingConfigError {
    /// There are more entries than the eight bits of Data Select can select.
    #[error("{len} entries are more than Data Select can name; at most {MAX_ENTRIES}")]
    TooMany {
        /// Entries given.
        len: usize,
    },
    /// An entry is zero, which ends the table.
    #[error("entry {index} is 0, which ends the table for software; remove it or give its power")]
    Zero {
        /// Index of the entry.
        index: usize,
    },
}

impl PowerBudgetingConfigError {
    /// Returns the key of the table at fault.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        "entries"
    }
}

/// The power budget of a function.
#[derive(Debug)]
pub struct PowerBudgeting {
    registers: Block,
    entries: Vec<u32>,
}

impl PowerBudgeting {
    /// Creates the capability.
    ///
    /// # Errors
    /// Software could not read the table to its end.
    pub fn new(config: &PowerBudgetingConfig) -> Result<Self, PowerBudgetingConfigError> {
        let entries = config.entries.clone();
        let len = entries.len();
        if len > MAX_ENTRIES {
            return Err(PowerBudgetingConfigError::TooMany { len });
        }
        if let Some(index) = entries.iter().position(|entry| *entry == 0) {
            return Err(PowerBudgetingConfigError::Zero { index });
        }
        let mut budgeting = Self {
            registers: Block::new([
                Dword::new(),
                Dword::new().with(0, Register::new(0_u8).rw(0xff)),
                Dword::new(),
                Dword::read_only(u32::from(config.system_allocated)),
            ]),
            entries,
        };
        budgeting.show_data();
        Ok(budgeting)
    }

    fn data_select(&self) -> u8 {
        self.registers.get(DATA_SELECT)
    }

    /// Shows the entry that Data Select selects.
    fn show_data(&mut self) {
        let select = usize::from(self.data_select());
        let entry = self.entries.get(select).copied().unwrap_or(0);
        self.registers.set(DATA, entry);
    }
}

impl Capability for PowerBudgeting {
    fn id(&self) -> CapabilityId {
        CapabilityId::Extended {
            id: ExtendedId::PowerBudgeting,
            version: 1,
        }
    }

    fn name(&self) -> &'static str {
        "power-budgeting"
    }

    fn registers(&self) -> &Block {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Block {
        &mut self.registers
    }

    fn write(&mut self, index: usize, write: DwordWrite, _effects: &mut Vec<ConfigEffect>) {
        self.registers.write(index, write);
        self.show_data();
    }

    fn reset(&mut self, kind: ResetKind) {
        self.registers.reset(kind);
        self.show_data();
    }

    registers_are_the_state!(entries);

    fn inspect(&self) -> Value {
        let data: PowerBudget = self.registers.get(DATA);
        json!({
            "data_select": self.data_select(),
            "base_power": data.base_power(),
            "data_scale": data.data_scale(),
            "pm_state": data.pm_state(),
            "pm_sub_state": data.pm_sub_state(),
            "condition": data.condition(),
            "rail": data.rail(),
            "entries": self.entries,
        })
    }
}

#[cfg(test)]
mod tests;
