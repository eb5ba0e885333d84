//! The copy engine with memory that only the client reaches: the client serves DMA_READ and
//! DMA_WRITE.

use std::time::Instant;

use anyhow::{Result, bail, ensure};

use super::{Place, Tally};
use crate::os::Event;
use crate::raw::wire::dma_map::{READ, WRITE};
use crate::raw::wire::{Bytes, command, field_u64, flag, message};
use crate::raw::{Message, RawClient};
use crate::testdev::{Driver, VECTORS, go, register};

const BASE: u64 = 0x10_0000;
const SIZE: usize = 0x4_0000;
const LARGEST: usize = 20_000;

pub(super) fn run(place: &Place, tally: &mut Tally, until: Instant) -> Result<()> {
    let (mut driver, events) = Driver::with_messages(&place.socket)?;
    let mut random = fastrand::Rng::new();
    let mapped = driver
        .client
        .dma_map(READ | WRITE, 0, BASE, SIZE as u64, None)?;
    mapped.success()?;
    let mut memory: Vec<u8> = (0..SIZE).map(|_| random.u8(..)).collect();
    while Instant::now() < until {
        let len = random.usize(1..=LARGEST);
        let from = random.usize(..SIZE / 2 - len);
        let to = random.usize(SIZE / 2..SIZE - len);
        let vector = random.u32(..VECTORS);
        let mut expected = memory.clone();
        expected.copy_within(from..from + len, to);
        tally.sent("bytes copied by message", len as u64);
        tally.sent("messages of copies by message", 1);
        driver.prepare_copy(BASE + from as u64, BASE + to as u64, len as u32, 1)?;
        driver.set_register(register::DMA_CTRL, go(vector))?;
        let signals = serve(&mut driver.client, &mut memory, &events[vector as usize])?;
        tally.arrived("messages of copies by message", signals);
        let same = memory.iter().zip(&expected).skip(to).take(len);
        let same = same.filter(|(a, b)| a == b).count();
        tally.arrived("bytes copied by message", same as u64);
        ensure!(memory == expected, "a copy wrote beside its destination");
    }
    Ok(())
}

/// Serves commands until the message that ends the copy has come. Returns the number of such
/// messages.
fn serve(client: &mut RawClient, memory: &mut [u8], done: &Event) -> Result<u64> {
    loop {
        match done.take()? {
            0 => {}
            signals => return Ok(signals),
        }
        // A register read goes in between, as a guest's would, and keeps the wait from being for
        // something that does not come.
        let id = client.post_read(0, register::DMA_STATUS, 4)?;
        loop {
            let message = client.receive()?;
            if message.flags & flag::TYPE == flag::REPLY {
                ensure!(message.id == id, "{message:?} is no reply to {id}");
                message.success()?;
                break;
            }
            let answer = answer(&message, memory)?;
            client.send(&answer, &[])?;
        }
    }
}

fn answer(asked: &Message, memory: &mut [u8]) -> Result<Vec<u8>> {
    let (address, count) = (field_u64(&asked.payload, 0), field_u64(&asked.payload, 8));
    let at = (address - BASE) as usize;
    let Some(place) = memory.get_mut(at..at + count as usize) else {
        bail!("asked for {count} bytes at {address:#x}, where nothing is mapped");
    };
    let reply = Bytes::new().u64(address).u64(count);
    let reply = match asked.command {
        command::DMA_READ => reply.bytes(place),
        command::DMA_WRITE => {
            place.copy_from_slice(&asked.payload[16..]);
            reply
        }
        other => bail!("command {other} is none of a server's"),
    };
    Ok(message(asked.id, asked.command, flag::REPLY, &reply))
}
