//! An I²C bus, which can also be an SMBus, and its targets: a memory and a thermometer.
//!
//! A controller drives the wires byte by byte. The targets have a supply of their own: no power
//! state and no reset of a controller's function affects them.
//!
//! # Examples
//!
//! ```
//! use pci_device_models::model::i2c::{Bus, THERMOMETER};
//!
//! let mut bus = Bus::default();
//! // Register 0 is the temperature in °C, the high byte first.
//! assert!(bus.message(THERMOMETER, [0], true));
//! assert_eq!([bus.read(), bus.read()], [25, 0]);
//! bus.stop();
//! ```

mod eeprom;
mod thermometer;

use serde::{Deserialize, Serialize};

use eeprom::Eeprom;
use thermometer::Thermometer;

/// 7-bit address of the EEPROM, a 24C02 with its address pins at 0.
pub const EEPROM: u8 = 0x50;
/// 7-bit address of the thermometer, an LM75 with its address pins at 0.
pub const THERMOMETER: u8 = 0x48;

/// A target on the bus.
trait Target {
    /// Begins a message for the target, which acknowledges its address.
    fn start(&mut self);
    /// Sends a byte to the target. Returns whether it acknowledges.
    fn write(&mut self, byte: u8) -> bool;
    /// Returns a byte from the target.
    fn read(&mut self) -> u8;
}

/// The wires with their targets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bus {
    eeprom: Eeprom,
    thermometer: Thermometer,
    /// The target of the current message.
    selected: Option<u8>,
    /// Number of bytes on the wires since [`Self::take_bytes`].
    bytes: u32,
}

impl Bus {
    /// Sends START, or START again, and an address byte. Returns whether a target acknowledges.
    pub fn start(&mut self, address: u8) -> bool {
        self.bytes = self.bytes.saturating_add(1);
        self.selected = Some(address);
        self.selected().map(Target::start).is_some()
    }

    /// Sends a byte to the target. Returns whether it acknowledges.
    pub fn write(&mut self, byte: u8) -> bool {
        self.bytes = self.bytes.saturating_add(1);
        self.selected().is_some_and(|target| target.write(byte))
    }

    /// Receives a byte from the target. Wires that no target pulls down read ones.
    pub fn read(&mut self) -> u8 {
        self.bytes = self.bytes.saturating_add(1);
        self.selected().map_or(0xff, Target::read)
    }

    /// Sends START, the address and `bytes`, if there is anything to send; then START again if the
    /// target is to send next. Returns whether the target acknowledges all of it.
    pub fn message(
        &mut self,
        address: u8,
        bytes: impl IntoIterator<Item = u8>,
        reads: bool,
    ) -> bool {
        let mut bytes = bytes.into_iter().peekable();
        let silent = reads && bytes.peek().is_none();
        let taken = silent || self.start(address) && bytes.all(|byte| self.write(byte));
        taken && (!reads || self.start(address))
    }

    /// Sends STOP.
    pub fn stop(&mut self) {
        self.selected = None;
    }

    /// Returns and clears the number of bytes that went over the wires.
    pub fn take_bytes(&mut self) -> u32 {
        std::mem::take(&mut self.bytes)
    }

    fn selected(&mut self) -> Option<&mut dyn Target> {
        match self.selected? {
            EEPROM => Some(&mut self.eeprom),
            THERMOMETER => Some(&mut self.thermometer),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
