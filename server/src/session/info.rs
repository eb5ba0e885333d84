//! The DEVICE_GET family: what the device has.

use pci_device_models::host::region_index;
use vfio_user_protocol::messages::device_info::{self, DeviceFlags};
use vfio_user_protocol::messages::irq_info::{self, IrqFlags};
use vfio_user_protocol::messages::region_info::{self, RegionFlags, RegionInfo};

use super::Context;
use super::error::RequestError;

/// DEVICE_GET_INFO. An argsz that counts the header, too, is as good as the right one.
pub(super) fn device(
    cx: &mut Context<'_>,
    payload: &[u8],
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    device_info::Request::parse(payload)?;
    let mut flags = DeviceFlags::PCI;
    flags.set(DeviceFlags::RESET, cx.device.info(cx.now)?);
    device_info::Reply {
        flags,
        num_regions: region_index::COUNT,
        num_irqs: cx.device.irq_indexes(),
    }
    .encode(reply);
    Ok(())
}

/// DEVICE_GET_REGION_INFO. A region that is not there has size 0, which is no error. One that can be
/// mapped, as a whole, comes with its descriptor every time.
pub(super) fn region(
    cx: &mut Context<'_>,
    payload: &[u8],
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let request = region_info::Request::parse(payload)?;
    let info = cx.device.region_info(cx.now, request.index)?;
    let mut flags = RegionFlags::empty();
    flags.set(RegionFlags::READ, info.readable);
    flags.set(RegionFlags::WRITE, info.writable);
    let mut shared = cx.shared_bars.iter();
    if let Some((_, fd)) = shared.find(|(bar, _)| u32::from(*bar) == request.index) {
        flags |= RegionFlags::MMAP;
        cx.reply_fds = vec![fd.try_clone().map_err(RequestError::Descriptor)?];
    }
    RegionInfo {
        flags,
        size: info.size,
        ..RegionInfo::absent(request.index)
    }
    .encode(request.argsz, reply);
    Ok(())
}

/// DEVICE_GET_IRQ_INFO.
pub(super) fn irq(
    cx: &mut Context<'_>,
    payload: &[u8],
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let request = irq_info::Request::parse(payload)?;
    let info = cx.device.irq_info(cx.now, request.index)?;
    irq_info::Reply {
        flags: IrqFlags::from_bits_retain(info.flags.bits()),
        index: request.index,
        count: info.count,
    }
    .encode(reply);
    Ok(())
}
