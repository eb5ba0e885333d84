//! Message Signalled Interrupts, id 05h (PCIe Base §7.7.1, §6.1.4).
//!
//! | offset | 32-bit | 32-bit, mask | 64-bit | 64-bit, mask |
//! |---|---|---|---|---|
//! | +2 | Message Control | Message Control | Message Control | Message Control |
//! | +4 | Address | Address | Address, low half | Address, low half |
//! | +8 | Data | Data | Address, high half | Address, high half |
//! | +C | | Mask | Data | Data |
//! | +10 | | Pending | | Mask |
//! | +14 | | | | Pending |

use bitfield_struct::bitfield;
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::{Capability, CapabilityId};
use crate::config::ConfigEffect;
use crate::pci::ConventionalId;
use crate::pci::msi::CONTROL;
use crate::register::{Block, Dword, DwordWrite, Register, register_bits};
use crate::snapshot::{self, RestoreError};

/// Message Control, +2.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct MsiControl {
    pub enable: bool,
    /// Number of vectors that the function can use, as a power of two.
    #[bits(3)]
    pub multiple_message_capable: u8,
    /// Number of vectors that software allocated, as a power of two.
    #[bits(3)]
    pub multiple_message_enable: u8,
    pub address_64: bool,
    pub per_vector_masking: bool,
    #[bits(7)]
    __: u8,
}

register_bits!(MsiControl: u16);

const CONTROL_DWORD: usize = 0;

/// The `[capabilities.msi]` table of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct MsiConfig {
    /// Offset in config space.
    pub offset: Option<u16>,
    /// Number of vectors: 1, 2, 4, 8, 16 or 32.
    pub vectors: u16,
    /// The address has 64 bits, which is mandatory for a PCI Express endpoint that is not a legacy
    /// one.
    pub address_64: bool,
    /// The capability has mask and pending bits.
    pub per_vector_mask: bool,
}

impl Default for MsiConfig {
    fn default() -> Self {
        Self {
            offset: None,
            vectors: 1,
            address_64: true,
            per_vector_mask: false,
        }
    }
}

/// The mistake in an [`MsiConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MsiConfigError {
    /// The number of vectors is not a permitted power of two.
    #[error("{0} vectors: MSI has 1, 2, 4, 8, 16 or 32")]
    Vectors(u16),
}

impl MsiConfigError {
    /// Returns the key at fault.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Vectors(_) => "vectors",
        }
    }
}

/// The MSI capability of a function.
#[derive(Debug)]
pub struct Msi {
    registers: Block,
    /// Byte offset of the Mask register; Pending follows it.
    mask: Option<usize>,
}

impl Msi {
    /// Creates the capability, disabled.
    ///
    /// # Errors
    /// [`MsiConfigError`] with the wrong key.
    pub fn new(config: &MsiConfig) -> Result<Self, MsiConfigError> {
        let MsiConfig {
            offset: _,
            vectors,
            address_64,
            per_vector_mask,
        } = *config;
        if !vectors.is_power_of_two() || vectors > 32 {
            return Err(MsiConfigError::Vectors(vectors));
        }
        let control = Register::new(
            MsiControl::new()
                .with_multiple_message_capable(vectors.trailing_zeros() as u8)
                .with_address_64(address_64)
                .with_per_vector_masking(per_vector_mask),
        )
        .rw(MsiControl::new()
            .with_enable(true)
            .with_multiple_message_enable(0b111));
        let mut dwords = vec![
            Dword::new().with(2, control),
            Dword::new().with(0, Register::new(0_u32).rw(0xffff_fffc)),
        ];
        if address_64 {
            dwords.push(Dword::new().with(0, Register::new(0_u32).rw(u32::MAX)));
        }
        dwords.push(Dword::new().with(0, Register::new(0_u16).rw(u16::MAX)));
        let mask = per_vector_mask.then(|| {
            let at = 4 * dwords.len();
            let implemented = u32::MAX >> (32 - u32::from(vectors));
            dwords.push(Dword::new().with(0, Register::new(0_u32).rw(implemented)));
            dwords.push(Dword::new());
            at
        });
        Ok(Self {
            registers: Block::new(dwords),
            mask,
        })
    }

    fn control(&self) -> MsiControl {
        self.registers.get(CONTROL)
    }

    /// Returns MSI Enable.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.control().enable()
    }

    /// Returns the number of vectors that the function can use.
    #[must_use]
    pub fn vectors(&self) -> u16 {
        1 << self.control().multiple_message_capable()
    }

    /// Returns the number of vectors that software allocated.
    #[must_use]
    pub fn allocated(&self) -> u16 {
        1 << self.control().multiple_message_enable()
    }

    fn masked(&self) -> u32 {
        self.mask.map_or(0, |mask| self.registers.get(mask))
    }

    fn pending(&self) -> u32 {
        self.mask.map_or(0, |mask| self.registers.get(mask + 4))
    }

    fn set_pending(&mut self, pending: u32) {
        if let Some(mask) = self.mask {
            self.registers.set(mask + 4, pending);
        }
    }

    /// Raises `vector` and returns the vector whose message goes out now. Vectors beyond the
    /// allocated ones share those. A masked vector becomes pending. A vector that cannot be sent
    /// without bus mastering becomes pending too, or is lost if there are no pending bits.
    pub fn raise(&mut self, vector: u16, bus_master: bool) -> Option<u16> {
        if !self.enabled() {
            return None;
        }
        let vector = vector % self.allocated();
        let bit = 1_u32 << vector;
        if bus_master && self.masked() & bit == 0 {
            return Some(vector);
        }
        self.set_pending(self.pending() | bit);
        None
    }

    fn clamp_allocation(&mut self) {
        let control = self.control();
        if control.multiple_message_enable() > control.multiple_message_capable() {
            let clamped = control.with_multiple_message_enable(control.multiple_message_capable());
            self.registers.set(CONTROL, clamped);
        }
    }

    /// Withdraws `vector`, whose cause has gone: a message that is not sent yet will not be sent.
    pub fn withdraw(&mut self, vector: u16) {
        let bit = 1_u32 << (vector % self.allocated());
        self.set_pending(self.pending() & !bit);
    }

    /// Removes and returns a pending vector whose message can go now.
    pub fn next_pending(&mut self, bus_master: bool) -> Option<u16> {
        if !self.enabled() || !bus_master {
            return None;
        }
        let ready = self.pending() & !self.masked();
        if ready == 0 {
            return None;
        }
        let vector = ready.trailing_zeros();
        self.set_pending(self.pending() & !(1 << vector));
        Some(vector as u16)
    }
}

impl Capability for Msi {
    fn id(&self) -> CapabilityId {
        CapabilityId::Conventional(ConventionalId::Msi)
    }

    fn name(&self) -> &'static str {
        "msi"
    }

    fn registers(&self) -> &Block {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Block {
        &mut self.registers
    }

    /// Handles a write. Software cannot allocate more vectors than the function has: Multiple
    /// Message Enable is clamped, which the specification leaves undefined.
    fn write(&mut self, index: usize, write: DwordWrite, effects: &mut Vec<ConfigEffect>) {
        let changed = self.registers.write(index, write).changed();
        self.clamp_allocation();
        let is_mask = self.mask == Some(4 * index);
        if changed != 0 && (index == CONTROL_DWORD || is_mask) {
            effects.push(ConfigEffect::Messages);
        }
    }

    fn save(&self) -> Value {
        let Self { registers, mask: _ } = self;
        registers.save()
    }

    fn restore(
        &mut self,
        at: &str,
        saved: &Value,
        _: &mut Vec<ConfigEffect>,
    ) -> Result<(), RestoreError> {
        let values: Vec<u32> = snapshot::read(at, saved)?;
        let could_hold = |(dword, value): (&Dword, &u32)| dword.could_hold(*value);
        if !self.registers.iter().zip(&values).take(1).all(could_hold) {
            let reason = "Message Control is not that of this capability";
            return Err(RestoreError::part(at, reason));
        }
        self.registers.set_values(at, &values)?;
        self.clamp_allocation();
        Ok(())
    }

    fn inspect(&self) -> Value {
        let control = self.control();
        json!({
            "enable": control.enable(),
            "vectors": self.vectors(),
            "allocated": self.allocated(),
            "address_64": control.address_64(),
            "per_vector_masking": control.per_vector_masking(),
            "masked": self.masked(),
            "pending": self.pending(),
        })
    }
}

#[cfg(test)]
mod tests;
