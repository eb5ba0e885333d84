//! The table for a guest that switches the power of a slot by letters.

use std::time::Duration;

use super::aml::{self, Aml, NameString};
use super::{D3COLD, DevicePath, SYSTEM_LEVEL, wait, with_header};

/// Byte that the power resource writes to turn the slot's power on.
pub const ON: u8 = b'N';
/// Byte that it writes to turn the slot's power off.
pub const OFF: u8 = b'F';

/// A table whose power resource writes a letter and a newline to an I/O port. In ASL it reads
///
/// ```text
/// DefinitionBlock ("", "SSDT", 2, "DORMSE", "SLOTPWR", 1)
/// {
///     External (PATH, DeviceObj)
///     Scope (PATH)
///     {
///         OperationRegion (RAIL, SystemIO, PORT, One) // beside PATH, its first letter an R
///         Field (RAIL, ByteAcc, NoLock, Preserve) { LETT, 8 }
///         Name (ISON, One)
///         PowerResource (SLOT, 4, 0)
///         {
///             Method (_STA, 0, NotSerialized) { Return (ISON) }
///             Method (_ON, 0, Serialized) { ISON = One, LETT = 'N', LETT = '\n', Sleep (ON_DELAY) }
///             Method (_OFF, 0, Serialized) { ISON = Zero, LETT = 'F', LETT = '\n' }
///         }
///         Name (_PR0, Package (1) { SLOT })
///         Name (_PR3, Package (1) { SLOT })
///         Name (_S0W, 4)
///     }
/// }
/// ```
///
/// All objects except the region are in the device's own scope, so that tables of several devices do not
/// conflict. A driver may watch firmware's accesses to I/O ports in the scope of its device, as Linux's
/// i2c-i801 does. It would then wait for itself when it wakes the device. No driver watches the scope around
/// its device.
#[derive(Clone, Debug)]
pub struct Letters {
    path: DevicePath,
    port: u16,
    on_delay: Duration,
}

impl Letters {
    /// Creates the table for the device at `path`, with its letters going to I/O port `port`. `_ON` waits
    /// for `on_delay`, in whole milliseconds.
    #[must_use]
    pub const fn new(path: DevicePath, port: u16, on_delay: Duration) -> Self {
        Self {
            path,
            port,
            on_delay,
        }
    }

    /// Returns the bytes of the table.
    #[must_use]
    pub fn table(&self) -> Vec<u8> {
        let path = &self.path.name;
        let body = [
            aml::external_devices(vec![path.clone()]),
            aml::scope(path, &self.objects(path)),
        ]
        .concat();
        with_header(&body)
    }

    fn objects(&self, path: &NameString) -> Aml {
        let region = path.beside();
        let [letter, is_on, resource] = [*b"LETT", *b"ISON", *b"SLOT"].map(NameString::from);
        let switch = |name: &[u8; 4], state: u32, code: u8, delay: Aml| {
            let body = [
                aml::store(&aml::integer(state), &is_on.encode()),
                aml::store(&aml::integer(code.into()), &letter.encode()),
                aml::store(&aml::integer(b'\n'.into()), &letter.encode()),
                delay,
            ];
            aml::method(&(*name).into(), 0, aml::Serialized::Yes, &body.concat())
        };
        let status = aml::method(
            &(*b"_STA").into(),
            0,
            aml::Serialized::No,
            &aml::return_value(&is_on.encode()),
        );
        let methods = [
            status,
            switch(b"_ON_", 1, ON, wait(self.on_delay)),
            switch(b"_OFF", 0, OFF, Aml::new()),
        ];
        let needed = aml::package(&[resource.encode()]);
        [
            aml::region(
                &region,
                aml::Space::SystemIo,
                &aml::integer(self.port.into()),
                1,
            ),
            aml::field(&region, aml::Access::Byte, &[(0, letter)]),
            aml::name(&is_on, &aml::integer(1)),
            aml::power_resource(&resource, SYSTEM_LEVEL, &methods.concat()),
            aml::name(&(*b"_PR0").into(), &needed),
            aml::name(&(*b"_PR3").into(), &needed),
            aml::name(&(*b"_S0W").into(), &aml::integer(D3COLD)),
        ]
        .concat()
    }
}
