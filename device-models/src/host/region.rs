//! VFIO regions of a PCI function.

use super::error::HostError;
use crate::config::MAX_BARS;
use crate::function::{Function, Target};
use crate::time::Time;

/// Region indexes of a PCI device (`VFIO_PCI_*_REGION_INDEX` of the VFIO uAPI); BARs are 0 to 5.
pub mod region_index {
    /// Expansion ROM.
    pub const ROM: u32 = 6;
    /// Config space.
    pub const CONFIG: u32 = 7;
    /// Legacy VGA ranges.
    pub const VGA: u32 = 8;
    /// Number of regions.
    pub const COUNT: u32 = 9;
}

/// What a region is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegionInfo {
    /// Size in bytes; 0: the region exists in name only.
    pub size: u64,
    /// Can be read.
    pub readable: bool,
    /// Can be written.
    pub writable: bool,
}

pub(super) fn info(function: &Function, index: u32) -> Result<RegionInfo, HostError> {
    let header = function.config().header();
    let (size, writable) = match index {
        region_index::CONFIG => (u64::from(function.config().size()), true),
        region_index::ROM => (header.rom_size().map_or(0, u64::from), false),
        region_index::VGA => (0, false),
        bar if (bar as usize) < MAX_BARS => {
            (function.bar(bar as usize).map_or(0, |bar| bar.size), true)
        }
        _ => return Err(HostError::NoSuchRegion { index }),
    };
    Ok(RegionInfo {
        size,
        readable: size != 0,
        writable: writable && size != 0,
    })
}

/// Whether there is such a region, implemented or not.
pub(super) const fn check_index(index: u32) -> Result<(), HostError> {
    if index < region_index::COUNT {
        Ok(())
    } else {
        Err(HostError::NoSuchRegion { index })
    }
}

/// Whether an access lies inside its region. An access of no bytes does if the region exists.
pub(super) fn check(
    function: &Function,
    index: u32,
    offset: u64,
    len: usize,
) -> Result<(), HostError> {
    let size = info(function, index)?.size;
    match offset.checked_add(len as u64) {
        _ if len == 0 => Ok(()),
        Some(end) if end <= size => Ok(()),
        _ => Err(HostError::OutsideRegion {
            index,
            offset,
            len,
            size,
        }),
    }
}

pub(super) fn read(function: &mut Function, now: Time, index: u32, offset: u64, data: &mut [u8]) {
    match index {
        region_index::CONFIG => function.config_read(now, offset, data),
        region_index::ROM => function.read(now, Target::Rom, offset, data),
        bar => function.read(now, Target::Bar(bar as u8), offset, data),
    }
}

pub(super) fn write(function: &mut Function, now: Time, index: u32, offset: u64, data: &[u8]) {
    match index {
        region_index::CONFIG => function.config_write(now, offset, data),
        region_index::ROM => function.write(now, Target::Rom, offset, data),
        bar => function.write(now, Target::Bar(bar as u8), offset, data),
    }
}
