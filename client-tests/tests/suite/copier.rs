//! The test function's copy engine, as its driver uses it.

use std::os::fd::AsFd;
use std::time::Instant;

use client_tests::daemon::Daemon;
use client_tests::os::Memory;
use client_tests::raw::wire::region;
use client_tests::raw::{PATIENCE, RawClient};

/// Bus addresses of the tests: source and destination of copies.
pub const SOURCE: u64 = 0x10_0000;
/// As [`SOURCE`].
pub const DESTINATION: u64 = 0x20_0000;
/// Size and alignment of maps.
pub const PAGE: u64 = 0x1000;

/// Bits of `DMA_STATUS`.
pub const BUSY: u32 = 1 << 0;
const DONE: u32 = 1 << 1;
const ERROR: u32 = 1 << 2;

/// A job of the copy engine is over: well, or with an error code.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Copied,
    Failed(u32),
}

/// A client with the copy engine at hand.
pub struct Copier {
    pub client: RawClient,
    _daemon: Daemon,
}

impl Copier {
    pub fn new(set: &[&str]) -> Self {
        let (daemon, mut client) = Daemon::testdev(set).unwrap();
        client.write(region::CONFIG, 4, &[6, 0]).unwrap();
        Self {
            client,
            _daemon: daemon,
        }
    }

    pub fn map(&mut self, flags: u32, address: u64, size: u64, memory: &Memory) {
        let reply = self
            .client
            .dma_map(flags, 0, address, size, Some(memory.as_fd()))
            .unwrap();
        assert!(
            reply.success().unwrap().is_empty(),
            "DMA_MAP has no reply payload"
        );
    }

    pub fn register(&mut self, offset: u64, value: u64, width: usize) {
        self.client
            .write(0, offset, &value.to_le_bytes()[..width])
            .unwrap();
    }

    pub fn start(&mut self, from: u64, to: u64, len: u32, count: u32) {
        self.register(0x20, from, 8);
        self.register(0x28, to, 8);
        self.register(0x30, len.into(), 4);
        self.register(0x34, count.into(), 4);
        self.register(0x38, 1, 4);
    }

    pub fn status(&mut self) -> u32 {
        u32::from_le_bytes(self.client.read(0, 0x3c, 4).unwrap().try_into().unwrap())
    }

    /// Waits until the job is over.
    pub fn outcome(&mut self) -> Outcome {
        let begun = Instant::now();
        loop {
            let status = self.status();
            if status & BUSY == 0 {
                assert_eq!(status & DONE, DONE, "{status:#x}");
                return match status & ERROR {
                    0 => Outcome::Copied,
                    _ => Outcome::Failed(status >> 8 & 0xff),
                };
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "the engine is still busy: {status:#x}"
            );
        }
    }

    pub fn copy(&mut self, from: u64, to: u64, len: u32) -> Outcome {
        self.start(from, to, len, 1);
        self.outcome()
    }
}

/// Bytes that differ from their neighbours.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 % 251) as u8).collect()
}

/// Source and destination of `size` bytes each, the source filled, both mapped.
pub fn buffers(
    copier: &mut Copier,
    make: fn(u64) -> std::io::Result<Memory>,
    flags: u32,
    size: u64,
) -> [Memory; 2] {
    let [source, destination] = [SOURCE, DESTINATION].map(|address| {
        let memory = make(size).unwrap();
        copier.map(flags, address, size, &memory);
        memory
    });
    source.write(0, &pattern(size as usize)).unwrap();
    [source, destination]
}
