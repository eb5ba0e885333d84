//! Capabilities in config space: the writable bits of their registers.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Source::{LibvfioUser, Linux};
use super::config::{MSIX, PCI_EXPRESS, find, walk};
use super::subject::Subject;
use super::{Check, Outcome, check, holds, skip};
use crate::raw::RawClient;
use crate::raw::wire::{field_u16, field_u32, region};

/// Ids of capabilities.
const POWER_MANAGEMENT: u8 = 1;
const MSI: u8 = 5;
const VENDOR_SPECIFIC: u8 = 9;
/// Id of an extended capability.
const SERIAL_NUMBER: u16 = 3;
/// Times that software has to wait after a return to D0, and after a reset.
const RECOVERY: Duration = Duration::from_millis(10);
const AFTER_RESET: Duration = Duration::from_millis(100);

pub(super) const CHECKS: &[Check] = &[
    check(
        "config.capability-headers",
        Linux,
        "A write to the header of a capability changes nothing, whether it is refused or not",
        |s| {
            let mut client = s.attach()?;
            let space = s.config_space(&mut client)?;
            for (id, at) in walk(&space)? {
                unchanged(&mut client, at, &space[at..at + 2])
                    .map_err(|error| error.context(format!("capability {id:#x}")))?;
            }
            holds()
        },
    ),
    check(
        "config.extended-capability-headers",
        LibvfioUser,
        "A write to the header of an extended capability changes nothing, nor does one to a serial number",
        |s| {
            let mut client = s.attach()?;
            let space = s.config_space(&mut client)?;
            let found = walk_extended(&space)?;
            if found.is_empty() {
                return skip("there are no extended capabilities");
            }
            for (id, at) in found {
                let len = if id == SERIAL_NUMBER { 12 } else { 4 };
                unchanged(&mut client, at, &space[at..at + len])
                    .map_err(|error| error.context(format!("extended capability {id:#x}")))?;
            }
            holds()
        },
    ),
    check(
        "config.power-state",
        LibvfioUser,
        "D3hot is entered and left by writes of 2 bytes to PMCSR, and reads back each time",
        |s| {
            with(s, POWER_MANAGEMENT, |client, at| {
                let pmcsr = at + 4;
                let before = word(client, pmcsr)? & 0x7fff & !0b11;
                for state in [0b11, 0] {
                    write(client, pmcsr, before | state)?;
                    sleep(RECOVERY);
                    let seen = word(client, pmcsr)? & 0b11;
                    ensure!(seen == state, "PowerState is {seen}, {state} was written");
                }
                holds()
            })
        },
    ),
    check(
        "config.flr",
        LibvfioUser,
        "Initiate Function Level Reset, if the device has it, resets the function, and reads 0",
        |s| {
            with(s, PCI_EXPRESS, |client, at| {
                let (capabilities, control) = (at + 4, at + 8);
                if word(client, capabilities + 2)? & 1 << 12 == 0 {
                    return skip("the device has no Function Level Reset");
                }
                write(client, 4, 0b110)?;
                let before = word(client, control)?;
                write(client, control, before | 1 << 15)?;
                sleep(AFTER_RESET);
                let (command, after) = (word(client, 4)?, word(client, control)?);
                ensure!(command & 0b111 == 0, "Command reads {command:#x} after it");
                ensure!(after & 1 << 15 == 0, "Device Control reads {after:#x}");
                holds()
            })
        },
    ),
    check(
        "config.msi-control",
        LibvfioUser,
        "The read-only bits of MSI Message Control cannot be written",
        |s| {
            with(s, MSI, |client, at| {
                // Multiple Message Capable, 64 bits, masking.
                fixed(client, at + 2, 0b1_1000_1110)
            })
        },
    ),
    check(
        "config.msix-control",
        LibvfioUser,
        "Of MSI-X Message Control only the two highest bits can be written",
        |s| with(s, MSIX, |client, at| fixed(client, at + 2, 0x3fff)),
    ),
    check(
        "config.msi-too-many",
        LibvfioUser,
        "More MSI vectors enabled than there are do not make them more, whether that is refused or not",
        |s| {
            with(s, MSI, |client, at| {
                let control = at + 2;
                let before = word(client, control)?;
                let capable = before >> 1 & 0b111;
                if capable >= 0b101 {
                    return skip("the device has as many as there can be");
                }
                let enabled = before & !0b111_0000 | (capable + 1) << 4;
                client.region_write(region::CONFIG, control as u64, &enabled.to_le_bytes())?;
                let after = word(client, control)?;
                write(client, control, before)?;
                let now = after >> 1 & 0b111;
                ensure!(
                    now == capable,
                    "it was capable of 2^{capable}, now of 2^{now}"
                );
                holds()
            })
        },
    ),
    check(
        "config.power-state-by-byte",
        LibvfioUser,
        "A write of PMCSR's lower byte alone changes the power state, or is refused and changes nothing",
        |s| {
            with(s, POWER_MANAGEMENT, |client, at| {
                let pmcsr = at + 4;
                let before = word(client, pmcsr)?;
                let state = [before as u8 & !0b11 | 0b11];
                let written = client.region_write(region::CONFIG, pmcsr as u64, &state)?;
                sleep(RECOVERY);
                let after = word(client, pmcsr)?;
                write(client, pmcsr, before & 0x7fff)?;
                sleep(RECOVERY);
                let expected = if written.errno().is_none() {
                    0b11
                } else {
                    before & 0b11
                };
                let seen = after & 0b11;
                ensure!(seen == expected, "PowerState is {seen}, and not {expected}");
                holds()
            })
        },
    ),
    check(
        "config.pci-express-2",
        LibvfioUser,
        "The writable bits of Device Control 2 and Link Control 2 read back as written",
        |s| {
            with(s, PCI_EXPRESS, |client, at| {
                if word(client, at + 2)? & 0xf < 2 {
                    return skip("the capability has no such registers");
                }
                for register in [at + 0x28, at + 0x30] {
                    let before = word(client, register)?;
                    write(client, register, !before)?;
                    let other = word(client, register)?;
                    for value in [before, other, before] {
                        write(client, register, value)?;
                        let seen = word(client, register)?;
                        ensure!(seen == value, "{value:#x} at {register:#x} reads {seen:#x}");
                    }
                }
                holds()
            })
        },
    ),
    check(
        "config.vendor-capability",
        LibvfioUser,
        "A byte of a vendor-specific capability takes the written value or stays; no other byte of it changes",
        |s| {
            with(s, VENDOR_SPECIFIC, |client, at| {
                let len = u32::from(client.read(region::CONFIG, at as u64 + 2, 1)?[0]);
                if len < 4 {
                    return skip("there is nothing in it");
                }
                let before = client.read(region::CONFIG, at as u64, len)?;
                let inverted = [!before[3]];
                client.region_write(region::CONFIG, at as u64 + 3, &inverted)?;
                let after = client.read(region::CONFIG, at as u64, len)?;
                client.region_write(region::CONFIG, at as u64 + 3, &before[3..4])?;
                let mut taken = before.clone();
                taken[3] = inverted[0];
                ensure!(
                    after == before || after == taken,
                    "{before:x?} became {after:x?}"
                );
                holds()
            })
        },
    ),
];

/// Runs a check with a client of a device with that capability and its offset, and restores the
/// device's header afterwards.
fn with(s: &Subject, id: u8, body: fn(&mut RawClient, usize) -> Outcome) -> Outcome {
    let mut client = s.attach()?;
    let space = s.config_space(&mut client)?;
    let Some(at) = find(&space, id)? else {
        return skip("the device has no such capability");
    };
    let outcome = body(&mut client, at);
    for register in [0x10..0x28, 0x30..0x34, 0x3c..0x3d, 0x04..0x06] {
        let (at, value) = (register.start as u64, &space[register]);
        client.write(region::CONFIG, at, value)?;
    }
    outcome
}

/// Checks that a write of the opposite values does not change these bits of a register. The other
/// bits keep their value.
fn fixed(client: &mut RawClient, at: usize, bits: u16) -> Outcome {
    let before = word(client, at)?;
    write(client, at, before ^ bits)?;
    let after = word(client, at)?;
    write(client, at, before)?;
    ensure!(after == before, "{before:#x} became {after:#x}");
    holds()
}

fn unchanged(client: &mut RawClient, at: usize, value: &[u8]) -> Result<()> {
    let inverted: Vec<u8> = value.iter().map(|byte| !byte).collect();
    client.region_write(region::CONFIG, at as u64, &inverted)?;
    let after = client.read(region::CONFIG, at as u64, value.len() as u32)?;
    ensure!(after == value, "{value:x?} became {after:x?}");
    Ok(())
}

/// Returns ids and offsets of the extended capabilities.
fn walk_extended(space: &[u8]) -> Result<Vec<(u16, usize)>> {
    let mut found = Vec::new();
    let mut at = 0x100;
    while at != 0 && at < space.len() {
        let header = field_u32(space, at);
        if header == 0 || header == u32::MAX {
            break;
        }
        ensure!(
            at >= 0x100 && found.len() < 64,
            "the list leads to {at:#x} after {} capabilities",
            found.len()
        );
        found.push((header as u16, at));
        at = (header >> 20) as usize & !0b11;
    }
    Ok(found)
}

fn word(client: &mut RawClient, at: usize) -> Result<u16> {
    Ok(field_u16(&client.read(region::CONFIG, at as u64, 2)?, 0))
}

fn write(client: &mut RawClient, at: usize, value: u16) -> Result<()> {
    client.write(region::CONFIG, at as u64, &value.to_le_bytes())
}
