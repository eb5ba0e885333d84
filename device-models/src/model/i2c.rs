//! An I²C bus, as an SMBus is one, and what hangs on it: a memory and a thermometer.
//!
//! A controller says what it does to the wires, byte by byte. The targets are on a supply of their own: no power state
//! and no reset of a controller's function touches them.

mod eeprom;
mod thermometer;

use serde::{Deserialize, Serialize};

use eeprom::Eeprom;
use thermometer::Thermometer;

/// 7-bit address of the EEPROM, a 24C02 with its address pins at 0.
pub const EEPROM: u8 = 0x50;
/// 7-bit address of the thermometer, an LM75 with its address pins at 0.
pub const THERMOMETER: u8 = 0x48;

/// What answers on the bus.
trait Target {
    /// A message for it begins. It acknowledges its address.
    fn start(&mut self);
    /// A byte for it. Returns whether it acknowledges.
    fn write(&mut self, byte: u8) -> bool;
    /// A byte from it.
    fn read(&mut self) -> u8;
}

/// The wires with their targets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bus {
    eeprom: Eeprom,
    thermometer: Thermometer,
    /// Whom the message at hand is for.
    selected: Option<u8>,
    /// Bytes on the wires since [`Self::take_bytes`].
    bytes: u32,
}

impl Bus {
    /// START, or START again, and an address byte. Returns whether somebody acknowledges.
    pub fn start(&mut self, address: u8) -> bool {
        self.bytes = self.bytes.saturating_add(1);
        self.selected = Some(address);
        self.selected().map(Target::start).is_some()
    }

    /// A byte to the target. Returns whether it acknowledges.
    pub fn write(&mut self, byte: u8) -> bool {
        self.bytes = self.bytes.saturating_add(1);
        self.selected().is_some_and(|target| target.write(byte))
    }

    /// A byte from the target. Wires that nobody pulls down read ones.
    pub fn read(&mut self) -> u8 {
        self.bytes = self.bytes.saturating_add(1);
        self.selected().map_or(0xff, Target::read)
    }

    /// START, the address and `bytes`, if there is anything to send; then START again if the target is to
    /// send next. Returns whether it acknowledges all that.
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

    /// STOP.
    pub fn stop(&mut self) {
        self.selected = None;
    }

    /// How many bytes went over the wires since this was asked last.
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
