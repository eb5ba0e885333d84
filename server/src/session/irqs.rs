//! DEVICE_SET_IRQS: the device keeps what is bound and masked, [`crate::irq_fds`] the eventfds.

use std::os::fd::OwnedFd;

use vfio_user_protocol::messages::set_irqs::{Action, Data, Request};
use vfio_user_protocol::vfio::IrqIndex;

use super::Context;
use super::error::RequestError;
use crate::eventfd::{EventFd, NotAnEventFd};
use crate::irq_fds::IrqFds;

/// Applies the request to the device, which knows whether it makes sense, and then to the eventfds.
pub(super) fn set(
    cx: &mut Context<'_>,
    payload: &[u8],
    fds: Vec<OwnedFd>,
) -> Result<(), RequestError> {
    let request = Request::parse(payload)?;
    request.check_descriptors(fds.len())?;
    let eventfds: Vec<EventFd> = fds
        .into_iter()
        .map(EventFd::new)
        .collect::<Result<_, NotAnEventFd>>()?;
    let index = IrqIndex::from_number(request.index);
    if index == Some(IrqIndex::Intx)
        && request.action != Action::Mask
        && let Some(fd) = eventfds.first()
    {
        let is_resample = request.action == Action::Unmask;
        if cx.outputs.irqs.feeds_itself(fd, is_resample) {
            return Err(RequestError::FeedsItself);
        }
    }
    cx.device.set_irqs(cx.now, &request, eventfds.len())?;
    if let Some(index) = index {
        keep(cx, &request, index, eventfds)?;
    }
    Ok(())
}

/// Stores or drops eventfds as a request says that the device has accepted.
fn keep(
    cx: &mut Context<'_>,
    request: &Request<'_>,
    index: IrqIndex,
    eventfds: Vec<EventFd>,
) -> Result<(), RequestError> {
    let irqs = &mut cx.outputs.irqs;
    let set_resample = |irqs: &mut IrqFds, fd| {
        irqs.set_resample(cx.registry, cx.resample, fd)
            .map_err(RequestError::Watch)
    };
    match (request.action, request.data) {
        _ if request.is_disable() => {
            irqs.unbind_all(index);
            if index == IrqIndex::Intx {
                set_resample(irqs, None)?;
            }
        }
        (Action::Trigger, Data::Eventfd) => {
            let mut eventfds = eventfds.into_iter();
            for vector in request.vectors() {
                match eventfds.next() {
                    Some(fd) => irqs.bind(index, vector, fd),
                    None => irqs.unbind(index, vector),
                }
            }
        }
        // Only INTx has a resample eventfd, and one vector.
        (Action::Unmask, Data::Eventfd) => set_resample(irqs, eventfds.into_iter().next())?,
        (Action::Mask | Action::Unmask | Action::Trigger, _) => {}
    }
    Ok(())
}
