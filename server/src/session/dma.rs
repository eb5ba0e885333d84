//! DMA_MAP and DMA_UNMAP.
//!
//! All clients of a function share one table of maps, as all openers of a device share a container in
//! the kernel. Two clients of a function must therefore agree on addresses, and each can remove maps of
//! the other. The maps of a client that disconnects go with it, and no others do.
//!
//! Transfers run between messages and look their maps up for every piece. So no transfer accesses the
//! memory any more when the reply to DMA_UNMAP is sent. The server drops outstanding commands to a
//! client for that memory.

use std::os::fd::OwnedFd;

use vfio_user_protocol::messages::device_feature::dma_logging::{Range, Report};
use vfio_user_protocol::messages::dma_unmap::{BitmapRequest, Target};
use vfio_user_protocol::messages::{dma_map, dma_unmap};

use super::error::RequestError;
use super::unfinished::Progress;
use super::{Context, Session, Unfinished, dma_logging};

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

/// DMA_UNMAP, answered with the range again and, if that is asked for, with the dirty pages in it. Maps
/// that do not fit into a turn are removed in the next ones.
pub(super) fn unmap(
    session: &mut Session,
    cx: &mut Context<'_>,
    payload: &[u8],
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let dma_unmap::Request { target, bitmap } = dma_unmap::Request::parse(payload)?;
    let dirty = dirty_report(target, bitmap);
    let mut bits = match &dirty {
        Some((report, room)) => dma_logging::bitmap(cx, report, *room)?,
        None => Vec::new(),
    };
    if !matches!(session.progress, Progress::Unmapping) {
        cx.memory.check_unmap(target)?;
    }
    let done = cx.memory.unmap_some(target, &mut cx.budget);
    cx.outputs.dma.unmapped(cx.memory);
    cx.stats.dma_maps = cx.memory.len() as u64;
    if !done {
        session.progress = Progress::Unmapping;
        cx.unfinished = Some(Unfinished::UntilNextTurn);
        return Ok(());
    }
    if let Some((report, _)) = &dirty {
        cx.memory.log.report(report, &mut bits)?;
    }
    let bitmap = dirty.map(|(report, _)| dma_unmap::Bitmap {
        page_size: report.page_size,
        data: &bits,
    });
    dma_unmap::Reply { target, bitmap }.encode(reply);
    Ok(())
}

/// The report that a bitmap of what is unmapped is, and the room that there is for it.
fn dirty_report(target: Target, bitmap: Option<BitmapRequest>) -> Option<(Report, u64)> {
    let Target::Range { address, size } = target else {
        return None;
    };
    let bitmap = bitmap?;
    let range = Range {
        iova: address,
        length: size,
    };
    let report = Report {
        range,
        page_size: bitmap.page_size,
    };
    Some((report, bitmap.size))
}
