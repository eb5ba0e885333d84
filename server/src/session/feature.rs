//! DEVICE_FEATURE: the device judges the request as Linux does, from its first word on; here are
//! only the message's frame and the descriptor that may come beside it. What concerns client memory
//! and not the device is [`dma_logging`], what stops it and takes its state out is [`migration`].

use std::os::fd::OwnedFd;

use pci_device_models::host::{AttachedFd, FeatureCall, FeatureReply, View};

use super::error::RequestError;
use super::{Context, dma_logging, migration};
use crate::eventfd::EventFd;

/// Bytes of argsz and flags.
const HEADER: u32 = 8;

/// Passes the request on. A reply repeats the request, that to a GET with the data behind it.
/// Descriptors that the device does not want are closed.
pub(super) fn handle(
    cx: &mut Context<'_>,
    payload: &[u8],
    fds: Vec<OwnedFd>,
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let Some((&[a, b, c, d, e, f, g, h], data)) = payload.split_first_chunk() else {
        return Err(RequestError::FeatureHeader(payload.len()));
    };
    let flags = [e, f, g, h];
    // The lower half is the feature's number.
    let feature = u32::from_ne_bytes(flags) as u16;
    // vfio-pci itself has none of them, only drivers built upon it do.
    let of_its_own = cx.device.options().view == View::Hardware;
    if of_its_own && let Some(kind) = migration::Kind::of(feature) {
        return migration::feature(cx, kind, payload, reply);
    }
    if of_its_own && let Some(method) = dma_logging::Method::of(feature) {
        return dma_logging::handle(cx, method, payload, reply);
    }
    let (fd, eventfd) = attached(fds);
    let call = FeatureCall {
        argsz: u32::from_ne_bytes([a, b, c, d]),
        flags: u32::from_ne_bytes(flags),
        data,
        fd,
    };
    match cx.device.feature(cx.now, &call)? {
        FeatureReply::Done => reply.extend_from_slice(payload),
        FeatureReply::Armed => {
            // The request itself may have ended an earlier low power, whose eventfd that concerns.
            cx.perform();
            if let Some(eventfd) = eventfd {
                cx.outputs.irqs.arm_wakeup(eventfd);
            }
            reply.extend_from_slice(payload);
        }
        FeatureReply::Data(data) => {
            let argsz = HEADER + data.len() as u32;
            reply.extend_from_slice(&argsz.to_ne_bytes());
            reply.extend_from_slice(&flags);
            reply.extend_from_slice(&data);
        }
    }
    Ok(())
}

/// What came beside the request, and it itself if it is of use.
fn attached(mut fds: Vec<OwnedFd>) -> (AttachedFd, Option<EventFd>) {
    match (fds.pop(), fds.is_empty()) {
        (None, _) => (AttachedFd::None, None),
        (Some(_), false) => (AttachedFd::Many, None),
        (Some(fd), true) => match EventFd::new(fd) {
            Ok(eventfd) => (AttachedFd::Eventfd, Some(eventfd)),
            Err(_) => (AttachedFd::Other, None),
        },
    }
}
