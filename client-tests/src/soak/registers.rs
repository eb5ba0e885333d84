//! Memory behind a BAR: pipelined writes with and without reply, and reads of their data.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{Place, Tally};
use crate::raw::wire::{Bytes, command, flag};
use crate::testdev::Driver;

/// The BAR with memory, and the size of its part that is used at random.
const BAR: u32 = 2;
const SIZE: usize = 0x1_0000;
/// Number of writes that are sent before their replies are received.
const PIPELINED: usize = 32;
const LARGEST: usize = 2048;
const LARGEST_MESSAGE: usize = 1 << 20;

pub(super) fn run(place: &Place, tally: &mut Tally, until: Instant) -> Result<()> {
    let mut client = Driver::attach(&place.socket)?.client;
    let mut random = fastrand::Rng::new();
    let mut expected = vec![0; SIZE];
    // The largest messages there are come in every round, so that the daemon's buffers are soon as
    // large as they get.
    client.write(BAR, 0, &vec![0; LARGEST_MESSAGE])?;
    client.read(BAR, 0, LARGEST_MESSAGE as u32)?;
    while Instant::now() < until {
        let mut ids = Vec::new();
        for _ in 0..PIPELINED {
            let len = random.usize(1..=LARGEST);
            let at = random.usize(..SIZE - len);
            let data: Vec<u8> = (0..len).map(|_| random.u8(..)).collect();
            expected[at..at + len].copy_from_slice(&data);
            let payload = Bytes::new().u64(at as u64).u32(BAR).u32(len as u32);
            let flags = if random.bool() { flag::NO_REPLY } else { 0 };
            let id = client.post(command::REGION_WRITE, flags, &payload.bytes(&data), &[])?;
            if flags == 0 {
                ids.push(id);
            }
        }
        for id in ids {
            tally.sent("replies to pipelined writes", 1);
            let reply = client.receive()?;
            ensure!(reply.id == id, "reply {} came before {id}", reply.id);
            reply.success()?;
            tally.arrived("replies to pipelined writes", 1);
        }
        let (at, len) = (random.usize(..SIZE / 2), random.usize(1..=SIZE / 2));
        tally.sent("bytes written and read back", len as u64);
        let read = client.read(BAR, at as u64, len as u32)?;
        let same = read.iter().zip(&expected[at..]).filter(|(a, b)| a == b);
        tally.arrived("bytes written and read back", same.count() as u64);
    }
    Ok(())
}
