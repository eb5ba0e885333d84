//! The work of requests, in units of the budget of a turn.

use vfio_user_protocol::vfio::RegionIndex;
use vfio_user_protocol::{Command, Frame};

use crate::budget::DEAR;

/// Returns the units of a command that may take long, beside those of its message. A command that is done
/// in steps counts these itself.
pub(super) fn of(frame: &Frame<'_>) -> u32 {
    match Command::try_from(frame.header.command) {
        Ok(Command::RegionRead | Command::RegionWriteMulti) => 0,
        Ok(Command::RegionWrite) => {
            let region = frame.payload.get(8..12);
            let region = region.and_then(|bytes| Some(u32::from_ne_bytes(bytes.try_into().ok()?)));
            region.map_or(0, of_write)
        }
        _ => DEAR,
    }
}

/// Returns the units of a write to a region, beside those of its message. A driver seldom writes config
/// space, where a write can move whole BARs or reset the function.
pub(super) fn of_write(region: u32) -> u32 {
    if region == RegionIndex::Config as u32 {
        DEAR
    } else {
        0
    }
}
