//! DEVICE_FEATURE: the device judges the request as Linux does, from its first word on; here are
//! only the message's frame and the descriptor that may come beside it. What concerns client memory
//! and not the device is [`dma_logging`], what stops it and takes its state out is [`migration`].

use std::os::fd::OwnedFd;

use pci_device_models::host::{AttachedFd, FeatureReply, View};
use vfio_user_protocol::messages::device_feature::power_management::PowerManagement;
use vfio_user_protocol::messages::device_feature::{Feature, Request};

use super::error::RequestError;
use super::{Context, dma_logging, migration};
use crate::eventfd::EventFd;

/// Passes the request on. A reply repeats the request, that to a GET with the data behind it.
/// Descriptors that the device does not want are closed.
pub(super) fn handle(
    cx: &mut Context<'_>,
    payload: &[u8],
    fds: Vec<OwnedFd>,
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let request = Request::read(payload)?;
    // vfio-pci itself has none of them, only drivers built upon it do.
    let of_its_own = cx.device.options().view == View::Hardware;
    if of_its_own && let Some(feature) = Feature::from_number(request.feature) {
        if let Some(kind) = migration::Kind::of(feature) {
            return migration::feature(cx, kind, &request, reply);
        }
        if let Some(method) = dma_logging::Method::of(feature) {
            return dma_logging::handle(cx, method, &request, reply);
        }
    }
    let (fd, eventfd) = attached(fds);
    match cx.device.feature(cx.now, &request, fd)? {
        FeatureReply::Done => request.encode(reply),
        FeatureReply::Armed => {
            // The request itself may have ended an earlier low power, whose eventfd that concerns.
            cx.perform();
            if let Some(eventfd) = eventfd {
                cx.outputs.irqs.arm_wakeup(eventfd);
            }
            request.encode(reply);
        }
        FeatureReply::PowerManagement(state) => {
            let mut data = Vec::with_capacity(PowerManagement::SIZE);
            state.encode(&mut data);
            request.reply(&data).encode(reply);
        }
    }
    Ok(())
}

/// Classifies the descriptors with a request, and returns the eventfd if there is exactly one.
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
