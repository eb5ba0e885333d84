//! MSI-X, id 11h (PCIe Base §7.7.2, §6.1.4): the capability, and its table and Pending Bit Array.
//!
//! | offset | register | attributes |
//! |---|---|---|
//! | +2 | Message Control | Table Size RO; Function Mask, Enable RW |
//! | +4 | Table Offset and BIR | RO |
//! | +8 | PBA Offset and BIR | RO |
//!
//! A table entry is address low, address high, data, vector control. Of vector control only the
//! mask bit exists, and it resets to one.
//!
//! A client of the function may keep the table to itself and show its guest one of its own, as QEMU
//! does. Then the table is never written, and its mask bits say nothing. Such a client opens the
//! vectors for which it wants messages. From the first write of the table on, the table decides.

use bitfield_struct::bitfield;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use super::{Capability, CapabilityId};
use crate::config::{ConfigEffect, MAX_BARS};
use crate::pci::ConventionalId;
use crate::pci::msix::CONTROL;
use crate::register::{Block, Dword, DwordWrite, Register, ResetKind, register_bits};
use crate::snapshot::{self, RestoreError};

/// Message Control, +2.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct MsixControl {
    /// Number of vectors minus one.
    #[bits(11)]
    pub table_size: u16,
    #[bits(3)]
    __: u8,
    pub function_mask: bool,
    pub enable: bool,
}

register_bits!(MsixControl: u16);

const CONTROL_DWORD: usize = 0;
const ENTRY_SIZE: u64 = 16;
const VECTOR_CONTROL: usize = 3;
const MASK: u32 = 1;

/// The `[capabilities.msix]` table of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct MsixConfig {
    /// Offset in config space.
    pub offset: Option<u16>,
    /// Number of vectors, 1 to 2048.
    pub vectors: u16,
    /// BAR that holds the table.
    pub table_bar: u8,
    /// Offset of the table in that BAR, a multiple of 8.
    pub table_offset: u32,
    /// BAR that holds the Pending Bit Array. If absent, the BAR of the table.
    pub pba_bar: Option<u8>,
    /// Offset of the Pending Bit Array in its BAR, a multiple of 8. If absent, after the table, at
    /// a multiple of 2 KiB.
    pub pba_offset: Option<u32>,
}

impl Default for MsixConfig {
    fn default() -> Self {
        Self {
            offset: None,
            vectors: 1,
            table_bar: 4,
            table_offset: 0,
            pba_bar: None,
            pba_offset: None,
        }
    }
}

/// The mistake in an [`MsixConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MsixConfigError {
    /// The number of vectors is not in 1 to 2048.
    #[error("{0} vectors: MSI-X has 1 to 2048")]
    Vectors(u16),
    /// The BAR of the table or PBA does not exist.
    #[error("BAR {bar} does not exist; {key} is 0 to 5")]
    Bar {
        /// Key at fault.
        key: &'static str,
        /// Requested BAR.
        bar: u8,
    },
    /// The offset is not a multiple of 8. Its low three bits hold the BAR.
    #[error("{offset:#x} is not a multiple of 8")]
    Unaligned {
        /// Key at fault.
        key: &'static str,
        /// Requested offset.
        offset: u32,
    },
    /// Table and PBA overlap. They may share pages but not bytes.
    #[error(
        "the Pending Bit Array at {pba:#x} overlaps the table, which ends at {table_end:#x}; move it behind"
    )]
    Overlap {
        /// Offset of the PBA.
        pba: u32,
        /// End of the table.
        table_end: u64,
    },
}

impl MsixConfigError {
    /// Returns the key at fault.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Vectors(_) => "vectors",
            Self::Bar { key, .. } | Self::Unaligned { key, .. } => key,
            Self::Overlap { .. } => "pba-offset",
        }
    }
}

/// A range of a BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// BAR index.
    pub bar: u8,
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl Extent {
    fn dword(&self, bar: u8, offset: u64) -> Option<usize> {
        (bar == self.bar && (self.start..self.end).contains(&offset))
            .then(|| ((offset - self.start) / 4) as usize)
    }
}

/// A DWORD of the table or of the Pending Bit Array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MsixRegister {
    /// DWORD of the table.
    Table(usize),
    /// DWORD of the PBA.
    Pba(usize),
}

/// The MSI-X capability of a function.
#[derive(Debug)]
pub struct Msix {
    registers: Block,
    table: Extent,
    pba: Extent,
    /// The table, four DWORDs per entry.
    entries: Vec<u32>,
    pending: Vec<u64>,
    /// Vectors that the client has opened beside the table, one bit each.
    open: Vec<u64>,
    /// Software has written the table.
    table_written: bool,
}

impl Msix {
    /// Creates the capability, disabled and with every vector masked.
    ///
    /// # Errors
    /// [`MsixConfigError`] with the wrong key.
    pub fn new(config: &MsixConfig) -> Result<Self, MsixConfigError> {
        let MsixConfig {
            offset: _,
            vectors,
            table_bar,
            table_offset,
            pba_bar,
            pba_offset,
        } = *config;
        if vectors == 0 || vectors > 2048 {
            return Err(MsixConfigError::Vectors(vectors));
        }
        let table_end = u64::from(table_offset) + ENTRY_SIZE * u64::from(vectors);
        let pba_bar = pba_bar.unwrap_or(table_bar);
        let pba_offset = pba_offset.unwrap_or(table_end.next_multiple_of(0x800) as u32);
        for (key, bar) in [("table-bar", table_bar), ("pba-bar", pba_bar)] {
            if usize::from(bar) >= MAX_BARS {
                return Err(MsixConfigError::Bar { key, bar });
            }
        }
        for (key, offset) in [("table-offset", table_offset), ("pba-offset", pba_offset)] {
            if offset % 8 != 0 {
                return Err(MsixConfigError::Unaligned { key, offset });
            }
        }
        let words = usize::from(vectors).div_ceil(64);
        let table = Extent {
            bar: table_bar,
            start: u64::from(table_offset),
            end: table_end,
        };
        let pba = Extent {
            bar: pba_bar,
            start: u64::from(pba_offset),
            end: u64::from(pba_offset) + 8 * words as u64,
        };
        if table.bar == pba.bar && table.start < pba.end && pba.start < table.end {
            return Err(MsixConfigError::Overlap {
                pba: pba_offset,
                table_end,
            });
        }
        let control =
            Register::new(MsixControl::new().with_table_size(vectors - 1)).rw(MsixControl::new()
                .with_function_mask(true)
                .with_enable(true));
        let mut msix = Self {
            registers: Block::new([
                Dword::new().with(2, control),
                Dword::read_only(table_offset | u32::from(table_bar)),
                Dword::read_only(pba_offset | u32::from(pba_bar)),
            ]),
            table,
            pba,
            entries: vec![0; 4 * usize::from(vectors)],
            pending: vec![0; words],
            open: vec![0; words],
            table_written: false,
        };
        msix.reset_table();
        Ok(msix)
    }

    fn control(&self) -> MsixControl {
        self.registers.get(CONTROL)
    }

    fn reset_table(&mut self) {
        self.pending.fill(0);
        for entry in self.entries.chunks_exact_mut(4) {
            entry.copy_from_slice(&[0, 0, 0, MASK]);
        }
    }

    /// Returns MSI-X Enable.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.control().enable()
    }

    /// Returns Function Mask.
    #[must_use]
    pub fn function_masked(&self) -> bool {
        self.control().function_mask()
    }

    /// Returns the number of vectors in the table.
    #[must_use]
    pub fn vectors(&self) -> u16 {
        self.control().table_size() + 1
    }

    /// Returns the range of the table.
    #[must_use]
    pub const fn table_extent(&self) -> Extent {
        self.table
    }

    /// Returns the range of the Pending Bit Array.
    #[must_use]
    pub const fn pba_extent(&self) -> Extent {
        self.pba
    }

    /// Returns whether table or PBA lie in `bar`.
    #[must_use]
    pub const fn uses_bar(&self, bar: u8) -> bool {
        self.table.bar == bar || self.pba.bar == bar
    }

    /// Returns the register at the DWORD-aligned `offset` of `bar`, if table or PBA lie there.
    #[must_use]
    pub fn window(&self, bar: u8, offset: u64) -> Option<MsixRegister> {
        self.table
            .dword(bar, offset)
            .map(MsixRegister::Table)
            .or_else(|| self.pba.dword(bar, offset).map(MsixRegister::Pba))
    }

    /// Returns the DWORD at `offset` of a BAR, if it belongs to the table or the PBA.
    #[must_use]
    pub fn value_at(&self, bar: u8, offset: u64) -> Option<u32> {
        self.window(bar, offset)
            .map(|register| self.table_read(register))
    }

    /// Reads a DWORD of table or PBA.
    #[must_use]
    pub fn table_read(&self, register: MsixRegister) -> u32 {
        match register {
            MsixRegister::Table(index) => self.entries.get(index).copied().unwrap_or(0),
            MsixRegister::Pba(index) => {
                let word = self.pending.get(index / 2).copied().unwrap_or(0);
                (word >> (32 * (index % 2))) as u32
            }
        }
    }

    /// Writes a DWORD of the table. The PBA ignores writes. Returns whether a mask bit changed.
    pub fn table_write(&mut self, register: MsixRegister, write: DwordWrite) -> bool {
        let MsixRegister::Table(index) = register else {
            return false;
        };
        let Some(dword) = self.entries.get_mut(index) else {
            return false;
        };
        let writable = match index % 4 {
            0 => 0xffff_fffc,
            VECTOR_CONTROL => MASK,
            _ => u32::MAX,
        };
        self.table_written = true;
        let before = *dword;
        *dword = (before & !writable) | (write.merge(before) & writable);
        index % 4 == VECTOR_CONTROL && *dword != before
    }

    /// Returns whether the table masks `vector`. A vector that does not exist is masked.
    #[must_use]
    pub fn vector_masked(&self, vector: u16) -> bool {
        self.entries
            .get(4 * usize::from(vector) + VECTOR_CONTROL)
            .is_none_or(|control| control & MASK != 0)
    }

    /// Masks or unmasks `vector` in the table.
    pub fn set_vector_masked(&mut self, vector: u16, masked: bool) {
        if let Some(control) = self
            .entries
            .get_mut(4 * usize::from(vector) + VECTOR_CONTROL)
        {
            *control = (*control & !MASK) | u32::from(masked);
        }
    }

    /// Opens or closes `vector` beside the table.
    pub fn set_open(&mut self, vector: u16, open: bool) {
        set_bit(&mut self.open, vector, open);
    }

    /// Closes all vectors and forgets that the table was written, for another client.
    pub fn release(&mut self) {
        self.open.fill(0);
        self.table_written = false;
    }

    /// Returns whether messages of `vector` may go: the table does not mask it, or nobody uses the
    /// table and the client has opened the vector.
    fn lets_through(&self, vector: u16) -> bool {
        let word = self.open.get(usize::from(vector) / 64);
        let open = word.is_some_and(|word| word >> (vector % 64) & 1 == 1);
        open && !self.table_written || !self.vector_masked(vector)
    }

    fn set_pending(&mut self, vector: u16, pending: bool) {
        set_bit(&mut self.pending, vector, pending);
    }

    /// Raises `vector` and returns it if its message goes out now. A masked vector becomes pending,
    /// and so does one that cannot be sent without bus mastering.
    pub fn raise(&mut self, vector: u16, bus_master: bool) -> Option<u16> {
        if !self.enabled() || vector >= self.vectors() {
            return None;
        }
        if bus_master && !self.function_masked() && self.lets_through(vector) {
            return Some(vector);
        }
        self.set_pending(vector, true);
        None
    }

    /// Loses the content of table and Pending Bit Array, and closes the vectors that a client opened
    /// beside the table: they were programmed there.
    pub(crate) fn lose_table(&mut self) {
        self.reset_table();
        self.open.fill(0);
    }

    /// Withdraws `vector`, whose cause has gone: a message that is not sent yet will not be sent.
    pub fn withdraw(&mut self, vector: u16) {
        self.set_pending(vector, false);
    }

    /// Removes and returns a pending vector whose message can go now.
    pub fn next_pending(&mut self, bus_master: bool) -> Option<u16> {
        if !self.enabled() || !bus_master || self.function_masked() {
            return None;
        }
        let vector = (0_u16..).zip(&self.pending).find_map(|(index, word)| {
            let bits = (0..64).filter(|bit| word >> bit & 1 == 1);
            bits.map(|bit| 64 * index + bit)
                .find(|vector| self.lets_through(*vector))
        })?;
        self.set_pending(vector, false);
        Some(vector)
    }
}

fn set_bit(words: &mut [u64], vector: u16, set: bool) {
    if let Some(word) = words.get_mut(usize::from(vector) / 64) {
        let bit = 1 << (vector % 64);
        *word = if set { *word | bit } else { *word & !bit };
    }
}

/// The saved state of the capability. The places of table and PBA are in the profile.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedMsix {
    registers: Vec<u32>,
    entries: Vec<u32>,
    pending: Vec<u64>,
    #[serde(default)]
    table_written: bool,
}

impl Capability for Msix {
    fn id(&self) -> CapabilityId {
        CapabilityId::Conventional(ConventionalId::Msix)
    }

    fn name(&self) -> &'static str {
        "msix"
    }

    fn registers(&self) -> &Block {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Block {
        &mut self.registers
    }

    fn write(&mut self, index: usize, write: DwordWrite, effects: &mut Vec<ConfigEffect>) {
        let changed = self.registers.write(index, write).changed();
        if index == CONTROL_DWORD && changed != 0 {
            effects.push(ConfigEffect::Messages);
        }
    }

    fn reset(&mut self, kind: ResetKind) {
        self.registers.reset(kind);
        self.reset_table();
    }

    fn save(&self) -> Value {
        let Self {
            registers,
            table: _,
            pba: _,
            entries,
            pending,
            // Clients open them again.
            open: _,
            table_written,
        } = self;
        snapshot::tree(&SavedMsix {
            registers: registers.values(),
            entries: entries.clone(),
            pending: pending.clone(),
            table_written: *table_written,
        })
    }

    fn restore(
        &mut self,
        at: &str,
        saved: &Value,
        _: &mut Vec<ConfigEffect>,
    ) -> Result<(), RestoreError> {
        let SavedMsix {
            registers,
            entries,
            pending,
            table_written,
        } = snapshot::read(at, saved)?;
        if entries.len() != self.entries.len() || pending.len() != self.pending.len() {
            let vectors = self.vectors();
            let reason = format!("the table is not that of {vectors} vectors");
            return Err(RestoreError::part(at, reason));
        }
        self.registers.set_values(at, &registers)?;
        self.entries = entries;
        self.pending = pending;
        self.table_written = table_written;
        Ok(())
    }

    fn inspect(&self) -> Value {
        let vectors = |keep: &dyn Fn(u16) -> bool| -> Vec<u16> {
            (0..self.vectors()).filter(|vector| keep(*vector)).collect()
        };
        let is_pending = |vector: u16| {
            let word = self.pending.get(usize::from(vector) / 64);
            word.is_some_and(|word| word >> (vector % 64) & 1 == 1)
        };
        json!({
            "enable": self.enabled(),
            "function_mask": self.function_masked(),
            "vectors": self.vectors(),
            "unmasked": vectors(&|vector| self.lets_through(vector)),
            "pending": vectors(&is_pending),
        })
    }
}

#[cfg(test)]
mod tests;
