//! Models with packets and with blocks, on the bench.

use std::collections::VecDeque;

use super::*;
use crate::bench::Bench;
use crate::model::prelude::*;
use crate::power::PowerState;

/// Sends packets back, two at a time, while register 0 is not zero.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Reflector {
    on: u32,
    link: bool,
    waiting: VecDeque<Vec<u8>>,
}

impl Model for Reflector {
    fn read(&mut self, _: &mut Context<'_>, _: u8, _: u64, _: Lanes) -> u32 {
        self.link.into()
    }

    fn write(&mut self, _: &mut Context<'_>, _: u8, _: u64, write: DwordWrite) {
        self.on = write.value();
    }

    fn backend(&mut self) -> Option<Backend<'_>> {
        Some(Backend::Packet(self))
    }

    fn reset(&mut self, _: &mut Context<'_>, _: ResetKind) {}
}

impl PacketPort for Reflector {
    fn receive(&mut self, cx: &mut Context<'_>, packet: &[u8]) -> bool {
        let room = self.waiting.len() < 2;
        if room {
            self.waiting.push_back(packet.to_vec());
            cx.interrupt(0);
        }
        room
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Vec<u8>> {
        (self.on != 0).then(|| self.waiting.pop_front()).flatten()
    }

    fn set_link(&mut self, _: &mut Context<'_>, up: bool) {
        self.link = up;
    }
}

#[test]
fn packets_wait_until_there_is_room_and_move_in_d0_only() {
    let mut bench = Bench::new(Box::<Reflector>::default()).unwrap();
    bench.set_connected(true);
    assert_eq!(bench.read(0, 0), 1);
    let taken = [b"one", b"two", b"six"].map(|packet| bench.packet_receive(packet));
    assert_eq!(taken, [true, true, false]);
    assert!(bench.intx());
    assert_eq!(bench.packet_transmit(), None);
    bench.write(0, 0, 1);
    bench.set_power_state(PowerState::D3hot);
    assert_eq!(bench.packet_transmit(), None);
    assert!(!bench.packet_receive(b"six"));
    bench.set_power_state(PowerState::D0);
    assert_eq!(bench.packet_transmit().as_deref(), Some(&b"one"[..]));
    assert!(bench.packet_receive(b"six"));
    // What is not of its kind does nothing.
    assert_eq!(
        (bench.serial_receive(b"x"), bench.serve_blocks(&mut [])),
        (0, 0)
    );
}

/// Copies the byte at offset N of a medium to offset M, and flushes, on a write of N | M << 16.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Mover {
    capacity: u64,
    asked: Option<u32>,
    byte: Option<u8>,
    flushing: bool,
    failed: bool,
}

impl Model for Mover {
    fn read(&mut self, _: &mut Context<'_>, _: u8, _: u64, _: Lanes) -> u32 {
        u32::from(self.failed) << 31 | self.capacity as u32
    }

    fn write(&mut self, _: &mut Context<'_>, _: u8, _: u64, write: DwordWrite) {
        self.asked = Some(write.value());
    }

    fn backend(&mut self) -> Option<Backend<'_>> {
        Some(Backend::Block(self))
    }

    fn reset(&mut self, _: &mut Context<'_>, _: ResetKind) {}
}

impl BlockDevice for Mover {
    fn set_capacity(&mut self, _: &mut Context<'_>, bytes: u64) {
        self.capacity = bytes;
    }

    fn next_request(&mut self, _: &mut Context<'_>) -> Option<BlockRequest> {
        if std::mem::take(&mut self.flushing) {
            let op = BlockOp::Flush;
            return Some(BlockRequest { tag: 2, op });
        }
        let asked = self.asked?;
        let (tag, op) = match self.byte {
            None => {
                let offset = u64::from(asked & 0xffff);
                (0, BlockOp::Read { offset, len: 1 })
            }
            Some(byte) => {
                let offset = u64::from(asked >> 16);
                let data = vec![byte];
                (1, BlockOp::Write { offset, data })
            }
        };
        Some(BlockRequest { tag, op })
    }

    fn complete(&mut self, cx: &mut Context<'_>, tag: u32, outcome: BlockOutcome<'_>) {
        match (tag, outcome) {
            (0, Ok(data)) => self.byte = data.first().copied(),
            (1, Ok(_)) => {
                (self.asked, self.byte, self.flushing) = (None, None, true);
            }
            (_, Ok(_)) => cx.interrupt(0),
            (_, Err(_)) => {
                self.failed = true;
                self.asked = None;
            }
        }
    }
}

#[test]
fn requests_for_blocks_end_under_their_tags() {
    let mut medium = *b"abcdefgh";
    let mut bench = Bench::new(Box::<Mover>::default()).unwrap();
    bench.write(0, 0, 0x0007_0001);
    assert_eq!(bench.serve_blocks(&mut medium), 3);
    assert_eq!(medium, *b"abcdefgb");
    assert!(bench.intx());
    assert_eq!(bench.read(0, 0), 8);
    bench.write(0, 0, 0x0000_0008);
    assert_eq!(bench.serve_blocks(&mut medium), 1);
    assert_eq!(bench.read(0, 0), 1 << 31 | 8);
}

#[test]
fn requests_have_limits() {
    let read = |offset, len| BlockOp::Read { offset, len }.check(1 << 30);
    assert_eq!(read(0, MAX_BLOCK_TRANSFER), Ok(()));
    assert_eq!(read(0, MAX_BLOCK_TRANSFER + 1), Err(BlockError::TooLong));
    assert_eq!(read((1 << 30) - 1, 1), Ok(()));
    assert_eq!(read(1 << 30, 0), Ok(()));
    assert_eq!(read(1 << 30, 1), Err(BlockError::OutOfRange));
    assert_eq!(read(u64::MAX, 2), Err(BlockError::OutOfRange));
    assert_eq!(BlockOp::Flush.check(0), Ok(()));
}
