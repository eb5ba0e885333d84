//! The ACPI table that gives a device a power resource, through which a guest switches the slot's power.
//!
//! The methods of the power resource write a letter and a newline to an I/O port. The VMM forwards these
//! bytes to [`crate::ServedSlot::rail`]. In ASL the table reads
//!
//! ```text
//! DefinitionBlock ("", "SSDT", 2, "DORMSE", "SLOTPWR", 1)
//! {
//!     External (PATH, DeviceObj)
//!     Scope (PATH)
//!     {
//!         OperationRegion (RAIL, SystemIO, PORT, One) // beside PATH, its first letter an R
//!         Field (RAIL, ByteAcc, NoLock, Preserve) { LETT, 8 }
//!         Name (ISON, One)
//!         PowerResource (SLOT, 4, 0)
//!         {
//!             Method (_STA, 0, NotSerialized) { Return (ISON) }
//!             Method (_ON, 0, Serialized) { ISON = One, LETT = 'N', LETT = '\n' }
//!             Method (_OFF, 0, Serialized) { ISON = Zero, LETT = 'F', LETT = '\n' }
//!         }
//!         Name (_PR0, Package (1) { SLOT })
//!         Name (_PR3, Package (1) { SLOT })
//!         Name (_S0W, 4)
//!     }
//! }
//! ```
//!
//! All objects except the region are in the device's own scope, so that tables of several devices do not
//! conflict. A driver may watch firmware's accesses to I/O ports in the scope of its device, as Linux's
//! i2c-i801 does. It would then wait for itself when it wakes the device. No driver watches the scope around
//! its device.

mod aml;

use std::str::FromStr;

use aml::{Aml, NameString};

/// A device in the ACPI namespace, from the root: `\_SB.PCI0.S08.S00`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePath(NameString);

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
        NameString::from_root(names).map(Self).ok_or_else(|| {
            wrong(
                "a name has 1 to 4 capital letters, digits and _, and does not begin with a digit",
            )
        })
    }
}

/// Byte that the power resource writes to turn the slot's power on.
pub const ON: u8 = b'N';
/// Byte that it writes to turn the slot's power off.
pub const OFF: u8 = b'F';

/// Length of the header of a system description table (ACPI, `DESCRIPTION_HEADER`).
const HEADER: usize = 36;
/// Offset of its checksum.
const CHECKSUM: usize = 9;

/// The table for the device at `path`, with its letters going to I/O port `port`.
#[must_use]
pub fn table(path: &DevicePath, port: u16) -> Vec<u8> {
    let DevicePath(path) = path;
    let body = [
        aml::external_device(path),
        aml::scope(path, &objects(path, port)),
    ]
    .concat();
    with_header(&body)
}

fn objects(path: &NameString, port: u16) -> Aml {
    let region = path.beside();
    let [letter, is_on, resource] = [*b"LETT", *b"ISON", *b"SLOT"].map(NameString::from);
    let switch = |name: &[u8; 4], state: u8, code: u8| {
        let body = [
            aml::store(&aml::integer(state.into()), &is_on),
            aml::store(&aml::integer(code.into()), &letter),
            aml::store(&aml::integer(b'\n'.into()), &letter),
        ];
        aml::method(&(*name).into(), aml::Serialized::Yes, &body.concat())
    };
    let status = aml::method(
        &(*b"_STA").into(),
        aml::Serialized::No,
        &aml::return_name(&is_on),
    );
    let methods = [status, switch(b"_ON_", 1, ON), switch(b"_OFF", 0, OFF)];
    let needed = aml::package_of_name(&resource);
    [
        aml::io_region(&region, port, 1),
        aml::byte_field(&region, &letter),
        aml::name(&is_on, &aml::integer(1)),
        aml::power_resource(&resource, SYSTEM_LEVEL, &methods.concat()),
        aml::name(&(*b"_PR0").into(), &needed),
        aml::name(&(*b"_PR3").into(), &needed),
        aml::name(&(*b"_S0W").into(), &aml::integer(D3COLD)),
    ]
    .concat()
}

/// The deepest system sleep state in which the resource must stay on.
const SYSTEM_LEVEL: u8 = 4;
/// D3cold, as `_S0W` has it.
const D3COLD: u16 = 4;

fn with_header(body: &[u8]) -> Vec<u8> {
    let mut table = Vec::with_capacity(HEADER + body.len());
    // The body has a few names of the path and some hundred bytes besides.
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
