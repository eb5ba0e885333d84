//! DMA_MAP and DMA_UNMAP.
//!
//! Transfers run between messages and look their maps up for every piece, so a reply to DMA_UNMAP
//! never leaves while something still reaches the memory.

use std::os::fd::OwnedFd;

use vfio_user_protocol::messages::{dma_map, dma_unmap};

use super::error::RequestError;
use super::{Context, Session};

/// DMA_MAP. A map without a file is recorded like any other: clients announce ROMs, BARs of other
/// devices and memory that they do not share.
pub(super) fn map(
    session: &mut Session,
    cx: &mut Context<'_>,
    payload: &[u8],
    fds: Vec<OwnedFd>,
) -> Result<(), RequestError> {
    let request = dma_map::Request::parse(payload)?;
    request.check_descriptors(fds.len())?;
    session.memory.map(&request, fds.into_iter().next())?;
    cx.stats.dma_maps = session.memory.len() as u64;
    Ok(())
}

/// DMA_UNMAP, answered with the range again.
pub(super) fn unmap(
    session: &mut Session,
    cx: &mut Context<'_>,
    payload: &[u8],
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let request = dma_unmap::Request::parse(payload)?;
    if request.bitmap.is_some() {
        return Err(RequestError::NoDirtyLog);
    }
    session.memory.unmap(request.target)?;
    cx.stats.dma_maps = session.memory.len() as u64;
    dma_unmap::Reply {
        target: request.target,
        bitmap: None,
    }
    .encode(reply);
    Ok(())
}
