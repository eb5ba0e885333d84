//! Headers, sizes, order and descriptors of messages.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::Source::{LibvfioUser, Specification};
use super::subject::{Subject, Witness, get_info, goes_on};
use super::{Check, Outcome, check, holds, payload, skip};
use crate::raw::wire::{self, Bytes, EINVAL, HEADER, command, field_u32, flag, header, region};

pub(super) const CHECKS: &[Check] = &[
    check(
        "message.size-zero",
        LibvfioUser,
        "A message with a size of 0 bytes gives EINVAL, and the connection continues after its header",
        |s| header_refused(s, command::DEVICE_RESET, 0, flag::COMMAND),
    ),
    check(
        "message.size-below-header",
        LibvfioUser,
        "A message with a size below that of its header (15 bytes) gives EINVAL, and the connection continues",
        |s| header_refused(s, command::DEVICE_RESET, 15, flag::COMMAND),
    ),
    check(
        "message.size-above-maximum",
        LibvfioUser,
        "A message larger than any transfer allows gives EINVAL; the connection may end, the server continues",
        |s| {
            let client = s.attach()?;
            client.send(&header(0xbad2, command::REGION_WRITE, u32::MAX, 0, 0), &[])?;
            ensure!(
                client.receive()?.failure()? == EINVAL,
                "the errno is not EINVAL"
            );
            drop(client);
            goes_on(&mut s.attach()?)?;
            holds()
        },
    ),
    check(
        "message.reply-to-nothing",
        LibvfioUser,
        "A message of type reply that answers nothing gives EINVAL",
        |s| header_refused(s, command::DEVICE_RESET, HEADER as u32, flag::REPLY),
    ),
    check(
        "message.unknown-type",
        LibvfioUser,
        "A message whose type is neither command nor reply gives EINVAL",
        |s| header_refused(s, command::DEVICE_RESET, HEADER as u32, 2),
    ),
    check(
        "message.header-only",
        LibvfioUser,
        "Only DEVICE_RESET may come without a payload; any other command that does gives EINVAL",
        |s| {
            let mut client = s.attach()?;
            for number in WITH_PAYLOAD {
                let reply = client.request(number, &[], &[]);
                let errno = reply.and_then(|reply| reply.failure());
                let errno = errno.with_context(|| format!("command {number} without payload"))?;
                ensure!(errno == EINVAL, "command {number}: {}", wire::name(errno));
            }
            goes_on(&mut client)?;
            holds()
        },
    ),
    check(
        "message.unknown-command",
        LibvfioUser,
        "Numbers that are no command are EINVAL: 0, 999, 65535",
        |s| {
            s.refused(0, &[0; 32])?;
            s.refused(999, &[0; 32])?;
            s.refused(u16::MAX, &[0; 32])
        },
    ),
    check(
        "message.removed-command",
        LibvfioUser,
        "Command 14, dirty pages of the first migration protocol, gives EINVAL",
        |s| s.refused(14, &[0; 32]),
    ),
    check(
        "message.precopy-info-short",
        LibvfioUser,
        "Command 19 with a payload of 1 byte gives EINVAL, whether the server knows the command or not",
        |s| s.refused(19, &[0]),
    ),
    check(
        "message.server-commands",
        Specification,
        "DMA_READ and DMA_WRITE go from server to client; from a client they are EINVAL",
        |s| {
            s.refused(command::DMA_READ, &[0; 16])?;
            s.refused(command::DMA_WRITE, &[0; 16])
        },
    ),
    check(
        "message.error-reply",
        Specification,
        "An error reply is a header of 16 bytes with id and command of the request, type reply and the Error bit",
        |s| {
            let mut client = s.attach()?;
            let request = wire::message(0xbad1, 999, flag::COMMAND, &[0; 8]);
            client.send(&request, &[])?;
            let reply = client.receive()?;
            ensure!(
                (reply.id, reply.command, reply.flags) == (0xbad1, 999, flag::REPLY | flag::ERROR),
                "received {reply:?}"
            );
            reply.failure()?;
            goes_on(&mut client)?;
            holds()
        },
    ),
    check(
        "message.id-repeats",
        Specification,
        "Message ids need not differ: two commands with the same id get a reply each",
        |s| {
            let client = s.attach()?;
            let (command, payload) = get_info();
            let one = wire::message(7, command, flag::COMMAND, &payload);
            client.send(&[one.clone(), one].concat(), &[])?;
            for _ in 0..2 {
                let reply = client.receive()?;
                ensure!(
                    (reply.id, reply.command) == (7, command),
                    "received {reply:?}"
                );
                reply.success()?;
            }
            holds()
        },
    ),
    check(
        "message.pieces",
        Specification,
        "A message may arrive in pieces, broken inside its header and inside its payload",
        |s| {
            let mut client = s.attach()?;
            let (command, payload) = get_info();
            let message = wire::message(9, command, flag::COMMAND, &payload);
            for piece in message.chunks(11) {
                client.send(piece, &[])?;
                std::thread::sleep(PIECES);
            }
            let reply = client.receive()?;
            ensure!(
                (reply.id, reply.command) == (9, command),
                "received {reply:?}"
            );
            reply.success()?;
            goes_on(&mut client)?;
            holds()
        },
    ),
    check(
        "message.order",
        Specification,
        "Commands sent without waiting are answered in the order in which they came",
        |s| {
            let client = s.attach()?;
            let (command, payload) = get_info();
            let many = (0..64).flat_map(|id| wire::message(id, command, flag::COMMAND, &payload));
            client.send(&many.collect::<Vec<u8>>(), &[])?;
            for id in 0..64 {
                let reply = client.receive()?;
                ensure!(reply.id == id, "reply {} came in place of {id}", reply.id);
                reply.success()?;
            }
            holds()
        },
    ),
    check(
        "message.no-reply",
        Specification,
        "A command with No_reply gets none and is finished before a later command is answered",
        no_reply,
    ),
    check(
        "message.no-reply-refused",
        Specification,
        "A refused command with No_reply gets no error reply either",
        |s| {
            let mut client = s.attach()?;
            client.post(command::REGION_READ, flag::NO_REPLY, &[0; 8], &[])?;
            client.post(999, flag::NO_REPLY, &[0; 8], &[])?;
            goes_on(&mut client)?;
            holds()
        },
    ),
    check(
        "message.rejected-descriptor",
        LibvfioUser,
        "Descriptors that came with a rejected message are closed",
        |s| {
            let mut client = s.attach()?;
            let witness = Witness::new()?;
            let reply = client.request(command::DEVICE_SET_IRQS, &[0; 8], &[witness.fd()]);
            reply?.failure()?;
            witness.closed(s)?;
            goes_on(&mut client)?;
            holds()
        },
    ),
    check(
        "message.surplus-descriptor",
        Specification,
        "Descriptors that come with a command that takes none are closed, whatever the reply says",
        |s| {
            let mut client = s.attach()?;
            let witness = Witness::new()?;
            let (command, payload) = get_info();
            client.request(command, &payload, &[witness.fd()])?;
            witness.closed(s)?;
            goes_on(&mut client)?;
            holds()
        },
    ),
];

/// Time between the pieces of a message, so that the server receives each by itself.
const PIECES: Duration = Duration::from_millis(50);

/// Commands of clients that require a payload, except VERSION.
const WITH_PAYLOAD: [u16; 13] = [
    command::DMA_MAP,
    command::DMA_UNMAP,
    command::DEVICE_GET_INFO,
    command::DEVICE_GET_REGION_INFO,
    command::DEVICE_GET_REGION_IO_FDS,
    command::DEVICE_GET_IRQ_INFO,
    command::DEVICE_SET_IRQS,
    command::REGION_READ,
    command::REGION_WRITE,
    command::REGION_WRITE_MULTI,
    command::DEVICE_FEATURE,
    command::MIG_DATA_READ,
    command::MIG_DATA_WRITE,
];

/// Checks that a header alone is refused.
fn header_refused(s: &Subject, command: u16, size: u32, flags: u32) -> Outcome {
    let mut client = s.attach()?;
    client.send(&header(0xbad1, command, size, flags, 0), &[])?;
    let reply = client.receive()?;
    ensure!(
        (reply.id, reply.command) == (0xbad1, command),
        "the reply is to another message: {reply:?}"
    );
    let errno = reply.failure()?;
    ensure!(errno == EINVAL, "the errno is {}", wire::name(errno));
    goes_on(&mut client)?;
    holds()
}

/// Checks a write without reply to a BAR register, whose value any device with a BAR changes.
fn no_reply(s: &Subject) -> Outcome {
    let Some(bar) = s.largest_bar() else {
        return skip("the device has no BAR");
    };
    let register = 0x10 + 4 * u64::from(bar.index);
    let mut client = s.attach()?;
    let before = client.read(region::CONFIG, register, 4)?;
    let ones = payload::access(region::CONFIG, register, 4).u32(u32::MAX);
    client.post(command::REGION_WRITE, flag::NO_REPLY, &ones, &[])?;
    let after = client.read(region::CONFIG, register, 4)?;
    client.write(region::CONFIG, register, &before)?;
    let mask = Bytes::new().u32(field_u32(&after, 0) & !0xf);
    let size = (bar.size.wrapping_neg() as u32) & !0xf;
    ensure!(
        field_u32(&mask, 0) == size,
        "the register reads {after:x?} after all ones were written to it, the BAR has {:#x} bytes",
        bar.size
    );
    holds()
}
