//! Messages that arrive in two pieces, as long as they may be. Where the pieces part: behind every
//! byte of header and structure; around every power of two from 4 KiB on, the server's receive
//! buffer of 128 KiB and its multiples being among them; every 65,521 bytes; before the last byte.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};

use client_tests::control::Control;
use client_tests::daemon::Daemon;
use client_tests::os::Memory;
use client_tests::raw::wire::dma_map::{READ, WRITE};
use client_tests::raw::wire::{Bytes, HEADER, command, flag, message, region};
use client_tests::raw::{Message, RawClient, SmallWrite, write_multi};

use crate::asked::{Asked, BASE, SIZE};

const MEBI: usize = 1 << 20;
const BUFFER: usize = 128 * 1024;
/// More than the header and structure of any message.
const STRUCTURE: usize = HEADER + 48;

/// Returns the places at which a message of `len` bytes is cut.
fn cuts(len: usize) -> BTreeSet<usize> {
    let powers = (12..usize::BITS).map(|power| 1 << power);
    let buffers = (1..=len / BUFFER).map(|count| count * BUFFER);
    let edges = powers
        .chain(buffers)
        .take_while(|edge| *edge <= len + BUFFER);
    let around = edges.flat_map(|edge| [edge - 1, edge, edge + 1]);
    let coarse = (0..len).step_by(65_521);
    let all = (1..=STRUCTURE).chain(around).chain(coarse).chain([len - 1]);
    all.filter(|cut| (1..len).contains(cut)).collect()
}

/// A server, and a client whose function reaches memory and 2 MiB of RAM in BAR 2.
struct Pieces {
    daemon: Daemon,
    control: Control,
    client: RawClient,
}

impl Pieces {
    fn new() -> Self {
        let (daemon, mut client) = Daemon::testdev(&["bar.2.size=0x200000"]).unwrap();
        client.write(region::CONFIG, 4, &[6, 0]).unwrap();
        let control = daemon.control(0).unwrap();
        Self {
            daemon,
            control,
            client,
        }
    }

    /// Sends a command in two pieces and gives its reply.
    fn request(
        &mut self,
        number: u16,
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
        cut: usize,
    ) -> Vec<u8> {
        let id = self.client.next_id();
        let bytes = message(id, number, flag::COMMAND, payload);
        send(&self.client, &mut self.control, &bytes, fds, cut);
        let reply = self.client.receive().unwrap();
        assert_eq!((reply.id, reply.command), (id, number), "cut at {cut}");
        reply.success().unwrap()
    }
}

/// Sends the second piece when the server has looked at the first one.
fn send(
    client: &RawClient,
    control: &mut Control,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    cut: usize,
) {
    let (first, rest) = bytes.split_at(cut);
    client.send(first, fds).unwrap();
    // When it answers the second line, it is done with all that was there at the first.
    for _ in 0..2 {
        control.command(&["inspect", "slot.rail"]).unwrap();
    }
    client.send(rest, &[]).unwrap();
}

/// Bytes of which no two transfers have the same.
fn data(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| ((at + seed) * 7 % 251) as u8).collect()
}

fn access(region: u32, offset: u64, count: usize) -> Bytes {
    Bytes::new().u64(offset).u32(region).u32(count as u32)
}

#[test]
fn the_largest_writes_and_reads_arrive_whole() {
    let mut pieces = Pieces::new();
    let write = access(2, 0x8_0000, MEBI);
    for cut in cuts(HEADER + write.len() + MEBI) {
        let data = data(MEBI, cut);
        let reply = pieces.request(command::REGION_WRITE, &write.clone().bytes(&data), &[], cut);
        assert_eq!(reply, *write, "cut at {cut}");
        let back = pieces.client.read(2, 0x8_0000, MEBI as u32).unwrap();
        assert!(back == data, "cut at {cut}");
    }
    let data = data(MEBI, 1);
    pieces.client.write(2, 0x8_0000, &data).unwrap();
    for cut in cuts(HEADER + write.len()) {
        let reply = pieces.request(command::REGION_READ, &write, &[], cut);
        assert!(reply[..16] == *write && reply[16..] == data, "cut at {cut}");
    }
}

#[test]
fn writes_in_one_message_arrive_whole() {
    let mut pieces = Pieces::new();
    // As many as QEMU sends, and as many as fit.
    for count in [200, (MEBI - 8) / 24] {
        let len = HEADER + 8 + 24 * count;
        // The larger message takes its time, and begins as the smaller one does.
        let fine = cuts(len).into_iter();
        for cut in fine.filter(|cut| count == 200 || *cut > STRUCTURE) {
            let data = data(8 * count, cut);
            let writes = data.chunks(8).enumerate().map(|(at, data)| SmallWrite {
                region: 2,
                offset: 8 * at as u64,
                data,
            });
            let writes: Vec<SmallWrite<'_>> = writes.collect();
            let payload = write_multi(&writes);
            let reply = pieces.request(command::REGION_WRITE_MULTI, &payload, &[], cut);
            assert_eq!(reply, (count as u64).to_ne_bytes(), "cut at {cut}");
            let back = pieces.client.read(2, 0, data.len() as u32).unwrap();
            assert!(back == data, "{count} writes, cut at {cut}");
        }
    }
}

#[test]
fn a_map_gets_the_descriptor_that_came_with_its_first_byte() {
    const PAGE: u64 = 0x1000;
    let mut pieces = Pieces::new();
    let size = HEADER + 32;
    assert_eq!(cuts(size).len(), size - 1, "behind every byte");
    for cut in cuts(size) {
        let memory = Memory::new(2 * PAGE).unwrap();
        let data = data(PAGE as usize, cut);
        memory.write(0, &data).unwrap();
        let map = Bytes::new().u32(32).u32(READ | WRITE).u64(0);
        let map = map.u64(BASE).u64(2 * PAGE);
        let reply = pieces.request(command::DMA_MAP, &map, &[memory.as_fd()], cut);
        assert!(reply.is_empty(), "cut at {cut}");
        for (register, value) in [(0x20, BASE), (0x28, BASE + PAGE)] {
            let client = &mut pieces.client;
            client.write(0, register, &value.to_le_bytes()).unwrap();
        }
        for (register, value) in [(0x30, PAGE as u32), (0x34, 1), (0x38, 1)] {
            let client = &mut pieces.client;
            client.write(0, register, &value.to_le_bytes()).unwrap();
        }
        while pieces.client.read(0, 0x3c, 4).unwrap()[0] & 1 == 1 {}
        let copied = memory.read(PAGE, data.len()).unwrap();
        assert!(copied == data, "cut at {cut}");
        let unmap = Bytes::new().u32(24).u32(0).u64(BASE).u64(2 * PAGE);
        let reply = pieces.request(command::DMA_UNMAP, &unmap, &[], cut.min(HEADER + 23));
        assert_eq!(reply, *unmap, "cut at {cut}");
    }
}

#[test]
fn replies_to_dma_commands_arrive_whole() {
    let pieces = Pieces::new();
    let (_daemon, mut control) = (pieces.daemon, pieces.control);
    let mut asked = Asked::new(pieces.client);
    asked.map(BASE, SIZE);
    let (far, len) = (SIZE as usize / 2, SIZE as usize / 2);
    let all = cuts(HEADER + 16 + len);
    for cut in all {
        asked.memory[..len].copy_from_slice(&data(len, cut));
        asked.start(BASE, BASE + far as u64, len as u32, 1);
        let mut left = len;
        while left > 0 {
            let command = asked.client.receive().unwrap();
            left -= written(&command);
            let reply = asked.answer(&command).unwrap();
            send(
                &asked.client,
                &mut control,
                &reply,
                &[],
                cut.min(reply.len() - 1),
            );
        }
        assert_eq!(asked.outcome(), 0, "cut at {cut}");
        let (source, copy) = asked.memory.split_at(far);
        assert!(source[..len] == copy[..len], "cut at {cut}");
    }
}

/// Bytes of DMA_WRITE.
fn written(command: &Message) -> usize {
    match command.command {
        command::DMA_WRITE => command.payload.len() - 16,
        _ => 0,
    }
}
