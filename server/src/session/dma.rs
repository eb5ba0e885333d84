//! DMA_MAP and DMA_UNMAP.
//!
//! There is one table of maps per function, whichever client a map came from: the kernel's is that of
//! the container which all who open a device share. Two clients of a function thus have to agree on
//! addresses, and either can take back what the other mapped.
//!
//! Transfers run between messages and look their maps up for every piece, so a reply to DMA_UNMAP
//! never leaves while something still reaches the memory; what a client was asked for is given up.

use std::os::fd::OwnedFd;

use vfio_user_protocol::messages::{dma_map, dma_unmap};

use super::error::RequestError;
use super::{Context, Session};

/// DMA_MAP. A map without a file is recorded like any other: clients announce ROMs, BARs and memory
/// that they do not share, all of which they can be asked for.
pub(super) fn map(
    session: &Session,
    cx: &mut Context<'_>,
    payload: &[u8],
    fds: Vec<OwnedFd>,
) -> Result<(), RequestError> {
    let request = dma_map::Request::parse(payload)?;
    request.check_descriptors(fds.len())?;
    cx.memory
        .map(&request, fds.into_iter().next(), session.owner)?;
    cx.stats.dma_maps = cx.memory.len() as u64;
    Ok(())
}

/// DMA_UNMAP, answered with the range again.
pub(super) fn unmap(
    cx: &mut Context<'_>,
    payload: &[u8],
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let request = dma_unmap::Request::parse(payload)?;
    if request.bitmap.is_some() {
        return Err(RequestError::NoDirtyLog);
    }
    cx.memory.unmap(request.target)?;
    cx.outputs.dma.unmapped(cx.memory);
    cx.stats.dma_maps = cx.memory.len() as u64;
    dma_unmap::Reply {
        target: request.target,
        bitmap: None,
    }
    .encode(reply);
    Ok(())
}
