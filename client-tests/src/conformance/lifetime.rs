//! Clients that connect, disconnect, stay silent, and disconnect in the middle of a message.

use std::os::fd::AsFd;

use anyhow::{Context, Result, ensure};

use super::Source::{LibvfioUser, Specification};
use super::dma::{ADDRESS, PAGE, map};
use super::subject::{Subject, Witness, get_info, goes_on};
use super::{Check, check, holds};
use crate::os::Memory;
use crate::raw::wire::dma_map::{READ, WRITE};
use crate::raw::wire::{self, command, flag, region};

pub(super) const CHECKS: &[Check] = &[
    check(
        "client.comes-back",
        Specification,
        "The server serves the next client after one has disconnected",
        |s| {
            for _ in 0..5 {
                goes_on(&mut s.attach()?)?;
            }
            holds()
        },
    ),
    check(
        "client.never-spoke",
        Specification,
        "After a client that said nothing the next is served",
        |s| {
            drop(s.connect()?);
            next(s)
        },
    ),
    check(
        "client.leaves-in-a-header",
        Specification,
        "After a client that left in the middle of a header the next is served",
        |s| {
            s.attach()?.send(&[0; 5], &[])?;
            next(s)
        },
    ),
    check(
        "client.leaves-in-a-payload",
        Specification,
        "After a client that left in the middle of a payload the next is served",
        |s| {
            let (command, payload) = get_info();
            let message = wire::message(1, command, flag::COMMAND, &payload);
            s.attach()?.send(&message[..20], &[])?;
            next(s)
        },
    ),
    check(
        "client.leaves-in-version",
        Specification,
        "After a client that left in the middle of VERSION the next is served",
        |s| {
            let message = wire::message(1, command::VERSION, flag::COMMAND, &[0; 8]);
            s.connect()?.send(&message[..18], &[])?;
            next(s)
        },
    ),
    check(
        "client.leaves-before-the-reply",
        LibvfioUser,
        "After a client that did not wait for replies the next is served",
        |s| {
            let mut client = s.attach()?;
            for _ in 0..16 {
                let payload = super::payload::access(region::CONFIG, 0, 256);
                client.post(command::REGION_READ, flag::COMMAND, &payload, &[])?;
            }
            drop(client);
            next(s)
        },
    ),
    check(
        "client.maps-are-dropped",
        Specification,
        "The server removes the maps of a client that disconnects: the next client can map the same range",
        |s| {
            let memory = Memory::sealed(PAGE)?;
            for _ in 0..2 {
                map(&mut s.attach()?, READ | WRITE, ADDRESS, PAGE, Some(&memory))?;
            }
            holds()
        },
    ),
    check(
        "client.descriptors-are-dropped",
        Specification,
        "The server closes the descriptors of an unfinished message when the client disconnects",
        |s| {
            let client = s.attach()?;
            let witness = Witness::new()?;
            let payload = super::payload::dma_map(READ, ADDRESS, PAGE);
            let message = wire::message(1, command::DMA_MAP, flag::COMMAND, &payload);
            client.send(&message[..30], &[witness.fd()])?;
            drop(client);
            witness.closed(s)?;
            next(s)
        },
    ),
    check(
        "client.device-stays",
        Specification,
        "A device keeps its state when a client disconnects: the next client reads the Interrupt Line that it wrote",
        |s| {
            let mut client = s.attach()?;
            let before = client.read(region::CONFIG, 0x3c, 1)?;
            client.write(region::CONFIG, 0x3c, &[0x5a])?;
            ensure!(
                client.read(region::CONFIG, 0x3c, 1)? == [0x5a],
                "it was not written"
            );
            drop(client);
            let mut client = s.attach()?;
            let after = client.read(region::CONFIG, 0x3c, 1)?;
            client.write(region::CONFIG, 0x3c, &before)?;
            ensure!(after == [0x5a], "it reads {after:x?}");
            holds()
        },
    ),
    check(
        "client.silent-other",
        Specification,
        "A client that connects and says nothing does not keep another from being served",
        |s| {
            let mut client = s.attach()?;
            // It may be refused, queued or taken.
            let other = s.open();
            goes_on(&mut client).context("with another client there")?;
            drop(other);
            goes_on(&mut client).context("after another client went")?;
            holds()
        },
    ),
    check(
        "client.half-closed",
        Specification,
        "The server answers requests that a client sent before it closed its sending side",
        |s| {
            let mut client = s.attach()?;
            let (command, payload) = get_info();
            let id = client.post(command, flag::COMMAND, &payload, &[])?;
            rustix::net::shutdown(client.as_fd(), rustix::net::Shutdown::Write)?;
            let reply = client.receive()?;
            ensure!(reply.id == id, "received {reply:?}");
            reply.success()?;
            next(s)
        },
    ),
];

fn next(s: &Subject) -> Result<super::Verdict> {
    goes_on(&mut s.attach()?).context("the next client")?;
    holds()
}
