//! The DEVICE_GET family: what the device has.

use std::any::Any;
use std::io;
use std::os::fd::OwnedFd;

use pci_device_models::function::{Area, Mappable};
use vfio_user_protocol::messages::device_info;
use vfio_user_protocol::messages::irq_info;
use vfio_user_protocol::messages::region_info::{
    self, Capability, FdArea, RegionFlags, SparseArea,
};

use super::error::RequestError;
use super::{Context, Session};
use crate::bar_memory::SharedMemory;

/// DEVICE_GET_INFO. An argsz that counts the header, too, is as good as the right one.
pub(super) fn device(
    cx: &mut Context<'_>,
    payload: &[u8],
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    device_info::Request::parse(payload)?;
    cx.device.info(cx.now)?.encode(reply);
    Ok(())
}

/// DEVICE_GET_REGION_INFO. A region that is not there has size 0, which is no error. One that can be
/// mapped comes with descriptors every time, unless they are areas that argsz has no room to tell:
/// a client that never asks again would map more than them.
pub(super) fn region(
    session: &Session,
    cx: &mut Context<'_>,
    payload: &[u8],
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let request = region_info::Request::parse(payload)?;
    let mut region = cx.device.region_info(cx.now, request.index)?;
    let mappable = cx.device.slot().function().mappable_bars().iter();
    let mut mappable = mappable.filter(|_| session.max_reply_fds() > 0);
    if let Some(mappable) = mappable.find(|mappable| u32::from(mappable.bar) == request.index) {
        let bar = mappable.bar;
        let (capability, fds) = tell(session, &mappable.memory);
        region.capabilities.extend(capability);
        if region.fits(request.argsz) {
            region.flags |= RegionFlags::MMAP;
            cx.reply_fds = descriptors(cx, bar, fds).map_err(RequestError::Descriptor)?;
        }
    }
    region.encode(request.argsz, reply);
    Ok(())
}

/// Returns the capability that describes mappable memory to a client that accepts descriptors, and the
/// number of descriptors.
fn tell(session: &Session, memory: &Mappable) -> (Option<Capability>, usize) {
    match memory {
        Mappable::Whole => (None, 1),
        Mappable::Areas(areas)
            if session.sparse_mmap_fds && areas.len() <= session.max_reply_fds() =>
        {
            let numbered = areas.iter().zip(0..);
            let areas = numbered.map(|(&Area { offset, size }, fd_index)| FdArea {
                offset,
                fd_offset: offset,
                size,
                fd_index,
            });
            let areas: Vec<FdArea> = areas.collect();
            let fds = areas.len();
            (Some(Capability::SparseMmapFds(areas)), fds)
        }
        Mappable::Areas(areas) => {
            let areas = areas.iter();
            let areas = areas.map(|&Area { offset, size }| SparseArea { offset, size });
            (Some(Capability::SparseMmap(areas.collect())), 1)
        }
    }
}

/// Returns descriptors of the file behind a BAR.
fn descriptors(cx: &mut Context<'_>, bar: u8, count: usize) -> io::Result<Vec<OwnedFd>> {
    let memory = cx.device.bar_memory_mut(bar);
    let memory = memory.and_then(|memory| {
        let memory: &mut dyn Any = memory;
        memory.downcast_mut::<SharedMemory>()
    });
    let Some(memory) = memory else {
        return Err(io::ErrorKind::NotFound.into());
    };
    (0..count).map(|_| memory.share()).collect()
}

/// DEVICE_GET_IRQ_INFO.
pub(super) fn irq(
    cx: &mut Context<'_>,
    payload: &[u8],
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let request = irq_info::Request::parse(payload)?;
    cx.device.irq_info(cx.now, request.index)?.encode(reply);
    Ok(())
}
