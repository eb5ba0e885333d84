//! VFIO regions of a PCI function.

use vfio_user_protocol::messages::region_info::RegionInfo;
use vfio_user_protocol::vfio::{RegionFlags, RegionIndex};

use super::error::HostError;
use crate::function::{Function, Target};
use crate::time::Time;

/// Finds the region with this index, implemented or not.
pub(super) fn find(index: u32) -> Result<RegionIndex, HostError> {
    RegionIndex::from_number(index).ok_or(HostError::NoSuchRegion { index })
}

/// Returns the size of a region in bytes, 0 for a region without content.
pub(super) fn size(function: &Function, region: RegionIndex) -> u64 {
    match target(region) {
        Some(Target::Bar(bar)) => function.bar(usize::from(bar)).map_or(0, |bar| bar.size),
        Some(Target::Rom) => function.config().header().rom_size().map_or(0, u64::from),
        None if region == RegionIndex::Config => u64::from(function.config().size()),
        None => 0,
    }
}

/// Returns size and access rights of a region.
pub(super) fn info(function: &Function, region: RegionIndex) -> RegionInfo {
    let (size, index) = (size(function, region), region.number());
    let flags = match region {
        _ if size == 0 => RegionFlags::empty(),
        RegionIndex::Rom => RegionFlags::READ,
        _ => RegionFlags::READ | RegionFlags::WRITE,
    };
    RegionInfo {
        flags,
        size,
        ..RegionInfo::absent(index)
    }
}

/// Checks that an access lies inside its region. An access of no bytes does if the region exists.
pub(super) fn check(
    function: &Function,
    region: RegionIndex,
    offset: u64,
    len: usize,
) -> Result<(), HostError> {
    let size = size(function, region);
    match offset.checked_add(len as u64) {
        _ if len == 0 => Ok(()),
        Some(end) if end <= size => Ok(()),
        _ => Err(HostError::OutsideRegion {
            index: region.number(),
            offset,
            len,
            size,
        }),
    }
}

/// Returns the BAR or ROM that a region shows. Config space and legacy VGA ranges have none.
pub(super) const fn target(region: RegionIndex) -> Option<Target> {
    match region.bar() {
        Some(bar) => Some(Target::Bar(bar)),
        None if matches!(region, RegionIndex::Rom) => Some(Target::Rom),
        None => None,
    }
}

pub(super) fn read(
    function: &mut Function,
    now: Time,
    region: RegionIndex,
    offset: u64,
    data: &mut [u8],
) {
    match target(region) {
        Some(target) => function.read(now, target, offset, data),
        None if region == RegionIndex::Config => function.config_read(now, offset, data),
        None => {}
    }
}

pub(super) fn write(
    function: &mut Function,
    now: Time,
    region: RegionIndex,
    offset: u64,
    data: &[u8],
) {
    match target(region) {
        Some(target) => function.write(now, target, offset, data),
        None if region == RegionIndex::Config => function.config_write(now, offset, data),
        None => {}
    }
}
