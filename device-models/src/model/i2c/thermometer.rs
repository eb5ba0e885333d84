//! A thermometer like the LM75: four registers behind a pointer, the high byte first.

use serde::{Deserialize, Serialize};

use super::Target;

/// One register: its value after power-on and the bits that can be written.
struct Register {
    reset: u16,
    rw: u16,
}

/// Temperature (here always 25 °C), Configuration (one byte, the high one here), T_HYST (75 °C), T_OS (80 °C).
const REGISTERS: [Register; 4] = [
    Register {
        reset: 0x1900,
        rw: 0,
    },
    Register {
        reset: 0x0000,
        rw: 0x1f00,
    },
    Register {
        reset: 0x4b00,
        rw: 0xff80,
    },
    Register {
        reset: 0x5000,
        rw: 0xff80,
    },
];
const CONFIGURATION: u8 = 1;

/// The thermometer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Thermometer {
    registers: [u16; REGISTERS.len()],
    pointer: u8,
    /// The next byte written is the pointer.
    pointing: bool,
    /// The next byte is the low one of its register.
    low: bool,
}

impl Default for Thermometer {
    fn default() -> Self {
        Self {
            registers: REGISTERS.map(|register| register.reset),
            pointer: 0,
            pointing: false,
            low: false,
        }
    }
}

impl Thermometer {
    /// Returns the pointed register and the position of the next byte in it, and advances.
    fn next(&mut self) -> (u32, usize) {
        let shift = if self.low { 0 } else { 8 };
        self.low = !self.low && self.pointer != CONFIGURATION;
        (shift, usize::from(self.pointer) % REGISTERS.len())
    }
}

impl Target for Thermometer {
    fn start(&mut self) {
        self.pointing = true;
        self.low = false;
    }

    fn write(&mut self, byte: u8) -> bool {
        if std::mem::take(&mut self.pointing) {
            self.pointer = byte % REGISTERS.len() as u8;
            return true;
        }
        let (shift, index) = self.next();
        let rw = REGISTERS[index].rw & 0xff << shift;
        self.registers[index] = self.registers[index] & !rw | u16::from(byte) << shift & rw;
        true
    }

    fn read(&mut self) -> u8 {
        let (shift, index) = self.next();
        (self.registers[index] >> shift) as u8
    }
}
