//! A client that is gone in the middle of what it says: after every byte of every kind of message.

use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use anyhow::Result;
use client_tests::os::{Event, Memory};
use client_tests::raw::wire::device_feature::{GET, PROBE, SET};
use client_tests::raw::wire::set_irqs::{ACTION_TRIGGER, DATA_EVENTFD};
use client_tests::raw::wire::{Bytes, command, flag, irq, message, region};
use client_tests::raw::{RawClient, SmallWrite, write_multi};

use super::bench::{Bench, Case, case};

/// Descriptors or bytes that come beside a message.
#[derive(Clone, Copy)]
enum Beside {
    Nothing,
    Event,
    Memory,
}

/// Every command that a client sends, well-formed, and the replies to what it is asked.
fn messages() -> Vec<(&'static str, u16, u32, Bytes, Beside)> {
    let info = |argsz| Bytes::new().u32(argsz).u32(0).u32(0).u32(0);
    let access = |region, count| Bytes::new().u64(0).u32(region).u32(count);
    let range = Bytes::new().u32(24).u32(0).u64(0x1000).u64(0x1000);
    let map = Bytes::new().u32(32).u32(3).u64(0).u64(0x1000).u64(0x1000);
    let irqs = Bytes::new().u32(20).u32(DATA_EVENTFD | ACTION_TRIGGER);
    let irqs = irqs.u32(irq::MSIX).u32(0).u32(1);
    let feature = |flags| Bytes::new().u32(8).u32(flags);
    let writes = [SmallWrite {
        region: region::CONFIG,
        offset: 4,
        data: &[6, 0],
    }; 2];
    let none = Beside::Nothing;
    vec![
        (
            "VERSION",
            command::VERSION,
            0,
            Bytes::new().u16(0).u16(1).bytes(b"{}\0"),
            none,
        ),
        ("DMA_MAP", command::DMA_MAP, 0, map, Beside::Memory),
        ("DMA_UNMAP", command::DMA_UNMAP, 0, range, none),
        (
            "DEVICE_GET_INFO",
            command::DEVICE_GET_INFO,
            0,
            info(16),
            none,
        ),
        (
            "DEVICE_GET_REGION_INFO",
            command::DEVICE_GET_REGION_INFO,
            0,
            info(32).u64(0).u64(0),
            none,
        ),
        (
            "DEVICE_GET_REGION_IO_FDS",
            command::DEVICE_GET_REGION_IO_FDS,
            0,
            info(16),
            none,
        ),
        (
            "DEVICE_GET_IRQ_INFO",
            command::DEVICE_GET_IRQ_INFO,
            0,
            info(16),
            none,
        ),
        (
            "DEVICE_SET_IRQS",
            command::DEVICE_SET_IRQS,
            0,
            irqs,
            Beside::Event,
        ),
        (
            "REGION_READ",
            command::REGION_READ,
            0,
            access(region::CONFIG, 4),
            none,
        ),
        (
            "REGION_WRITE",
            command::REGION_WRITE,
            flag::NO_REPLY,
            access(2, 8).bytes(&[7; 8]),
            none,
        ),
        (
            "REGION_WRITE_MULTI",
            command::REGION_WRITE_MULTI,
            0,
            write_multi(&writes),
            none,
        ),
        ("DEVICE_RESET", command::DEVICE_RESET, 0, Bytes::new(), none),
        (
            "DEVICE_FEATURE LOW_POWER_ENTRY_WITH_WAKEUP",
            command::DEVICE_FEATURE,
            0,
            Bytes::new().u32(16).u32(SET | 4).u64(0),
            Beside::Event,
        ),
        (
            "DEVICE_FEATURE MIGRATION",
            command::DEVICE_FEATURE,
            0,
            feature(PROBE | GET | 1),
            none,
        ),
        (
            "MIG_DATA_READ",
            command::MIG_DATA_READ,
            0,
            Bytes::new().u32(8).u32(64),
            none,
        ),
        (
            "MIG_DATA_WRITE",
            command::MIG_DATA_WRITE,
            0,
            Bytes::new().u32(12).u32(4).u32(1),
            none,
        ),
        (
            "a reply to DMA_READ",
            command::DMA_READ,
            flag::REPLY,
            access(4, 0).u32(1),
            none,
        ),
        (
            "a reply to DMA_WRITE",
            command::DMA_WRITE,
            flag::REPLY,
            access(4, 0),
            none,
        ),
        ("a command that is none", 99, 0, Bytes::new().u64(1), none),
    ]
}

pub fn cases() -> Vec<Case> {
    let killed = messages().into_iter().enumerate().map(|(at, kind)| {
        let name = format!("a client is killed after every byte of {}", kind.0);
        case(name, move |bench| killed_after_every_byte(bench, at))
    });
    let silent = case(
        "a client sends half of everything and stops sending",
        |bench| {
            for (at, (_, command, flags, payload, _)) in messages().iter().enumerate() {
                let half = message(1, *command, *flags, payload).len() / 2;
                let client = send_part(bench, at, half)?;
                let stream = UnixStream::from(client.as_fd().try_clone_to_owned()?);
                stream.shutdown(Shutdown::Write)?;
                client.closed()?;
            }
            Ok(())
        },
    );
    killed.chain([silent]).collect()
}

fn killed_after_every_byte(bench: &Bench, kind: usize) -> Result<()> {
    let (_, command, flags, payload, _) = &messages()[kind];
    for end in 0..=message(1, *command, *flags, payload).len() {
        drop(send_part(bench, kind, end)?);
    }
    Ok(())
}

/// A client that has sent so many bytes of a message, with what comes beside it.
fn send_part(bench: &Bench, kind: usize, end: usize) -> Result<RawClient> {
    let (_, command, flags, payload, beside) = &messages()[kind];
    let bytes = message(9, *command, *flags, payload);
    let client = if *command == command::VERSION {
        bench.connect()?
    } else {
        bench.attach()?
    };
    let (event, memory) = (Event::new()?, Memory::sealed(0x1000)?);
    let fds: &[BorrowedFd<'_>] = match beside {
        Beside::Nothing => &[],
        Beside::Event => &[event.as_fd()],
        Beside::Memory => &[memory.as_fd()],
    };
    let part = &bytes[..end.min(bytes.len())];
    if !part.is_empty() {
        client.send(part, fds)?;
    }
    Ok(client)
}
