//! Vendor-Specific capability, id 09h (PCIe Base §7.9.4).
//!
//! | offset | register | attributes |
//! |---|---|---|
//! | +2 | Length of the whole capability in bytes | read-only |
//! | +3 | the vendor's own | as the profile says |

use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::raw::{byte_block, hex_dwords};
use super::{Capability, CapabilityId};
use crate::pci::ConventionalId;
use crate::pci::vendor_specific::{BODY, LENGTH};
use crate::register::{Block, Register};

/// A vendor's bytes: the table `[capabilities.vendor]` of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct VendorConfig {
    /// Byte offset in config space.
    pub offset: Option<u16>,
    /// Reset values from +3 on.
    pub bytes: Vec<u8>,
    /// Bits that software reads and writes; may be shorter than `bytes`.
    pub rw: Vec<u8>,
}

/// Reasons for which a vendor's bytes do not form a capability.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VendorConfigError {
    /// The length does not fit its byte.
    #[error("{len} bytes and the header exceed the length byte; at most {}", u8::MAX as usize - BODY)]
    TooLong {
        /// Bytes given.
        len: usize,
    },
    /// The mask reaches beyond the bytes.
    #[error("rw has {len} bytes for {bytes} bytes; shorten it or give more bytes")]
    MaskTooLong {
        /// Length of the mask.
        len: usize,
        /// Bytes given.
        bytes: usize,
    },
}

impl VendorConfigError {
    /// Returns the key of the table at fault.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "bytes",
            Self::MaskTooLong { .. } => "rw",
        }
    }
}

/// A vendor-specific capability.
#[derive(Debug)]
pub struct VendorSpecific {
    registers: Block,
}

impl VendorSpecific {
    /// Creates the capability.
    ///
    /// # Errors
    /// There are more bytes than the length register can express, or more mask bytes than bytes.
    pub fn new(config: &VendorConfig) -> Result<Self, VendorConfigError> {
        let (len, mask) = (config.bytes.len(), config.rw.len());
        let length = u8::try_from(BODY + len).map_err(|_| VendorConfigError::TooLong { len })?;
        if mask > len {
            return Err(VendorConfigError::MaskTooLong {
                len: mask,
                bytes: len,
            });
        }
        let masks = config.rw.iter().copied().chain(std::iter::repeat(0));
        let bytes = config
            .bytes
            .iter()
            .zip(masks)
            .map(|(byte, rw)| Register::new(*byte).rw(rw));
        let registers = std::iter::once(Register::new(length)).chain(bytes);
        Ok(Self {
            registers: byte_block(LENGTH, registers),
        })
    }
}

impl Capability for VendorSpecific {
    fn id(&self) -> CapabilityId {
        CapabilityId::Conventional(ConventionalId::VendorSpecific)
    }

    fn name(&self) -> &'static str {
        "vendor-specific"
    }

    fn registers(&self) -> &Block {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Block {
        &mut self.registers
    }

    registers_are_the_state!();

    fn inspect(&self) -> Value {
        json!({
            "length": self.registers.get::<u8>(LENGTH),
            "dwords": hex_dwords(&self.registers),
        })
    }
}

#[cfg(test)]
mod tests;
