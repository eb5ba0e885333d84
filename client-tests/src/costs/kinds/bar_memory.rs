//! BAR memory that comes and goes while a client has it mapped.

use anyhow::{Result, ensure};

use super::super::server::Places;
use super::super::{Answer, Ask};
use super::{answer, attach};
use crate::raw::wire::region;
use crate::raw::{Message, RawClient, SmallWrite};

/// The mappable BAR, and bytes of a write that fills it.
const BAR: u32 = 2;
const PIECE: usize = 1 << 19;
/// Command with and without Memory Space Enable.
const ON: &[u8] = &[6, 0];
const OFF: &[u8] = &[4, 0];

/// Connects a client that has the BAR's file, and fills the BAR.
pub(super) fn filled(places: &Places) -> Result<(RawClient, Message)> {
    let mut client = attach(places)?;
    let info = client.get_region_info(BAR)?;
    ensure!(info.fds.len() == 1, "the BAR is not mappable");
    fill(&mut client)?;
    Ok((client, info))
}

fn fill(client: &mut RawClient) -> Result<()> {
    let size = client.region_info(BAR)?.size;
    for offset in (0..size).step_by(PIECE) {
        client.write(BAR, offset, &[0xa5; PIECE])?;
    }
    Ok(())
}

/// A message that changes Memory Space `size` times.
pub(super) fn toggles(places: &Places) -> Result<Ask> {
    let (mut client, info) = filled(places)?;
    let mut states = [OFF, ON].into_iter().cycle();
    Ok(Box::new(move |size| {
        let _mapped = &info;
        let write = |data| SmallWrite {
            region: region::CONFIG,
            offset: 4,
            data,
        };
        let writes: Vec<_> = states.by_ref().take(size as usize).map(write).collect();
        Ok(answer(&client.region_write_multi(&writes)?))
    }))
}

/// `size` resets, each of a BAR that is full.
pub(super) fn resets(places: &Places) -> Result<Ask> {
    let (mut client, info) = filled(places)?;
    Ok(Box::new(move |size| {
        let _mapped = &info;
        for _ in 0..size {
            client.reset()?.success()?;
            client.write(region::CONFIG, 4, ON)?;
            client.write(BAR, 0, &[0xa5; PIECE])?;
        }
        Ok(Answer::Served)
    }))
}

/// A reset of a BAR that no client can map, and that is full.
pub(super) fn private_resets(places: &Places) -> Result<Ask> {
    let mut client = attach(places)?;
    Ok(Box::new(move |_| {
        fill(&mut client)?;
        client.reset()?.success()?;
        client.write(region::CONFIG, 4, ON)?;
        Ok(Answer::Served)
    }))
}
