//! DEVICE_SET_IRQS. Rules about ranges are tested on the index with the most vectors.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result, ensure};

use super::Source::{LibvfioUser, Linux, Qemu, Specification};
use super::payload::irqs;
use super::subject::{Subject, goes_on, refused_on};
use super::{Check, Outcome, check, holds, skip};
use crate::os::Event;
use crate::raw::RawClient;
use crate::raw::wire::set_irqs::{
    ACTION_MASK as MASK, ACTION_TRIGGER as TRIGGER, ACTION_UNMASK as UNMASK, DATA_BOOL as BOOL,
    DATA_EVENTFD as EVENTFD, DATA_NONE as NONE,
};
use crate::raw::wire::{Bytes, EINVAL, command, irq};

const MASKABLE: u32 = 1 << 1;

pub(super) const CHECKS: &[Check] = &[
    check(
        "irqs.short",
        LibvfioUser,
        "A request of 8 bytes gives EINVAL",
        |s| s.refused(command::DEVICE_SET_IRQS, &[0; 8]),
    ),
    check(
        "irqs.argsz",
        LibvfioUser,
        "argsz below 20 gives EINVAL",
        |s| {
            let request = Bytes::new().u32(3).u32(NONE | TRIGGER).u32(irq::REQ).u64(0);
            s.refused(command::DEVICE_SET_IRQS, &request)
        },
    ),
    check(
        "irqs.index",
        LibvfioUser,
        "An index that the device does not have gives EINVAL",
        |s| refused(s, irqs(NONE | TRIGGER, s.found.num_irqs, 0, 0)),
    ),
    check(
        "irqs.two-actions",
        Specification,
        "Two actions at once are EINVAL",
        |s| on_widest(s, |index, _| irqs(NONE | MASK | UNMASK, index, 0, 1)),
    ),
    check(
        "irqs.no-action",
        Specification,
        "No action gives EINVAL",
        |s| on_widest(s, |index, _| irqs(NONE, index, 0, 1)),
    ),
    check(
        "irqs.two-kinds-of-data",
        Specification,
        "Two kinds of data at once are EINVAL",
        |s| {
            on_widest(s, |index, _| {
                irqs(NONE | BOOL | TRIGGER, index, 0, 1).bytes(&[0])
            })
        },
    ),
    check(
        "irqs.no-kind-of-data",
        Specification,
        "No kind of data gives EINVAL",
        |s| on_widest(s, |index, _| irqs(TRIGGER, index, 0, 1)),
    ),
    check(
        "irqs.range-ends-beyond",
        LibvfioUser,
        "A range that begins with the last vector and has one more gives EINVAL",
        |s| {
            on_widest(s, |index, count| {
                irqs(EVENTFD | TRIGGER, index, count - 1, 2)
            })
        },
    ),
    check(
        "irqs.range-begins-beyond",
        LibvfioUser,
        "A range that begins beyond the last vector gives EINVAL",
        |s| {
            on_widest(s, |index, count| {
                irqs(EVENTFD | TRIGGER, index, count + 1, 1)
            })
        },
    ),
    check(
        "irqs.range-wraps",
        LibvfioUser,
        "A range whose end does not fit in 32 bits gives EINVAL",
        |s| {
            on_widest(s, |index, count| {
                irqs(EVENTFD | TRIGGER, index, count / 2, u32::MAX)
            })
        },
    ),
    check(
        "irqs.no-vectors",
        LibvfioUser,
        "Triggers for an index without vectors are EINVAL",
        |s| {
            let Some(empty) = s.found.irqs.iter().find(|irq| irq.count == 0) else {
                return skip("every index has vectors");
            };
            refused(s, irqs(EVENTFD | TRIGGER, empty.index, 0, 1))
        },
    ),
    check("irqs.mask-err", Linux, "MASK of ERR is refused", |s| {
        refused_somehow(s, irq::ERR, irqs(NONE | MASK, irq::ERR, 0, 1))
    }),
    check("irqs.mask-req", Linux, "MASK of REQ is refused", |s| {
        refused_somehow(s, irq::REQ, irqs(NONE | MASK, irq::REQ, 0, 1))
    }),
    check(
        "irqs.two-of-err",
        LibvfioUser,
        "A count of 2 for ERR gives EINVAL",
        |s| refused(s, irqs(EVENTFD | TRIGGER, irq::ERR, 0, 2)),
    ),
    check(
        "irqs.two-of-req",
        LibvfioUser,
        "A count of 2 for REQ gives EINVAL",
        |s| refused(s, irqs(EVENTFD | TRIGGER, irq::REQ, 0, 2)),
    ),
    check(
        "irqs.count-0-with-start",
        LibvfioUser,
        "A count of 0 that does not begin at vector 0 gives EINVAL",
        |s| on_widest(s, |index, _| irqs(NONE | TRIGGER, index, 1, 0)),
    ),
    check(
        "irqs.count-0-with-mask",
        LibvfioUser,
        "A count of 0 with MASK gives EINVAL",
        |s| on_widest(s, |index, _| irqs(NONE | MASK, index, 0, 0)),
    ),
    check(
        "irqs.count-0-with-bool",
        LibvfioUser,
        "A count of 0 with BOOL gives EINVAL",
        |s| on_widest(s, |index, _| irqs(BOOL | TRIGGER, index, 0, 0)),
    ),
    check(
        "irqs.descriptor-with-bool",
        LibvfioUser,
        "A descriptor beside BOOL gives EINVAL",
        |s| with_one_descriptor(s, |index| irqs(BOOL | TRIGGER, index, 0, 1).bytes(&[0])),
    ),
    check(
        "irqs.descriptor-with-none",
        LibvfioUser,
        "A descriptor beside NONE gives EINVAL",
        |s| with_one_descriptor(s, |index| irqs(NONE | TRIGGER, index, 0, 1)),
    ),
    check(
        "irqs.too-few-descriptors",
        Specification,
        "One descriptor for two vectors gives EINVAL",
        |s| {
            if s.widest_irq().is_none_or(|irq| irq.count < 2) {
                return skip("no index has two vectors");
            }
            with_one_descriptor(s, |index| irqs(EVENTFD | TRIGGER, index, 0, 2))
        },
    ),
    check(
        "irqs.too-few-bytes",
        Specification,
        "BOOL with 1 byte for 2 vectors gives EINVAL",
        |s| on_widest(s, |index, _| irqs(BOOL | TRIGGER, index, 0, 2).bytes(&[0])),
    ),
    check(
        "irqs.too-many-bytes",
        Specification,
        "BOOL with 3 bytes for 2 vectors gives EINVAL",
        |s| {
            on_widest(s, |index, _| {
                irqs(BOOL | TRIGGER, index, 0, 2).bytes(&[0; 3])
            })
        },
    ),
    check(
        "irqs.disable-req",
        LibvfioUser,
        "REQ can be disabled though nothing is bound",
        |s| {
            if s.irq(irq::REQ).is_none_or(|req| req.count == 0) {
                return skip("the device has no REQ");
            }
            accepted(&mut s.attach()?, irqs(NONE | TRIGGER, irq::REQ, 0, 0), &[])?;
            holds()
        },
    ),
    check(
        "irqs.bind-err-and-req",
        Qemu,
        "An eventfd can be bound to ERR and to REQ",
        |s| {
            let mut client = s.attach()?;
            let event = Event::new()?;
            for index in [irq::ERR, irq::REQ] {
                if s.irq(index).is_some_and(|info| info.count > 0) {
                    accepted(
                        &mut client,
                        irqs(EVENTFD | TRIGGER, index, 0, 1),
                        &[event.as_fd()],
                    )?;
                    accepted(&mut client, irqs(NONE | TRIGGER, index, 0, 0), &[])?;
                }
            }
            holds()
        },
    ),
    check(
        "irqs.no-descriptors",
        Qemu,
        "EVENTFD without descriptors is accepted before anything is bound: it sets vectors up, or unbinds them",
        |s| {
            let Some(widest) = s.widest_irq() else {
                return skip("no index has vectors");
            };
            let mut client = s.attach()?;
            accepted(
                &mut client,
                irqs(EVENTFD | TRIGGER, widest.index, 0, 1),
                &[],
            )?;
            goes_on(&mut client)?;
            holds()
        },
    ),
    check(
        "irqs.trigger-none",
        Specification,
        "TRIGGER with NONE signals the eventfds of its range and no other, once each",
        |s| triggered(s, |index| irqs(NONE | TRIGGER, index, 1, 1)),
    ),
    check(
        "irqs.trigger-bool",
        Specification,
        "TRIGGER with BOOL signals the eventfds whose byte is not 0, once each",
        |s| triggered(s, |index| irqs(BOOL | TRIGGER, index, 0, 2).bytes(&[0, 1])),
    ),
    check(
        "irqs.trigger-bool-any-value",
        Specification,
        "In BOOL data any byte but 0 means true",
        |s| {
            triggered(s, |index| {
                irqs(BOOL | TRIGGER, index, 0, 2).bytes(&[0, 0x80])
            })
        },
    ),
    check(
        "irqs.replace",
        LibvfioUser,
        "An eventfd that is bound to a bound vector takes the place of the one before",
        |s| {
            let Some(index) = two_vectors(s) else {
                return skip("no index has two vectors");
            };
            let (mut client, [_, before]) = bound(s, index)?;
            let after = Event::new()?;
            accepted(
                &mut client,
                irqs(EVENTFD | TRIGGER, index, 1, 1),
                &[after.as_fd()],
            )?;
            accepted(&mut client, irqs(NONE | TRIGGER, index, 1, 1), &[])?;
            ensure!(
                after.take_within(s.patience())? == 1,
                "the new eventfd is not signalled"
            );
            ensure!(before.take()? == 0, "the replaced eventfd is signalled");
            holds()
        },
    ),
    check(
        "irqs.unbind",
        Specification,
        "EVENTFD without descriptors unbinds its range and leaves the other vectors bound",
        |s| {
            let Some(index) = two_vectors(s) else {
                return skip("no index has two vectors");
            };
            let (mut client, [first, second]) = bound(s, index)?;
            accepted(&mut client, irqs(EVENTFD | TRIGGER, index, 1, 1), &[])?;
            accepted(&mut client, irqs(NONE | TRIGGER, index, 0, 2), &[])?;
            ensure!(
                first.take_within(s.patience())? == 1,
                "vector 0 is not signalled"
            );
            ensure!(second.take()? == 0, "vector 1 is unbound and signalled");
            holds()
        },
    ),
    check(
        "irqs.disable",
        Specification,
        "TRIGGER with NONE, start and count 0 disables the index: nothing is signalled any more",
        |s| {
            let Some(index) = two_vectors(s) else {
                return skip("no index has two vectors");
            };
            let (mut client, [first, second]) = bound(s, index)?;
            accepted(&mut client, irqs(NONE | TRIGGER, index, 0, 0), &[])?;
            // Servers differ in whether this is an error.
            client.request(
                command::DEVICE_SET_IRQS,
                &irqs(NONE | TRIGGER, index, 0, 2),
                &[],
            )?;
            goes_on(&mut client)?;
            ensure!(
                first.take()? + second.take()? == 0,
                "an unbound eventfd is signalled"
            );
            holds()
        },
    ),
    check(
        "irqs.mask-and-unmask",
        Specification,
        "An index that is MASKABLE can be masked and unmasked with NONE",
        |s| {
            let Some(index) = maskable(s) else {
                return skip("no index is maskable");
            };
            let mut client = s.attach()?;
            let event = Event::new()?;
            accepted(
                &mut client,
                irqs(EVENTFD | TRIGGER, index, 0, 1),
                &[event.as_fd()],
            )?;
            accepted(&mut client, irqs(NONE | MASK, index, 0, 1), &[])?;
            accepted(&mut client, irqs(NONE | UNMASK, index, 0, 1), &[])?;
            holds()
        },
    ),
    check(
        "irqs.resample",
        Linux,
        "An index that is MASKABLE takes an eventfd with UNMASK: a signal on it unmasks",
        |s| bound_to(s, UNMASK),
    ),
    check(
        "irqs.mask-eventfd",
        Specification,
        "An index that is MASKABLE accepts an eventfd with MASK",
        |s| bound_to(s, MASK),
    ),
    check(
        "irqs.dropped-with-client",
        Specification,
        "The server drops the eventfds of a client that disconnects: a TRIGGER of the next client does not signal them",
        |s| {
            let Some(index) = two_vectors(s) else {
                return skip("no index has two vectors");
            };
            let (client, [first, second]) = bound(s, index)?;
            drop(client);
            let mut next = s.attach()?;
            next.request(
                command::DEVICE_SET_IRQS,
                &irqs(NONE | TRIGGER, index, 0, 2),
                &[],
            )?;
            goes_on(&mut next)?;
            ensure!(first.take()? + second.take()? == 0, "it is signalled");
            holds()
        },
    ),
];

fn refused(s: &Subject, request: Bytes) -> Outcome {
    s.refused(command::DEVICE_SET_IRQS, &request)
}

/// Checks that a request is refused with any errno, unless the index has no vectors.
fn refused_somehow(s: &Subject, index: u32, request: Bytes) -> Outcome {
    if s.irq(index).is_none_or(|irq| irq.count == 0) {
        return skip("the index has no vectors");
    }
    let mut client = s.attach()?;
    client
        .request(command::DEVICE_SET_IRQS, &request, &[])?
        .failure()?;
    goes_on(&mut client)?;
    holds()
}

/// Checks that a request, made from index and count, is refused on the widest index.
fn on_widest(s: &Subject, request: fn(u32, u32) -> Bytes) -> Outcome {
    match s.widest_irq() {
        Some(widest) => refused(s, request(widest.index, widest.count)),
        None => skip("no index has vectors"),
    }
}

fn with_one_descriptor(s: &Subject, request: fn(u32) -> Bytes) -> Outcome {
    let Some(widest) = s.widest_irq() else {
        return skip("no index has vectors");
    };
    let event = Event::new()?;
    let mut client = s.attach()?;
    let request = request(widest.index);
    refused_on(
        &mut client,
        command::DEVICE_SET_IRQS,
        &request,
        &[event.as_fd()],
        EINVAL,
    )?;
    goes_on(&mut client)?;
    holds()
}

fn accepted(client: &mut RawClient, request: Bytes, fds: &[BorrowedFd<'_>]) -> Result<()> {
    let reply = client.request(command::DEVICE_SET_IRQS, &request, fds)?;
    let reply = reply
        .success()
        .with_context(|| format!("SET_IRQS {:x?}", &request[..]))?;
    ensure!(reply.is_empty(), "the reply carries {} bytes", reply.len());
    Ok(())
}

/// Returns the widest index, if it has two vectors.
fn two_vectors(s: &Subject) -> Option<u32> {
    s.widest_irq()
        .filter(|irq| irq.count >= 2)
        .map(|irq| irq.index)
}

/// Returns a client with eventfds bound to vectors 0 and 1.
fn bound(s: &Subject, index: u32) -> Result<(RawClient, [Event; 2])> {
    let mut client = s.attach()?;
    let events = [Event::new()?, Event::new()?];
    let fds = [events[0].as_fd(), events[1].as_fd()];
    accepted(&mut client, irqs(EVENTFD | TRIGGER, index, 0, 2), &fds)?;
    Ok((client, events))
}

/// Checks that a request signals vector 1 and not vector 0.
fn triggered(s: &Subject, request: fn(u32) -> Bytes) -> Outcome {
    let Some(index) = two_vectors(s) else {
        return skip("no index has two vectors");
    };
    let (mut client, [first, second]) = bound(s, index)?;
    accepted(&mut client, request(index), &[])?;
    let signals = second.take_within(s.patience())?;
    ensure!(signals == 1, "vector 1 is signalled {signals} times");
    ensure!(first.take()? == 0, "vector 0 is signalled");
    holds()
}

fn maskable(s: &Subject) -> Option<u32> {
    let mut irqs = s.found.irqs.iter();
    irqs.find(|irq| irq.count > 0 && irq.flags & MASKABLE != 0)
        .map(|irq| irq.index)
}

/// Checks an eventfd for an action other than TRIGGER.
fn bound_to(s: &Subject, action: u32) -> Outcome {
    let Some(index) = maskable(s) else {
        return skip("no index is maskable");
    };
    let mut client = s.attach()?;
    let (trigger, other) = (Event::new()?, Event::new()?);
    accepted(
        &mut client,
        irqs(EVENTFD | TRIGGER, index, 0, 1),
        &[trigger.as_fd()],
    )?;
    accepted(
        &mut client,
        irqs(EVENTFD | action, index, 0, 1),
        &[other.as_fd()],
    )?;
    holds()
}
