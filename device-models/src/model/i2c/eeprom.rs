//! A serial EEPROM like the 24C02: 256 bytes, written in pages of eight. It stores at once, without
//! the write cycle of a real one.

use serde::{Deserialize, Serialize};

use super::Target;
use crate::snapshot::{hex, unhex};

const SIZE: usize = 256;
const PAGE: u8 = 8;

/// The cells, all ones when new.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Cells([u8; SIZE]);

impl TryFrom<String> for Cells {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bytes = unhex("cells", &text).map_err(|error| error.to_string())?;
        let cells = bytes.try_into();
        cells
            .map(Self)
            .map_err(|bytes: Vec<u8>| format!("{} bytes instead of {SIZE}", bytes.len()))
    }
}

impl From<Cells> for String {
    fn from(Cells(cells): Cells) -> Self {
        hex(&cells)
    }
}

/// The memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Eeprom {
    cells: Cells,
    /// The word address counter.
    address: u8,
    /// The next byte written is the word address.
    addressing: bool,
}

impl Default for Eeprom {
    fn default() -> Self {
        Self {
            cells: Cells([0xff; SIZE]),
            address: 0,
            addressing: false,
        }
    }
}

impl Target for Eeprom {
    fn start(&mut self) {
        self.addressing = true;
    }

    fn write(&mut self, byte: u8) -> bool {
        if std::mem::take(&mut self.addressing) {
            self.address = byte;
        } else {
            // Eight bits of address reach every cell and none beyond.
            self.cells.0[usize::from(self.address)] = byte;
            let in_page = self.address.wrapping_add(1) % PAGE;
            self.address = self.address / PAGE * PAGE + in_page;
        }
        true
    }

    fn read(&mut self) -> u8 {
        let byte = self.cells.0[usize::from(self.address)];
        self.address = self.address.wrapping_add(1);
        byte
    }
}
