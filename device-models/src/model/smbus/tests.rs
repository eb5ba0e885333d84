use std::ops::{Deref, DerefMut};

use proptest::prelude::*;

use super::registers::{AUX_CTL, BLOCK_DB, DAT0, DAT1, HSTCMD, HSTCNT, HSTSTS, SLV_CMD, XMIT_SLVA};
use super::*;
use crate::bench::Bench;
use crate::bench::testing::{COMMAND, D0, D3HOT, ENABLE};
use crate::model::i2c::{EEPROM, THERMOMETER};

const PMCSR: u64 = 0x54;
const PME_EN: u16 = 1 << 8;
const READ: u8 = 1;
/// Start, and an interrupt at the end.
const START: u8 = 0x41;
const DONE: u8 = 0x02;
const DEVICE_ERROR: u8 = 0x04;
const FAILED: u8 = 0x10;
const ALERT: u8 = 0x20;
const IN_USE: u8 = 0x40;
const BYTE_DONE: u8 = 0x80;
const HST_EN: u8 = 0x01;
const I2C_EN: u8 = 0x04;
const E32B: u8 = 0x02;
const SMBALERT_DIS: u8 = 0x04;
/// A byte of a block was moved, and the transaction continues.
const WAITS: u8 = BYTE_DONE | 0x01;

/// The function as its driver sees it.
struct Host(Bench);

impl Deref for Host {
    type Target = Bench;

    fn deref(&self) -> &Bench {
        &self.0
    }
}

impl DerefMut for Host {
    fn deref_mut(&mut self) -> &mut Bench {
        &mut self.0
    }
}

impl Host {
    fn of(set: &[(&str, &str)]) -> Self {
        Self(Bench::builtin("smbus", set))
    }

    fn new() -> Self {
        let mut bench = Self::of(&[]);
        bench.config(u64::from(HSTCFG), u16::from(HST_EN));
        bench
    }

    fn set(&mut self, register: u64, value: u8) {
        self.write_bytes(0, register, &[value]);
    }

    fn get(&mut self, register: u64) -> u8 {
        let [value] = self.read_bytes(0, register);
        value
    }

    fn intx(&self) -> bool {
        self.intx_levels().last() == Some(&true)
    }

    /// Returns the status without the semaphore.
    fn status(&mut self) -> u8 {
        self.get(HSTSTS) & !IN_USE
    }

    /// Performs a transaction with these registers until software has to act. Returns the status,
    /// which is cleared.
    fn transaction(&mut self, protocol: u8, slave: u8, [command, data0, data1]: [u8; 3]) -> u8 {
        for (register, value) in [
            (XMIT_SLVA, slave),
            (HSTCMD, command),
            (DAT0, data0),
            (DAT1, data1),
        ] {
            self.set(register, value);
        }
        self.set(HSTCNT, START | protocol << 2);
        assert_eq!(self.status(), 0x01, "busy, nothing else");
        self.settle()
    }

    fn settle(&mut self) -> u8 {
        self.pass(10);
        let status = self.status();
        assert!(self.intx(), "{status:#x}");
        self.set(HSTSTS, status & !BYTE_DONE);
        status
    }

    fn eeprom(&mut self, address: u8) -> u8 {
        assert_eq!(
            self.transaction(2, EEPROM << 1 | READ, [address, 0, 0]),
            DONE
        );
        self.get(DAT0)
    }
}

#[test]
fn registers_after_power_on_and_what_writes_leave_there() {
    for (register, reset, zeros, ones) in [
        (HSTSTS, 0x00, 0x00, 0x00),
        (HSTCNT, 0x00, 0x00, 0x3d),
        (HSTCMD, 0x00, 0x00, 0xff),
        (XMIT_SLVA, 0x00, 0x00, 0xff),
        (DAT0, 0x00, 0x00, 0xff),
        (DAT1, 0x00, 0x00, 0xff),
        (BLOCK_DB, 0x00, 0x00, 0xff),
        (0x08, 0x00, 0x00, 0xff),
        (0x09, 0x44, 0x00, 0x7f),
        (0x0c, 0x00, 0x00, 0x00),
        (AUX_CTL, 0x00, 0x00, 0x02),
        (0x0e, 0x07, 0x03, 0x07),
        (0x0f, 0x07, 0x03, 0x07),
        (0x10, 0x00, 0x00, 0x00),
        (SLV_CMD, 0x00, 0x00, 0x07),
        (0x14, 0x00, 0x00, 0x00),
        (0x1f, 0x00, 0x00, 0x00),
        (0xff, 0x00, 0x00, 0x00),
    ] {
        let mut bench = Host::of(&[]);
        assert_eq!(bench.get(register), reset, "{register:#x}");
        for (value, expected) in [(0x00, zeros), (0xbf, ones & 0xbf), (0xff, ones)] {
            bench.set(register, value);
            let found = bench.get(register) & !if register == HSTSTS { IN_USE } else { 0 };
            assert_eq!(found, expected, "{register:#x} after {value:#x}");
        }
        let now = bench.now;
        bench.function.reset(now, ResetKind::Flr);
        bench.config(COMMAND, ENABLE);
        assert_eq!(bench.get(register), reset, "{register:#x} after a reset");
    }
}

#[test]
fn the_protocols_move_data_between_registers_and_targets() {
    let mut bench = Host::new();
    let (eeprom, thermometer) = (EEPROM << 1, THERMOMETER << 1);
    for (what, protocol, slave, registers, data) in [
        ("Quick", 0, eeprom, [0x99; 3], None),
        ("Write Byte", 2, eeprom, [0x10, 0xa1, 0x99], None),
        ("Write Word", 3, eeprom, [0x12, 0xa3, 0xa4], None),
        ("Read Byte", 2, eeprom | READ, [0x10, 0, 0], Some([0xa1, 0])),
        (
            "Read Word",
            3,
            eeprom | READ,
            [0x12, 0, 0],
            Some([0xa3, 0xa4]),
        ),
        ("Send Byte", 1, eeprom, [0x13, 0, 0], None),
        (
            "Receive Byte",
            1,
            eeprom | READ,
            [0x77, 0, 0],
            Some([0xa4, 0]),
        ),
        (
            "Process Call",
            4,
            eeprom,
            [0x12, 0xb3, 0xb4],
            Some([0xff, 0xff]),
        ),
        (
            "Read Word",
            3,
            eeprom | READ,
            [0x12, 0, 0],
            Some([0xb3, 0xb4]),
        ),
        (
            "Read Word",
            3,
            thermometer | READ,
            [0x03, 0, 0],
            Some([0x50, 0x00]),
        ),
    ] {
        assert_eq!(
            bench.transaction(protocol, slave, registers),
            DONE,
            "{what}"
        );
        if let Some(data) = data {
            assert_eq!([bench.get(DAT0), bench.get(DAT1)], data, "{what}");
        }
    }
    for (protocol, slave) in [
        (0, 0x66),
        (1, 0x67),
        (2, 0x66),
        (3, 0x67),
        (4, 0x66),
        (5, 0x66),
        (6, 0x66),
    ] {
        assert_eq!(
            bench.transaction(protocol, slave, [0; 3]),
            DEVICE_ERROR,
            "{protocol}: nobody is there"
        );
    }
}

#[test]
fn a_block_goes_byte_by_byte() {
    let mut bench = Host::new();
    let write = |bench: &mut Host, bytes: &[u8]| {
        bench.set(BLOCK_DB, bytes[0]);
        let mut status = bench.transaction(5, EEPROM << 1, [0x20, bytes.len() as u8, 0]);
        for byte in &bytes[1..] {
            assert_eq!(status, WAITS);
            bench.set(BLOCK_DB, *byte);
            bench.set(HSTSTS, BYTE_DONE);
            status = bench.settle();
        }
        assert_eq!(status, WAITS, "of the last byte");
        bench.set(HSTSTS, BYTE_DONE);
        assert_eq!(bench.settle(), DONE);
    };
    write(&mut bench, &[3, 4]);
    assert_eq!(
        [0x20, 0x21, 0x22].map(|at| bench.eeprom(at)),
        [2, 3, 4],
        "the count first"
    );
    bench.config(u64::from(HSTCFG), u16::from(HST_EN | I2C_EN));
    write(&mut bench, &[3, 5, 6, 7]);
    assert_eq!(
        [0x20, 0x23].map(|at| bench.eeprom(at)),
        [3, 7],
        "no count on I2C"
    );

    let mut status = bench.transaction(5, EEPROM << 1 | READ, [0x20, 0, 0]);
    assert_eq!(bench.get(DAT0), 3, "the count comes from the target");
    let mut block = Vec::new();
    while status == WAITS {
        block.push(bench.get(BLOCK_DB));
        bench.set(HSTSTS, BYTE_DONE);
        status = bench.settle();
    }
    assert_eq!((status, block), (DONE, vec![5, 6, 7]));

    let mut status = bench.transaction(6, EEPROM << 1, [0x99, 0x99, 0x21]);
    let mut block = Vec::new();
    while status == WAITS {
        block.push(bench.get(BLOCK_DB));
        if block.len() == 2 {
            bench.set(HSTCNT, 0x39);
        }
        bench.set(HSTSTS, BYTE_DONE);
        status = bench.settle();
    }
    assert_eq!(
        (status, block),
        (DONE, vec![5, 6, 7]),
        "until software says that one byte is the last"
    );
}

#[test]
fn a_block_goes_through_the_buffer() {
    let mut bench = Host::new();
    bench.set(AUX_CTL, E32B);
    bench.get(HSTCNT);
    for byte in [5, 6, 7, 8] {
        bench.set(BLOCK_DB, byte);
    }
    let block = |bench: &mut Host| {
        bench.get(HSTCNT);
        (0..bench.get(DAT0))
            .map(|_| bench.get(BLOCK_DB))
            .collect::<Vec<_>>()
    };
    assert_eq!(bench.transaction(5, EEPROM << 1, [0x20, 3, 0]), DONE);
    assert_eq!(bench.eeprom(0x23), 7);
    assert_eq!(bench.transaction(5, EEPROM << 1 | READ, [0x20, 0, 0]), DONE);
    assert_eq!(block(&mut bench), [5, 6, 7]);
    // The memory's address is behind what the process call sent; there the count of the answer is.
    bench.transaction(2, EEPROM << 1, [0x33, 2, 0]);
    assert_eq!(bench.transaction(7, EEPROM << 1, [0x30, 2, 0]), DONE);
    assert_eq!(block(&mut bench), [0xff, 0xff]);
    assert_eq!([0x30, 0x31, 0x32].map(|at| bench.eeprom(at)), [2, 5, 6]);

    // Whatever the count, the buffer has 32 bytes.
    assert_eq!(bench.transaction(5, EEPROM << 1, [0x40, 255, 0]), DONE);
    assert_eq!(bench.transaction(5, EEPROM << 1 | READ, [0x23, 0, 0]), DONE);
    assert_eq!(bench.get(DAT0), 7);
}

#[test]
fn a_transaction_takes_its_time() {
    let mut bench = Host::new();
    bench.set(XMIT_SLVA, EEPROM << 1);
    bench.set(HSTCNT, START | 3 << 2);
    let due = bench
        .function
        .next_deadline()
        .map(|due| due.since(bench.now));
    assert_eq!(
        due,
        Some(4 * BYTE_TIME),
        "address, command, two bytes of data"
    );
}

#[test]
fn nothing_begins_while_the_host_interface_is_off_or_busy() {
    let mut bench = Host::of(&[]);
    bench.set(HSTCNT, START);
    assert_eq!((bench.status(), bench.function.next_deadline()), (0, None));
    let mut bench = Host::new();
    bench.set(XMIT_SLVA, EEPROM << 1);
    bench.set(HSTCNT, START);
    let due = bench.function.next_deadline();
    bench.set(HSTCNT, START | 3 << 2);
    assert_eq!(bench.function.next_deadline(), due);
    bench.set(HSTCNT, 0x02);
    assert_eq!(
        (bench.status(), bench.function.next_deadline()),
        (FAILED, None),
        "killed"
    );
}

#[test]
fn interrupts_follow_status_and_enable() {
    let mut bench = Host::new();
    bench.set(XMIT_SLVA, EEPROM << 1);
    bench.set(HSTCNT, START & !1);
    bench.pass(1);
    assert_eq!((bench.status(), bench.intx()), (DONE, false));
    bench.set(HSTCNT, 1);
    assert!(bench.intx());
    bench.set(HSTSTS, DONE);
    assert_eq!((bench.status(), bench.intx()), (0, false));
}

#[test]
fn the_semaphore_is_taken_by_reading() {
    let mut bench = Host::new();
    assert_eq!([bench.get(HSTSTS), bench.get(HSTSTS)], [0, IN_USE]);
    bench.set(HSTSTS, IN_USE);
    bench.get(HSTCNT);
    assert_eq!(bench.get(HSTSTS), 0, "other registers do not take it");
}

#[test]
fn an_alert_interrupts_and_wakes() {
    let mut bench = Host::new();
    let now = bench.now;
    bench.function.input(now, "no such input");
    assert_eq!(bench.status(), 0);
    bench.config(PMCSR, PME_EN | D3HOT);
    let now = bench.now;
    bench.function.input(now, "alert");
    bench.drain();
    assert!(bench.pme_status() && !bench.intx());
    bench.config(PMCSR, D0);
    bench.pass(10);
    assert!(bench.intx());
    assert_eq!(bench.status(), ALERT);
    bench.set(SLV_CMD, SMBALERT_DIS);
    assert!(!bench.intx());
    bench.set(HSTSTS, ALERT);
    assert_eq!(bench.status(), 0);
}

#[test]
fn only_a_soft_reset_on_the_way_back_from_d3hot_takes_the_context() {
    for (kept, set) in [(true, "true"), (false, "false")] {
        let mut bench = Host::of(&[("capabilities.pm.no-soft-reset", set)]);
        bench.config(u64::from(HSTCFG), u16::from(HST_EN));
        bench.transaction(2, EEPROM << 1, [0, 0x5a, 0]);
        bench.config(PMCSR, D3HOT);
        bench.config(PMCSR, D0);
        bench.pass(10);
        bench.config(COMMAND, ENABLE);
        assert_eq!(bench.get(DAT0), if kept { 0x5a } else { 0 });
        bench.set(HSTCNT, START);
        assert_eq!(bench.status() != 0, kept, "without HSTCFG nothing begins");
        bench.config(u64::from(HSTCFG), u16::from(HST_EN));
        bench.pass(1);
        bench.set(HSTSTS, 0xff);
        assert_eq!(bench.eeprom(0), 0x5a, "the target lives on");
    }
}

proptest! {
    /// Checks after any writes that read-only bits stay, a transaction ends, and software can clear
    /// its status.
    #[test]
    fn any_writes_leave_a_working_controller(writes in prop::collection::vec((0_u64..0x24, prop::collection::vec(any::<u8>(), 1..=8), 0_u64..2), 0..60)) {
        let mut bench = Host::new();
        for (offset, data, wait) in &writes {
            bench.write_bytes(0, *offset, data);
            bench.pass(*wait);
            for (register, bits, value) in [(HSTCNT, 0xc2, 0), (0x09, 0x80, 0), (AUX_CTL, 0xfd, 0), (0x0e, 0xfb, 3), (0x14, 0xff, 0)] {
                prop_assert_eq!(bench.get(register) & bits, value, "{:#x}", register);
            }
        }
        bench.set(HSTCNT, 0x02);
        bench.pass(1000);
        bench.set(HSTSTS, 0xff);
        prop_assert_eq!(bench.function.next_deadline(), None);
        prop_assert_eq!(bench.get(HSTSTS), 0);
    }
}
