//! Clients that are silent, slow or deaf, beside one that is busy.

use std::time::Duration;

use anyhow::Result;
use client_tests::os;
use client_tests::raw::RawClient;
use client_tests::raw::wire::{Bytes, command, flag, header, message, region};

use super::bench::{Bench, Case, case};

/// Requests of the busy one between two signs of life of the other.
const REQUESTS: u32 = 20;

pub fn cases() -> Vec<Case> {
    vec![
        case("a silent client beside a busy one", |bench| {
            let _silent = bench.connect()?;
            busy(&mut bench.neighbour()?)
        }),
        case(
            "a client that sends a byte at a time beside a busy one",
            |bench| {
                let (slow, mut neighbour) = (bench.connect()?, bench.neighbour()?);
                let version = Bytes::new().u16(0).u16(1);
                for byte in message(1, command::VERSION, flag::COMMAND, &version) {
                    slow.send(&[byte], &[])?;
                    busy(&mut neighbour)?;
                }
                slow.receive()?.success().map(drop)
            },
        ),
        case(
            "a client that announces much and sends nothing beside a busy one",
            |bench| {
                let (large, mut neighbour) = (bench.attach()?, bench.neighbour()?);
                let size = 16 + 16 + (1 << 20);
                large.send(
                    &header(1, command::REGION_WRITE, size, flag::COMMAND, 0),
                    &[],
                )?;
                busy(&mut neighbour)
            },
        ),
        case("a client that takes no replies beside a busy one", deaf),
        case("a client that floods the server beside a busy one", flood),
    ]
}

fn busy(client: &mut RawClient) -> Result<()> {
    for _ in 0..REQUESTS {
        client.read(region::CONFIG, 0, 4)?;
    }
    Ok(())
}

/// Posts reads of 64 KiB until nothing more goes in.
fn deaf(bench: &Bench) -> Result<()> {
    use std::os::fd::AsFd;
    let (mut deaf, mut neighbour) = (bench.attach()?, bench.neighbour()?);
    while os::writable(deaf.as_fd(), Duration::from_millis(20))? {
        deaf.post_read(2, 0, 0x1_0000)?;
        busy(&mut neighbour)?;
    }
    busy(&mut neighbour)
}

fn flood(bench: &Bench) -> Result<()> {
    let (mut loud, mut neighbour) = (bench.attach()?, bench.neighbour()?);
    let write = Bytes::new().u64(0).u32(2).u32(1024).bytes(&[7; 1024]);
    for _ in 0..50 {
        for _ in 0..100 {
            loud.post(command::REGION_WRITE, flag::NO_REPLY, &write, &[])?;
        }
        neighbour.read(region::CONFIG, 0, 4)?;
    }
    loud.read(region::CONFIG, 0, 4).map(drop)
}
