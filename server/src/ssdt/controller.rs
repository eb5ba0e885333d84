//! The table for a guest that reaches the power of its slots through a platform controller.

use std::str::FromStr;
use std::time::Duration;

use pci_device_models::model::controller::{registers, slot_key};
use pci_device_models::slot::FunctionNumber;
use thiserror::Error;

use super::aml::{self, Access, Aml, NameString, Serialized, Space};
use super::{D3COLD, DevicePath, SYSTEM_LEVEL, wait, with_header};

/// A slot of a [`Controller`] table: `NAME=PATH`, or `NAME=PATH:0,1,…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotSpec {
    name: String,
    port: DevicePath,
    functions: Vec<FunctionNumber>,
}

impl FromStr for SlotSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |what: &str| {
            format!(
                "'{text}': {what}; write NAME=PATH, where NAME is the slot and PATH the port above it, \
                 such as gpu=\\_SB.PCI0.S08, and after a colon the functions if there is more than 0, such \
                 as gpu=\\_SB.PCI0.S08:0,1"
            )
        };
        let (name, place) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| wrong("it names no slot"))?;
        let (path, numbers) = place.split_once(':').unwrap_or((place, "0"));
        let number = |text: &str| {
            let number = text.parse::<u8>().ok();
            number.and_then(|number| FunctionNumber::try_from(number).ok())
        };
        let functions: Option<Vec<_>> = numbers.split(',').map(number).collect();
        let mut functions =
            functions.ok_or_else(|| wrong("a function has a number from 0 to 7"))?;
        functions.sort_unstable();
        functions.dedup();
        Ok(Self {
            name: name.to_owned(),
            port: path.parse()?,
            functions,
        })
    }
}

/// No table can be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ControllerError {
    /// The controller's interrupt is not known.
    #[error(
        "the interrupt of the controller at {path} is not known: its last name is not that of a \
         device 0 to 23 of q35's root bus, such as S28; give the interrupt with --gsi"
    )]
    Interrupt {
        /// The controller.
        path: DevicePath,
    },
    /// Two slots cannot be told apart.
    #[error(
        "the slots '{}' and '{}' have the same name or key; give one of them another name", names[0], names[1]
    )]
    SlotNames {
        /// The names of the slots.
        names: [String; 2],
    },
    /// Two slots are below the same port.
    #[error("two slots are below {path}; a port has one slot")]
    SamePort {
        /// The port.
        path: DevicePath,
    },
    /// There are more slots than general-purpose events for their functions.
    #[error("{count} slots; a table has at most {most}")]
    TooMany {
        /// The number of slots.
        count: usize,
        /// The maximum.
        most: usize,
    },
}

/// The first general-purpose event for `_PRW`: QEMU's q35 has 64 and uses the first ones.
const FIRST_EVENT: u32 = 0x10;
/// Number of general-purpose events from that on.
const EVENTS: usize = 0x30;
/// The deepest system sleep state from which wake events are signalled: the working state.
const WAKES_FROM: u32 = 0;
/// The first interrupt of q35's root bus (GSI E to H of the chipset).
const FIRST_GSI: u32 = 20;
/// Notification of a device: wake.
const DEVICE_WAKE: u32 = 2;
/// Command of config space: Memory Space Enable.
const MEMORY_SPACE: u32 = 2;
/// Command and BAR0 in the region over config space, which begins at Command.
const CONFIG: (u32, u32) = (4, 0x10);

/// Operations of the method `DREG`.
#[derive(Clone, Copy)]
enum Operation {
    /// Returns whether main power is on.
    Power,
    /// Switches main power.
    Switch,
    /// Returns the functions that woke, and forgets that they did.
    TakeWakes,
    /// Has wake events of functions recorded.
    Enable,
    /// Has them ignored.
    Disable,
    /// Returns the key of a slot with a wake event.
    Woken,
}

/// A table that uses the registers of a platform controller. In ASL, for one slot with one function, it
/// reads
///
/// ```text
/// DefinitionBlock ("", "SSDT", 2, "DORMSE", "SLOTPWR", 1)
/// {
///     External (CONTROLLER, DeviceObj) // and so on
///     Scope (CONTROLLER)
///     {
///         OperationRegion (DCFG, PCI_Config, 4, 0x10)
///         Field (DCFG, WordAcc, NoLock, Preserve) { DCMD, 16 }
///         Field (DCFG, DWordAcc, NoLock, Preserve) { Offset (0x0c), DBAR, 32 }
///         Method (DREG, 3, Serialized) // KEY, operation, value
///         {
///             DCMD |= 2
///             Local0 = DBAR & 0xfffffff0
///             If (Local0 == Zero) { Return (Zero) }
///             OperationRegion (DMEM, SystemMemory, Local0, 0x20)
///             Field (DMEM, DWordAcc, NoLock, Preserve) { … }
///             … // the operation
///         }
///     }
///     Device (GED) // beside CONTROLLER, its first letter an R
///     {
///         Name (_HID, "ACPI0013")
///         Name (_CRS, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { GSI } })
///         Method (_EVT, 1, Serialized) { … } // for each function that woke: Notify (PORT.S00, 2)
///     }
///     Scope (PORT)
///     {
///         PowerResource (DPWR, 4, 0)
///         {
///             Method (_STA, 0, NotSerialized) { Return (CONTROLLER.DREG (KEY, 0, 0)) }
///             Method (_ON, 0, Serialized) { CONTROLLER.DREG (KEY, 1, 1), Sleep (ON_DELAY) }
///             Method (_OFF, 0, Serialized) { CONTROLLER.DREG (KEY, 1, 0) }
///         }
///     }
///     Scope (PORT.S00)
///     {
///         Name (_PR0, Package (1) { PORT.DPWR })
///         Name (_PR3, Package (1) { PORT.DPWR })
///         Name (_S0W, 4)
///         Name (_PRW, Package (2) { EVENT, 0 })
///         Method (_DSW, 3, Serialized) { … } // has wake events recorded or ignored
///     }
/// }
/// ```
///
/// The method reads the BAR at each call, since the operating system may move it. It enables Memory Space
/// itself, since firmware may leave it off for a function without a driver.
#[derive(Clone, Debug)]
pub struct Controller {
    path: DevicePath,
    gsi: u32,
    slots: Vec<SlotSpec>,
    on_delay: Duration,
}

impl Controller {
    /// Creates the table for the controller at `path` and these slots. `gsi` is the controller's interrupt,
    /// which is otherwise that of pin A at its place on q35's root bus. `_ON` waits for `on_delay`, in
    /// whole milliseconds.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub fn new(
        path: DevicePath,
        gsi: Option<u32>,
        slots: Vec<SlotSpec>,
        on_delay: Duration,
    ) -> Result<Self, ControllerError> {
        let Some(gsi) = gsi.or_else(|| root_bus_gsi(&path)) else {
            return Err(ControllerError::Interrupt { path });
        };
        if slots.len() > EVENTS {
            return Err(ControllerError::TooMany {
                count: slots.len(),
                most: EVENTS,
            });
        }
        for (index, slot) in slots.iter().enumerate() {
            for other in slots.iter().take(index) {
                if slot_key(&other.name) == slot_key(&slot.name) {
                    return Err(ControllerError::SlotNames {
                        names: [other.name.clone(), slot.name.clone()],
                    });
                }
                if other.port == slot.port {
                    let path = slot.port.clone();
                    return Err(ControllerError::SamePort { path });
                }
            }
        }
        Ok(Self {
            path,
            gsi,
            slots,
            on_delay,
        })
    }

    /// Returns the bytes of the table.
    #[must_use]
    pub fn table(&self) -> Vec<u8> {
        let mut devices = vec![self.path.name.clone()];
        for slot in &self.slots {
            devices.push(slot.port.name.clone());
            devices.extend(slot.devices().map(|(_, path)| path));
        }
        let mut body = aml::external_devices(devices);
        body.extend(aml::scope(&self.path.name, &registers_methods()));
        body.extend(aml::device(&self.path.name.beside(), &self.event_device()));
        for (slot, event) in self.slots.iter().zip(FIRST_EVENT..) {
            let resource = self.power_resource(slot);
            body.extend(aml::scope(&slot.port.name, &resource));
            for (number, path) in slot.devices() {
                let objects = self.function(slot, number, event);
                body.extend(aml::scope(&path, &objects));
            }
        }
        with_header(&body)
    }

    /// Returns a call of the method `DREG`.
    fn operate(&self, key: &[u8], operation: Operation, value: u32) -> Aml {
        let method = self.path.name.child(*b"DREG");
        let operation = aml::integer(operation as u32);
        aml::call(&method, &[key.to_vec(), operation, aml::integer(value)])
    }

    fn event_device(&self) -> Aml {
        let [key, woken] = [aml::local(0), aml::local(1)];
        let mut each = [
            aml::store(&self.operate(&aml::integer(0), Operation::Woken, 0), &key),
            aml::if_then(&aml::equal(&key, &aml::integer(0)), &aml::leave_loop()),
            aml::store(&self.operate(&key, Operation::TakeWakes, 0), &woken),
        ]
        .concat();
        for slot in &self.slots {
            let mut notifications = Aml::new();
            for (number, path) in slot.devices() {
                let bit = aml::and(&woken, &aml::integer(bit(number)), None);
                notifications.extend(aml::if_then(&bit, &aml::notify(&path, DEVICE_WAKE)));
            }
            let selected = aml::equal(&key, &aml::integer(slot_key(&slot.name)));
            each.extend(aml::if_then(&selected, &notifications));
        }
        [
            aml::name(&(*b"_HID").into(), &aml::string("ACPI0013")),
            aml::name(&(*b"_UID").into(), &aml::integer(self.gsi)),
            aml::name(&(*b"_CRS").into(), &aml::level_interrupt(self.gsi)),
            aml::method(&(*b"_EVT").into(), 1, Serialized::Yes, &aml::forever(&each)),
        ]
        .concat()
    }

    fn power_resource(&self, slot: &SlotSpec) -> Aml {
        let key = aml::integer(slot_key(&slot.name));
        let switch = |on| self.operate(&key, Operation::Switch, on);
        let status = aml::return_value(&self.operate(&key, Operation::Power, 0));
        let on = [switch(1), wait(self.on_delay)].concat();
        let methods = [
            aml::method(&(*b"_STA").into(), 0, Serialized::No, &status),
            aml::method(&(*b"_ON_").into(), 0, Serialized::Yes, &on),
            aml::method(&(*b"_OFF").into(), 0, Serialized::Yes, &switch(0)),
        ];
        aml::power_resource(&(*b"DPWR").into(), SYSTEM_LEVEL, &methods.concat())
    }

    fn function(&self, slot: &SlotSpec, number: FunctionNumber, event: u32) -> Aml {
        let key = aml::integer(slot_key(&slot.name));
        let needed = aml::package(&[slot.port.name.child(*b"DPWR").encode()]);
        let set = |operation| self.operate(&key, operation, bit(number));
        let sleep_wake = [
            aml::if_then(&aml::argument(0), &set(Operation::Enable)),
            aml::otherwise(&set(Operation::Disable)),
        ];
        [
            aml::name(&(*b"_PR0").into(), &needed),
            aml::name(&(*b"_PR3").into(), &needed),
            aml::name(&(*b"_S0W").into(), &aml::integer(D3COLD)),
            aml::name(
                &(*b"_PRW").into(),
                &aml::package(&[aml::integer(event), aml::integer(WAKES_FROM)]),
            ),
            aml::method(&(*b"_DSW").into(), 3, Serialized::Yes, &sleep_wake.concat()),
        ]
        .concat()
    }
}

impl SlotSpec {
    /// Returns the functions with their paths: `S00` below the port is function 0 of device 0.
    fn devices(&self) -> impl Iterator<Item = (FunctionNumber, NameString)> {
        self.functions.iter().map(|number| {
            let name = [b'S', b'0', b'0' + u8::from(*number), b'_'];
            (*number, self.port.name.child(name))
        })
    }
}

fn bit(number: FunctionNumber) -> u32 {
    1 << u8::from(number)
}

/// Returns the interrupt of pin A of a device 0 to 23 on q35's root bus, whose ACPI name is an S and
/// device × 8 + function in hex.
fn root_bus_gsi(path: &DevicePath) -> Option<u32> {
    let [b'S', high, low, b'_'] = path.name.last() else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let device = (digit(high)? * 16 + digit(low)?) / 8;
    (device < 24).then_some(FIRST_GSI + device % 4)
}

/// Returns the objects of the controller's scope, by which the others reach its registers.
fn registers_methods() -> Aml {
    let [config, memory] = [*b"DCFG", *b"DMEM"].map(NameString::from);
    let [command, bar] = [*b"DCMD", *b"DBAR"].map(NameString::from);
    let [woken, slot, rail, wakes, enable] =
        [*b"DWOK", *b"DSLT", *b"DRAI", *b"DWAK", *b"DWEN"].map(NameString::from);
    let [key, operation, value] = [0, 1, 2].map(aml::argument);
    let (base, result) = (aml::local(0), aml::local(1));
    let on = |wanted: Operation, body: Aml| {
        aml::if_then(&aml::equal(&operation, &aml::integer(wanted as u32)), &body)
    };
    let at = |offset: u64| u32::try_from(offset).unwrap_or(u32::MAX);
    let units = [
        (at(registers::WOKEN), woken.clone()),
        (at(registers::SLOT), slot.clone()),
        (at(registers::RAIL), rail.clone()),
        (at(registers::WAKE), wakes.clone()),
        (at(registers::WAKE_ENABLE), enable.clone()),
    ];
    let length = at(registers::WAKE_ENABLE) + 4;
    let body = [
        aml::or(
            &command.encode(),
            &aml::integer(MEMORY_SPACE),
            &command.encode(),
        ),
        aml::and(&bar.encode(), &aml::integer(0xffff_fff0), Some(&base)),
        aml::if_then(
            &aml::equal(&base, &aml::integer(0)),
            &aml::return_value(&aml::integer(0)),
        ),
        aml::region(&memory, Space::SystemMemory, &base, length),
        aml::field(&memory, Access::Dword, &units),
        on(Operation::Woken, aml::return_value(&woken.encode())),
        aml::store(&key, &slot.encode()),
        on(Operation::Switch, aml::store(&value, &rail.encode())),
        on(
            Operation::TakeWakes,
            [
                aml::store(&wakes.encode(), &result),
                aml::store(&result, &wakes.encode()),
                aml::return_value(&result),
            ]
            .concat(),
        ),
        on(
            Operation::Enable,
            aml::or(&enable.encode(), &value, &enable.encode()),
        ),
        on(
            Operation::Disable,
            [
                aml::not(&value, &result),
                aml::and(&enable.encode(), &result, Some(&enable.encode())),
            ]
            .concat(),
        ),
        // The read also waits for a write before it to be performed.
        aml::return_value(&rail.encode()),
    ];
    let (at_command, at_bar) = CONFIG;
    [
        aml::region(
            &config,
            Space::PciConfig,
            &aml::integer(at_command),
            at_bar + 4 - at_command,
        ),
        aml::field(&config, Access::Word, &[(0, command)]),
        aml::field(&config, Access::Dword, &[(at_bar - at_command, bar)]),
        aml::method(&(*b"DREG").into(), 3, Serialized::Yes, &body.concat()),
    ]
    .concat()
}
