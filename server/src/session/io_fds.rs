//! DEVICE_GET_REGION_IO_FDS: the doorbells of a BAR.

use pci_device_models::config::BarKind;
use pci_device_models::function::Doorbell;
use vfio_user_protocol::messages::region_io_fds::{Entry, Kind, Layout, RegionIoFds, Request};

use super::error::RequestError;
use super::{Context, Session};

/// `KVM_IOEVENTFD_FLAG_DATAMATCH` of `linux/kvm.h`.
const DATAMATCH: u32 = 1 << 0;
/// `KVM_IOEVENTFD_FLAG_PIO`: the write is to I/O ports.
const PIO: u32 = 1 << 1;

/// One entry and one eventfd for each doorbell, as many as the client takes descriptors in one
/// message; the others are there to be written by message like any register. A client without room
/// for the entries gets neither and can ask again.
pub(super) fn get(
    session: &Session,
    cx: &mut Context<'_>,
    payload: &[u8],
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let request = Request::parse(payload)?;
    let bar = request.index;
    cx.device.region_info(cx.now, bar)?;
    let config = cx.device.slot().function().bar(bar as usize);
    let space = match config.map(|config| config.kind) {
        Some(BarKind::Io) => PIO,
        _ => 0,
    };
    let numbered = (0_u32..).zip(cx.doorbells.of(bar).take(session.max_reply_fds()));
    let fds = RegionIoFds {
        index: bar,
        entries: numbered
            .map(|(fd_index, doorbell)| entry(&doorbell, fd_index, space))
            .collect(),
    };
    if fds.fits(Layout::Specified, request.argsz) {
        cx.reply_fds = cx
            .doorbells
            .hand_out(bar, fds.entries.len(), cx.registry)
            .map_err(RequestError::Descriptor)?;
    }
    fds.encode(Layout::Specified, request.argsz, reply);
    Ok(())
}

fn entry(doorbell: &Doorbell, fd_index: u32, space: u32) -> Entry {
    let (datamatch, flag) = match doorbell.datamatch {
        Some(value) => (value, DATAMATCH),
        None => (0, 0),
    };
    Entry {
        offset: doorbell.offset,
        size: doorbell.size.into(),
        fd_index,
        flags: space | flag,
        kind: Kind::Ioeventfd { datamatch },
    }
}
