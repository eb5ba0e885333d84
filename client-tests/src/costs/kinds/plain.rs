//! Accesses to regions.

use anyhow::Result;

use super::super::server::Places;
use super::super::{Answer, Ask};
use super::{answer, attach};
use crate::raw::wire::region;

/// RAM of the test function.
const RAM: u32 = 2;

/// Reads of a DWORD of config space, `size` at once.
pub(super) fn reads(places: &Places) -> Result<Ask> {
    let mut client = attach(places)?;
    Ok(Box::new(move |size| {
        for _ in 0..size {
            client.post_read(region::CONFIG, 0, 4)?;
        }
        for _ in 0..size {
            client.receive()?;
        }
        Ok(Answer::Served)
    }))
}

/// A read of `size` bytes.
pub(super) fn large_reads(places: &Places) -> Result<Ask> {
    let mut client = attach(places)?;
    Ok(Box::new(move |size| {
        let reply = client.region_read(RAM, 0, u32::try_from(size)?)?;
        Ok(answer(&reply))
    }))
}

/// A write of `size` bytes. One that is too large ends the connection.
pub(super) fn large_writes(places: &Places) -> Result<Ask> {
    const EINVAL: u32 = 22;
    let places = places.clone();
    let mut client = attach(&places)?;
    Ok(Box::new(move |size| {
        let data = vec![1; usize::try_from(size)?];
        match client.region_write(RAM, 0, &data) {
            Ok(reply) if reply.errno().is_none() => Ok(Answer::Served),
            Ok(_) | Err(_) => {
                client = attach(&places)?;
                Ok(Answer::Refused(EINVAL))
            }
        }
    }))
}
