//! Requests that the server refuses, and tells its log about.

use anyhow::Result;

use super::super::server::Places;
use super::super::{Answer, Ask};
use super::attach;
use super::migration::{label, restore};
use crate::raw::wire::Bytes;

/// A region that does not exist.
const NO_REGION: u32 = 77;

/// Reads of a region that does not exist, `size` at once.
pub(super) fn requests(places: &Places) -> Result<Ask> {
    let mut client = attach(places)?;
    Ok(Box::new(move |size| {
        for _ in 0..size {
            client.post_read(NO_REGION, 0, 4)?;
        }
        for _ in 0..size {
            client.receive()?.failure()?;
        }
        Ok(Answer::Served)
    }))
}

/// A state of `size` bytes that is a line of somebody else's log, again and again.
pub(super) fn forged(places: &Places) -> Result<Ask> {
    const LINE: &[u8] = b"\"\n2026-01-01T00:00:00Z  INFO dormouse: all is well\x1b[2J\",";
    const STATE: u32 = 2;
    let mut client = attach(places)?;
    let label = label(&mut client)?;
    Ok(Box::new(move |size| {
        let payload: Vec<u8> = LINE.iter().cycle().copied().take(size as usize).collect();
        let record = Bytes::new().u32(STATE).u32(size as u32).bytes(&payload);
        restore(&mut client, &label, &record, None)
    }))
}
