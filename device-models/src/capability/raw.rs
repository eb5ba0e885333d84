//! A structure given as bytes: one for which this crate has no model, or one that real functions
//! have in config space without a pointer to it.

use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::{Capability, CapabilityId};
use crate::pci::{ConventionalId, ExtendedId};
use crate::register::{Block, Dword, Register};

/// A structure as bytes: one element of the array `[[capabilities.raw]]` of a profile.
///
/// Byte 0 of `bytes` and of every mask is the first one after the list header: +2 in the
/// conventional list, +4 in the extended one, +0 without a header. Masks may be shorter than `bytes`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawConfig {
    /// The structure's name, for people.
    pub name: String,
    /// Capability id; at most 0xff in the conventional list.
    pub id: u16,
    /// The structure belongs to the extended list.
    pub extended: bool,
    /// Version of an extended capability, 0 to 15.
    pub version: u8,
    /// Byte offset in config space.
    pub offset: Option<u16>,
    /// The list leads to the structure.
    pub linked: bool,
    /// The structure starts with a list header. One without a header is registers of the device's
    /// own, to which no list leads.
    pub header: bool,
    /// Reset values.
    pub bytes: Vec<u8>,
    /// Bits that software reads and writes.
    pub rw: Vec<u8>,
    /// Bits that software clears by writing one.
    pub rw1c: Vec<u8>,
    /// Bits that only a fundamental reset changes.
    pub sticky: Vec<u8>,
    /// Bits that FLR keeps although they are not sticky.
    pub kept_by_flr: Vec<u8>,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            id: 0,
            extended: false,
            version: 1,
            offset: None,
            linked: true,
            header: true,
            bytes: Vec::new(),
            rw: Vec::new(),
            rw1c: Vec::new(),
            sticky: Vec::new(),
            kept_by_flr: Vec::new(),
        }
    }
}

/// Reasons for which bytes do not form a capability.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RawConfigError {
    /// The id does not fit the eight bits of the conventional list.
    #[error(
        "id {id:#x} does not fit the conventional list; set extended = true or an id up to 0xff"
    )]
    Id {
        /// Requested id.
        id: u16,
    },
    /// The structure has an id but no header to hold it.
    #[error("id {id:#x} has no place without a list header; leave id or header = false out")]
    NoHeader {
        /// Requested id.
        id: u16,
    },
    /// The version does not fit four bits.
    #[error("version {version} does not fit four bits; at most 15")]
    Version {
        /// Requested version.
        version: u8,
    },
    /// A mask reaches beyond the bytes.
    #[error("{mask} has {len} bytes for a structure of {bytes}; shorten it or give more bytes")]
    MaskTooLong {
        /// The mask.
        mask: &'static str,
        /// Its length.
        len: usize,
        /// Length of the structure.
        bytes: usize,
    },
    /// A bit is both storage and cleared by writing one.
    #[error(
        "byte {at} is both RW and RW1C in the bits {bits:#04x}; clear them in one of the masks"
    )]
    Overlap {
        /// Index in `bytes`.
        at: usize,
        /// The bits.
        bits: u8,
    },
}

impl RawConfigError {
    /// Returns the key of the table at fault.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Id { .. } | Self::NoHeader { .. } => "id",
            Self::Version { .. } => "version",
            Self::MaskTooLong { mask, .. } => mask,
            Self::Overlap { .. } => "rw1c",
        }
    }
}

/// A structure given as bytes.
#[derive(Debug)]
pub struct Raw {
    id: CapabilityId,
    given_name: String,
    registers: Block,
}

impl Raw {
    /// Creates the structure.
    ///
    /// # Errors
    /// Id, version or a mask does not fit.
    pub fn new(config: &RawConfig) -> Result<Self, RawConfigError> {
        let id = id(config)?;
        for (mask, bytes) in [
            ("rw", &config.rw),
            ("rw1c", &config.rw1c),
            ("sticky", &config.sticky),
            ("kept-by-flr", &config.kept_by_flr),
        ] {
            if bytes.len() > config.bytes.len() {
                return Err(RawConfigError::MaskTooLong {
                    mask,
                    len: bytes.len(),
                    bytes: config.bytes.len(),
                });
            }
        }
        let mut registers = Vec::with_capacity(config.bytes.len());
        for (at, byte) in config.bytes.iter().enumerate() {
            let of = |mask: &[u8]| mask.get(at).copied().unwrap_or(0);
            let (rw, rw1c) = (of(&config.rw), of(&config.rw1c));
            let bits = rw & rw1c;
            if bits != 0 {
                return Err(RawConfigError::Overlap { at, bits });
            }
            registers.push(
                Register::new(*byte)
                    .rw(rw)
                    .rw1c(rw1c)
                    .sticky(of(&config.sticky))
                    .kept_by_flr(of(&config.kept_by_flr)),
            );
        }
        let header = match id {
            CapabilityId::Conventional(_) => 2,
            CapabilityId::Extended { .. } => 4,
            CapabilityId::DeviceSpecific { .. } => 0,
        };
        Ok(Self {
            id,
            given_name: config.name.clone(),
            registers: byte_block(header, registers),
        })
    }
}

fn id(config: &RawConfig) -> Result<CapabilityId, RawConfigError> {
    let RawConfig { id, version, .. } = *config;
    if version > 15 {
        return Err(RawConfigError::Version { version });
    }
    if !config.header {
        return match id {
            0 => Ok(CapabilityId::DeviceSpecific {
                extended: config.extended,
            }),
            id => Err(RawConfigError::NoHeader { id }),
        };
    }
    if config.extended {
        let id = ExtendedId::of(id);
        Ok(CapabilityId::Extended { id, version })
    } else {
        u8::try_from(id)
            .map(|id| CapabilityId::Conventional(ConventionalId::of(id)))
            .map_err(|_| RawConfigError::Id { id })
    }
}

/// Creates a block of single bytes after a list header of `header` bytes.
pub(super) fn byte_block(
    header: usize,
    registers: impl IntoIterator<Item = Register<u8>>,
) -> Block {
    let mut dwords = vec![Dword::new()];
    for (position, register) in (header..).zip(registers) {
        if position / 4 == dwords.len() {
            dwords.push(Dword::new());
        }
        if let Some(dword) = dwords.last_mut() {
            *dword = std::mem::take(dword).with((position % 4) as u32, register);
        }
    }
    Block::new(dwords)
}

/// Returns the registers of `block` as hexadecimal DWORDs, for structures without a finer view.
pub(super) fn hex_dwords(block: &Block) -> Vec<String> {
    block
        .iter()
        .map(|dword| format!("{:08x}", dword.value()))
        .collect()
}

impl Capability for Raw {
    fn id(&self) -> CapabilityId {
        self.id
    }

    /// Returns the same name for all. The profile's name is in [`Self::inspect`].
    fn name(&self) -> &'static str {
        "raw"
    }

    fn registers(&self) -> &Block {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Block {
        &mut self.registers
    }

    registers_are_the_state!(id, given_name);

    fn inspect(&self) -> Value {
        json!({
            "name": self.given_name,
            "id": self.id,
            "dwords": hex_dwords(&self.registers),
        })
    }
}

#[cfg(test)]
mod tests;
