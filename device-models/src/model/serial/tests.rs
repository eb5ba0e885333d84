use proptest::prelude::*;

use super::FIFO;
use crate::bench::Bench;
use crate::bench::testing::{COMMAND, D0, D3HOT, ENABLE};
use crate::register::ResetKind;

const PMCSR: u64 = 0x44;
/// FCR: the FIFOs are on.
const FIFOS: u8 = 0x01;
/// FCR: clear the received bytes.
const CLEAR_RECEIVER: u8 = 0x02;
/// FCR: clear the bytes to send.
const CLEAR_TRANSMITTER: u8 = 0x04;
/// LCR: registers 0 and 1 are the divisor.
const DLAB: u8 = 0x80;
/// MCR: sent bytes are received.
const LOOP: u8 = 0x10;
/// MSR: DCD, DSR, CTS.
const CARRIER: u8 = 0xb0;
/// LSR: a byte is ready.
const READY: u8 = 0x01;
/// MCR: DTR, RTS.
const OPEN: u8 = 0x03;

impl Bench {
    fn port() -> Self {
        let mut bench = Self::builtin("serial", &[]);
        bench.set_connected(true);
        bench.put(4, OPEN);
        bench
    }

    fn get(&mut self, register: u64) -> u8 {
        let [value] = self.read_bytes(0, register);
        value
    }

    fn put(&mut self, register: u64, value: u8) {
        self.write_bytes(0, register, &[value]);
    }

    /// Feeds bytes from the back end. Returns the number of received bytes.
    fn feed(&mut self, bytes: &[u8]) -> usize {
        self.serial_receive(bytes)
    }

    /// Takes the bytes that the back end gets if it has room for `room` bytes.
    fn fetch(&mut self, room: usize) -> Vec<u8> {
        self.pass(1);
        self.serial_transmit(room)
    }

    fn wire(&self) -> bool {
        self.intx_levels().last().copied().unwrap_or(false)
    }
}

#[test]
fn registers_after_power_on_and_what_writes_leave_there() {
    // Register, with DLAB or without; after power-on; after all ones and LCR as it was.
    for (register, dlab, reset, after) in [
        (0, false, 0, 0),
        (0, true, 0, 0xff),
        (1, false, 0, 0x0f),
        (1, true, 0, 0xff),
        (2, false, 0x01, 0xc1),
        (3, false, 0, 0xff),
        (4, false, 0, 0x1f),
        (5, false, 0x60, 0x60),
        (6, false, 0, 0),
        (7, false, 0, 0xff),
    ] {
        let mut bench = Bench::builtin("serial", &[]);
        let select = if dlab { DLAB } else { 0 };
        bench.put(3, select);
        if register != 3 {
            assert_eq!(bench.get(register), reset, "{register} {dlab}");
        }
        bench.put(register, 0xff);
        if register == 0 && !dlab {
            bench.fetch(1);
        }
        assert_eq!(bench.get(register), after, "{register} {dlab}");
        bench.function.reset(bench.now, ResetKind::Flr);
        bench.config(COMMAND, ENABLE);
        bench.put(3, select);
        if register != 3 {
            assert_eq!(
                bench.get(register),
                reset,
                "{register} {dlab} after a reset"
            );
        }
    }
}

#[test]
fn an_access_reaches_no_register_but_its_own() {
    let mut bench = Bench::port();
    assert_eq!(bench.feed(&[0x41]), 1);
    for other in 1..8 {
        bench.get(other);
    }
    assert_eq!(bench.get(0), 0x41);
    // Registers 2 and 3 in one access.
    bench.write_bytes(0, 2, &[FIFOS, 0x1b]);
    assert_eq!(bench.read_bytes::<2>(0, 2), [0xc1, 0x1b]);
}

#[test]
fn interrupts_by_priority() {
    let mut bench = Bench::port();
    bench.put(2, FIFOS | 0x40);
    bench.get(6);
    bench.put(1, 0x0b);
    assert_eq!(bench.get(2), 0xc2, "enabled, and the transmitter is empty");
    assert_eq!((bench.get(2), bench.wire()), (0xc1, false), "it was seen");
    bench.set_connected(false);
    assert_eq!(bench.get(2), 0xc0, "the carrier is gone");
    bench.put(0, 1);
    assert_eq!(bench.get(2), 0xc0, "the transmitter is not empty");
    bench.fetch(16);
    assert_eq!(bench.get(2), 0xc2, "now it is");
    bench.feed(&[1, 2, 3]);
    assert_eq!(bench.get(2), 0xc0, "more may come");
    bench.pass(1);
    assert_eq!(bench.get(2), 0xcc, "below the trigger level");
    bench.feed(&[4]);
    assert_eq!((bench.get(2), bench.wire()), (0xc4, true));
    for _ in 0..4 {
        bench.get(0);
    }
    assert_eq!(bench.get(6), 0x0b, "DCD, DSR, CTS went off");
    assert_eq!((bench.get(2), bench.wire()), (0xc1, false));
}

#[test]
fn enabling_the_interrupt_of_an_empty_transmitter_interrupts_each_time() {
    let mut bench = Bench::port();
    for _ in 0..2 {
        bench.put(1, 0x02);
        assert_eq!((bench.get(2), bench.get(2)), (0x02, 0x01));
        bench.put(1, 0);
    }
    bench.put(0, 1);
    bench.put(1, 0x02);
    assert_eq!((bench.get(2), bench.get(5)), (0x01, 0), "it is not empty");
}

#[test]
fn a_loop_connects_the_ends_and_nobody_else() {
    let mut bench = Bench::port();
    for (outputs, inputs) in [
        (0x01, 0x20),
        (0x02, 0x10),
        (0x04, 0x40),
        (0x08, 0x80),
        (0x0f, 0xf0),
    ] {
        bench.put(4, LOOP | outputs);
        assert_eq!(bench.get(6) & 0xf0, inputs, "{outputs:#x}");
    }
    bench.put(0, 0x5a);
    assert_eq!((bench.get(5), bench.get(0)), (0x61, 0x5a));
    assert_eq!((bench.feed(&[1]), bench.fetch(1)), (0, vec![]));
    bench.put(4, OPEN);
    assert_eq!(bench.feed(&[1]), 1);
}

#[test]
fn the_other_end_waits_for_rts_for_room_and_for_d0() {
    let mut bench = Bench::port();
    let bytes = [7; 20];
    assert_eq!((bench.feed(&bytes), bench.feed(&bytes)), (1, 0), "no FIFO");
    bench.put(2, FIFOS);
    assert_eq!((bench.feed(&bytes), bench.feed(&bytes)), (16, 0));
    bench.put(2, FIFOS | CLEAR_RECEIVER);
    bench.put(4, 0);
    assert_eq!(bench.feed(&bytes), 0, "RTS is off");
    bench.put(4, OPEN);
    bench.config(PMCSR, D3HOT);
    assert_eq!((bench.feed(&bytes), bench.fetch(1)), (0, vec![]), "asleep");
    bench.config(PMCSR, D0);
    bench.config(COMMAND, ENABLE);
    assert_eq!(bench.get(4), 0, "the driver has to program it again");
    assert_eq!(bench.get(6) & CARRIER, CARRIER, "the cable is still there");
}

#[test]
fn bytes_leave_when_the_fifo_is_full_or_no_more_come() {
    let mut bench = Bench::port();
    bench.put(2, FIFOS);
    for written in 1..=FIFO {
        bench.put(0, 1);
        let left = bench.serial_transmit(99).len();
        assert_eq!(left, if written == FIFO { FIFO } else { 0 });
    }
    bench.put(0, 1);
    assert_eq!((bench.get(5) & 0x20, bench.fetch(99).len()), (0, 1));
    assert_eq!(bench.get(5) & 0x20, 0x20);
}

#[test]
fn the_fifo_control_forgets_what_it_is_told_to() {
    for (fcr, ready, sent) in [
        (FIFOS, 0x01, 3),
        (FIFOS | CLEAR_RECEIVER, 0x00, 3),
        (FIFOS | CLEAR_TRANSMITTER, 0x61, 0),
        (0, 0x60, 0),
    ] {
        let mut bench = Bench::port();
        bench.put(2, FIFOS);
        bench.feed(&[1, 2, 3]);
        for byte in 0..3 {
            bench.put(0, byte);
        }
        bench.put(2, fcr);
        assert_eq!(bench.get(5), ready, "{fcr:#x}");
        assert_eq!(bench.fetch(16).len(), sent, "{fcr:#x}");
    }
}

#[test]
fn bytes_beyond_the_transmitter_are_lost_as_on_silicon() {
    let mut bench = Bench::port();
    bench.put(2, FIFOS);
    for byte in 0..20 {
        bench.put(0, byte);
    }
    assert_eq!(bench.fetch(99), (0..16).collect::<Vec<_>>());
}

proptest! {
    /// Checks after any accesses that FIFOs keep their bounds, INTx follows IIR, and bytes move
    /// both ways after the FIFOs were cleared.
    #[test]
    fn any_accesses_leave_a_working_port(
        accesses in prop::collection::vec((0_u64..8, any::<u8>(), any::<bool>(), 0_usize..3), 0..120),
    ) {
        let mut bench = Bench::port();
        for (register, value, write, room) in accesses {
            if write {
                bench.put(register, value);
            } else {
                bench.get(register);
            }
            prop_assert!(bench.feed(&[value; 20]) <= FIFO);
            prop_assert!(bench.fetch(room).len() <= room);
            let wire = bench.wire();
            prop_assert_eq!(bench.get(2) & 0x01 == 0, wire);
        }
        bench.put(3, 0);
        bench.put(4, OPEN);
        bench.put(2, 0);
        bench.put(2, FIFOS);
        prop_assert_eq!((bench.feed(b"in"), bench.get(0), bench.get(0)), (2, b'i', b'n'));
        bench.put(0, b'o');
        prop_assert_eq!(bench.get(5), 0);
        prop_assert_eq!((bench.fetch(99), bench.get(5)), (vec![b'o'], 0x60));
    }

    /// Checks that no byte is lost and the order is kept, whatever the FIFOs hold, with a driver
    /// that checks the status before it writes and a back end with limited room.
    #[test]
    fn every_byte_arrives_once_and_in_order(
        turns in prop::collection::vec((0_usize..24, 0_usize..24, 0_usize..24, 0_usize..24), 1..80),
        fifos in any::<bool>(),
    ) {
        let mut bench = Bench::port();
        bench.put(2, fifos.into());
        let (mut fed, mut got, mut sent, mut fetched) = (0_u64, Vec::new(), 0_u64, Vec::new());
        for (feed, read, write, fetch) in turns {
            let bytes: Vec<u8> = (fed..fed + feed as u64).map(|n| n as u8).collect();
            fed += bench.feed(&bytes) as u64;
            for _ in 0..read {
                if bench.get(5) & READY != 0 {
                    got.push(bench.get(0));
                }
            }
            if bench.get(5) & 0x20 != 0 {
                for _ in 0..write.min(if fifos { FIFO } else { 1 }) {
                    bench.put(0, sent as u8);
                    sent += 1;
                }
            }
            fetched.extend(bench.fetch(fetch));
        }
        while bench.get(5) & READY != 0 {
            got.push(bench.get(0));
        }
        fetched.extend(bench.fetch(FIFO));
        let in_order = |count: u64| (0..count).map(|n| n as u8).collect::<Vec<_>>();
        prop_assert_eq!(got, in_order(fed));
        prop_assert_eq!(fetched, in_order(sent));
    }
}
