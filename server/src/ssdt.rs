//! The ACPI tables that give the functions of a slot a power resource, through which a guest switches the
//! slot's power.
//!
//! | table | power is switched by | wake events |
//! |---|---|---|
//! | [`Letters`] | letters written to an I/O port, which the VMM forwards to [`crate::ServedSlot::rail`] | do not reach the guest |
//! | [`Controller`] | registers of a platform controller ([`crate::Server::add_controller`]) | reach the guest as notifications |
//!
//! In both tables `_ON` waits until the function may be accessed: Linux itself does not wait after a
//! function's own power resource was turned on.
//!
//! ```
//! use dormouse::ssdt::{Letters, ON_DELAY};
//!
//! let table = Letters::new(r"\_SB.PCI0.S08.S00".parse()?, 0x403, ON_DELAY).table();
//! assert!(table.starts_with(b"SSDT"));
//! # Ok::<(), String>(())
//! ```

mod aml;
mod controller;
mod letters;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use controller::{Controller, ControllerError, SlotSpec};
pub use letters::{Letters, OFF, ON};

use aml::NameString;

/// Time that `_ON` waits unless another one is chosen: the 100 ms of PCI Express (PCIe Base §6.6.1), and
/// room for two clocks that differ and for the switch to be served.
pub const ON_DELAY: Duration = Duration::from_millis(120);

/// A device in the ACPI namespace, from the root: `\_SB.PCI0.S08.S00`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePath {
    name: NameString,
    text: String,
}

impl FromStr for DevicePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |what: &str| {
            format!(
                "'{text}' is not a device path: {what}; write it from the root, such as \
                 \\_SB.PCI0.S08.S00"
            )
        };
        let names = text
            .strip_prefix('\\')
            .ok_or_else(|| wrong("it does not begin with \\"))?;
        let name = NameString::from_root(names).ok_or_else(|| {
            wrong(
                "a name has 1 to 4 capital letters, digits and _, and does not begin with a digit",
            )
        })?;
        Ok(Self {
            name,
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for DevicePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Length of the header of a system description table (ACPI, `DESCRIPTION_HEADER`).
const HEADER: usize = 36;
/// Offset of its checksum.
const CHECKSUM: usize = 9;

/// The deepest system sleep state in which the resource must stay on.
const SYSTEM_LEVEL: u8 = 4;
/// D3cold, as `_S0W` has it.
const D3COLD: u32 = 4;

/// Returns the statements of `_ON` that wait.
fn wait(on_delay: Duration) -> aml::Aml {
    match u32::try_from(on_delay.as_millis()).unwrap_or(u32::MAX) {
        0 => Vec::new(),
        milliseconds => aml::sleep(milliseconds),
    }
}

fn with_header(body: &[u8]) -> Vec<u8> {
    let mut table = Vec::with_capacity(HEADER + body.len());
    // The body has some names and a few hundred bytes for each slot besides.
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    table.extend(b"SSDT");
    table.extend(length.to_le_bytes());
    // From revision 2 on, integers have 64 bits.
    table.push(2);
    table.push(0);
    table.extend(b"DORMSE");
    table.extend(b"SLOTPWR\0");
    table.extend(1_u32.to_le_bytes());
    table.extend(b"DORM");
    table.extend(1_u32.to_le_bytes());
    table.extend(body);
    let sum = table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    if let Some(checksum) = table.get_mut(CHECKSUM) {
        *checksum = sum.wrapping_neg();
    }
    table
}

#[cfg(test)]
mod tests;
