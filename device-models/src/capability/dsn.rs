//! Device Serial Number extended capability, id 0003h (PCIe Base §7.9.3).
//!
//! | offset | register | attributes |
//! |---|---|---|
//! | +4 | Serial Number, lower DWORD | read-only |
//! | +8 | Serial Number, upper DWORD | read-only |

use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::{Capability, CapabilityId};
use crate::pci::ExtendedId;
use crate::register::{Block, Dword};

/// A serial number: the table `[capabilities.dsn]` of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DsnConfig {
    /// Byte offset in config space.
    pub offset: Option<u16>,
    /// EUI-64 as lspci prints it, highest byte first: `"00-1b-21-ff-ff-aa-bb-cc"`.
    pub serial: String,
}

/// The text is not a serial number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("\"{serial}\" is not a serial number; write eight bytes as \"00-1b-21-ff-ff-aa-bb-cc\"")]
pub struct DsnConfigError {
    /// The text.
    pub serial: String,
}

impl DsnConfigError {
    /// Returns the key of the table at fault.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        "serial"
    }
}

/// The serial number of a device.
#[derive(Debug)]
pub struct DeviceSerialNumber {
    registers: Block,
}

impl DeviceSerialNumber {
    /// Creates the capability.
    ///
    /// # Errors
    /// The serial number is not eight hexadecimal bytes joined by dashes.
    pub fn new(config: &DsnConfig) -> Result<Self, DsnConfigError> {
        let serial = parse(&config.serial).ok_or_else(|| DsnConfigError {
            serial: config.serial.clone(),
        })?;
        Ok(Self {
            registers: Block::new([
                Dword::new(),
                Dword::read_only(serial as u32),
                Dword::read_only((serial >> 32) as u32),
            ]),
        })
    }

    /// Returns the EUI-64.
    #[must_use]
    pub fn serial(&self) -> u64 {
        u64::from(self.registers.read(2)) << 32 | u64::from(self.registers.read(1))
    }
}

fn parse(text: &str) -> Option<u64> {
    let mut bytes = [0; 8];
    let mut digits = text.split('-');
    for byte in &mut bytes {
        let pair = digits.next().filter(|pair| {
            pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit())
        })?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    digits.next().is_none().then(|| u64::from_be_bytes(bytes))
}

impl Capability for DeviceSerialNumber {
    fn id(&self) -> CapabilityId {
        CapabilityId::Extended {
            id: ExtendedId::DeviceSerialNumber,
            version: 1,
        }
    }

    fn name(&self) -> &'static str {
        "device-serial-number"
    }

    fn registers(&self) -> &Block {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Block {
        &mut self.registers
    }

    registers_are_the_state!();

    fn inspect(&self) -> Value {
        let bytes = self
            .serial()
            .to_be_bytes()
            .map(|byte| format!("{byte:02x}"));
        json!({ "serial": bytes.join("-") })
    }
}

#[cfg(test)]
mod tests;
