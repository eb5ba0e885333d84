//! Config space as the region that every client reads first.

use anyhow::{Result, ensure};

use super::Source::{LibvfioUser, Linux, Qemu};
use super::{Check, check, holds, skip};
use crate::raw::wire::{field_u16, field_u32, region};

/// Ids of capabilities.
pub(super) const MSIX: u8 = 0x11;
pub(super) const PCI_EXPRESS: u8 = 0x10;
/// Header fields.
const STATUS: usize = 6;
const CAPABILITY_LIST: u16 = 1 << 4;
const CAPABILITIES: usize = 0x34;
const BAR0: u64 = 0x10;

pub(super) const CHECKS: &[Check] = &[
    check(
        "config.widths",
        Linux,
        "Bytes, words, double words and odd pieces of the identification read like the whole",
        |s| {
            let mut client = s.attach()?;
            let whole = s.config_space(&mut client)?;
            for (offset, count) in [
                (0, 1),
                (1, 1),
                (2, 2),
                (0, 4),
                (8, 4),
                (0, 8),
                (1, 3),
                (5, 7),
            ] {
                let piece = client.read(region::CONFIG, offset as u64, count as u32)?;
                ensure!(
                    piece == whole[offset..offset + count],
                    "{count} bytes at {offset:#x}"
                );
            }
            holds()
        },
    ),
    check(
        "config.identity",
        Linux,
        "There is a device: its vendor id is neither 0 nor all ones, and its header has type 0",
        |s| {
            let space = s.config_space(&mut s.attach()?)?;
            let (vendor, header) = (field_u16(&space, 0), space[0xe] & 0x7f);
            ensure!(
                ![0, 0xffff].contains(&vendor) && header == 0,
                "{vendor:#06x}, {header:#x}"
            );
            holds()
        },
    ),
    check(
        "config.read-only",
        Linux,
        "A write to the vendor id succeeds and changes nothing",
        |s| {
            let mut client = s.attach()?;
            let before = client.read(region::CONFIG, 0, 4)?;
            client.write(region::CONFIG, 0, &[0; 4])?;
            ensure!(client.read(region::CONFIG, 0, 4)? == before, "it changed");
            holds()
        },
    ),
    check(
        "config.bar-sizing",
        LibvfioUser,
        "All ones written to a BAR register leave the ones above the size of its region; 64-bit BARs take two registers; registers of absent BARs read 0",
        |s| {
            let mut client = s.attach()?;
            let mut index = 0;
            while index < 6 {
                let register = BAR0 + 4 * u64::from(index);
                let before = client.read(region::CONFIG, register, 8)?;
                let low = field_u32(&before, 0);
                let wide = low & 0b111 == 0b100;
                let width = if wide { 8 } else { 4 };
                client.write(region::CONFIG, register, &[0xff; 8][..width])?;
                let sized = client.read(region::CONFIG, register, 8)?;
                client.write(region::CONFIG, register, &before[..width])?;
                let flags = if low & 1 != 0 { 0b11 } else { 0b1111 };
                let high = if wide { field_u32(&sized, 4) } else { u32::MAX };
                let mask = u64::from(high) << 32 | u64::from(field_u32(&sized, 0) & !flags);
                let size = s.region(index).map_or(0, |bar| bar.size);
                let seen = if field_u32(&sized, 0) & !flags == 0 && (!wide || high == 0) {
                    0
                } else {
                    mask.wrapping_neg()
                };
                ensure!(
                    seen == size,
                    "BAR {index} is sized {seen:#x}, its region has {size:#x}"
                );
                index += if wide { 2 } else { 1 };
            }
            holds()
        },
    ),
    check(
        "config.capability-list",
        LibvfioUser,
        "The list of capabilities can be walked: aligned, inside config space, with an end; the status bit says whether there is one",
        |s| {
            let space = s.config_space(&mut s.attach()?)?;
            walk(&space)?;
            holds()
        },
    ),
    check(
        "config.size-and-pci-express",
        LibvfioUser,
        "A device without the PCI Express capability has no more than 256 bytes that are not 0",
        |s| {
            let space = s.config_space(&mut s.attach()?)?;
            if find(&space, PCI_EXPRESS)?.is_some() || space.len() == 256 {
                return skip("extended config space, if any, belongs to PCI Express");
            }
            let extended = space[256..].iter().all(|&byte| byte == 0);
            ensure!(extended, "extended config space is not empty");
            holds()
        },
    ),
    check(
        "config.command",
        Qemu,
        "I/O, memory and bus master enable in Command can be cleared, and read back as cleared",
        |s| {
            let mut client = s.attach()?;
            let before = client.read(region::CONFIG, 4, 2)?;
            client.write(region::CONFIG, 4, &[before[0] & !7, before[1]])?;
            let after = client.read(region::CONFIG, 4, 2)?;
            client.write(region::CONFIG, 4, &before)?;
            ensure!(after[0] & 7 == 0, "Command reads {after:x?}");
            holds()
        },
    ),
];

/// Returns ids and offsets of all capabilities.
pub(super) fn walk(space: &[u8]) -> Result<Vec<(u8, usize)>> {
    let mut found = Vec::new();
    if field_u16(space, STATUS) & CAPABILITY_LIST == 0 {
        return Ok(found);
    }
    let mut at = usize::from(space[CAPABILITIES] & !0b11);
    while at != 0 {
        ensure!(
            (0x40..0x100).contains(&at) && found.len() < 48,
            "the list leads to {at:#x} after {} capabilities",
            found.len()
        );
        found.push((space[at], at));
        at = usize::from(space[at + 1] & !0b11);
    }
    ensure!(
        !found.is_empty(),
        "the status bit is set, the list is empty"
    );
    Ok(found)
}

/// Returns the offset of the capability of this id.
pub(super) fn find(space: &[u8], id: u8) -> Result<Option<usize>> {
    let found = walk(space)?;
    Ok(found.iter().find(|(has, _)| *has == id).map(|(_, at)| *at))
}
