use std::ops::{Deref, DerefMut};

use proptest::prelude::*;

use super::*;
use crate::bench::Bench;
use crate::bench::testing::{COMMAND, D0, D3HOT, ENABLE as DECODE};
use crate::effect::MessageKind;
use crate::model::i2c::{EEPROM, THERMOMETER};

const PMCSR: u64 = 0x84;
const MSI_CONTROL: u64 = 0x92;
const READ: u32 = 1 << 8;
const STOP: u32 = 1 << 9;
const RESTART: u32 = 1 << 10;
const RX_UNDER: u32 = 1 << 0;
const RX_OVER: u32 = 1 << 1;
const RX_FULL: u32 = 1 << 2;
const TX_OVER: u32 = 1 << 3;
const TX_EMPTY: u32 = 1 << 4;
const TX_ABRT: u32 = 1 << 6;
const ACTIVITY: u32 = 1 << 8;
const STOP_DET: u32 = 1 << 9;
const START_DET: u32 = 1 << 10;
const MST_ON_HOLD: u32 = 1 << 13;
const ABRT_7B_ADDR_NOACK: u32 = 1 << 0;
const ABRT_USER_ABRT: u32 = 1 << 16;

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
    fn new() -> Self {
        Self(Bench::builtin("i2c-designware", &[]))
    }

    /// Enabled, with this target, every interrupt masked.
    fn talking_to(target: u8) -> Self {
        let mut host = Self::new();
        host.set_up(target);
        host
    }

    fn set_up(&mut self, target: u8) {
        self.set(ENABLE, 0);
        self.set(INTR_MASK, 0);
        self.set(TAR, target.into());
        self.set(ENABLE, 1);
    }

    fn set(&mut self, register: u64, value: u32) {
        self.write(0, register, value);
    }

    fn get(&mut self, register: u64) -> u32 {
        self.read(0, register)
    }

    /// Writes these commands and lets them be performed.
    fn send(&mut self, commands: &[u32]) {
        for command in commands {
            self.set(DATA_CMD, *command);
        }
        self.pass(10);
    }

    fn received(&mut self) -> Vec<u32> {
        (0..self.get(RXFLR)).map(|_| self.get(DATA_CMD)).collect()
    }
}

#[test]
fn registers_after_power_on_and_what_writes_leave_there() {
    for (register, reset, ones) in [
        (CON, 0x65, 0x3ff),
        (TAR, 0x55, 0xfff),
        (0x08, 0x55, 0x3ff),
        (DATA_CMD, 0, 0),
        (SS_SCL_HCNT, 0x190, 0xffff),
        (SS_SCL_LCNT, 0x1d6, 0xffff),
        (FS_SCL_HCNT, 0x3c, 0xffff),
        (FS_SCL_LCNT, 0x82, 0xffff),
        (0x24, 0, 0),
        (INTR_STAT, 0, 0),
        (INTR_MASK, 0x8ff, 0x3fff),
        (RAW_INTR_STAT, 0, 0),
        (RX_TL, 0, 0xff),
        (TX_TL, 0, 0xff),
        (CLR_INTR, 0, 0),
        (ENABLE, 0, 1),
        (STATUS, 0x06, 0x06),
        (TXFLR, 0, 0),
        (RXFLR, 0, 0),
        (0x7c, 0x01, 0x00ff_ffff),
        (TX_ABRT_SOURCE, 0, 0),
        (0x88, 0, 0),
        (0x94, 0x64, 0xff),
        (0x98, 0x01, 0x01),
        (ENABLE_STATUS, 0, 0),
        (0xa0, 0x02, 0xff),
        (0xf4, 0x001f_1faa, 0x001f_1faa),
        (0xf8, 0x3132_302a, 0x3132_302a),
        (0xfc, 0x4457_0140, 0x4457_0140),
        (0x100, 0, 0),
        (0xffc, 0, 0),
    ] {
        let mut host = Host::new();
        assert_eq!(host.get(register), reset, "{register:#x}");
        host.set(register, u32::MAX);
        assert_eq!(host.get(register), ones, "{register:#x} after ones");
        let now = host.now;
        host.function.reset(now, ResetKind::Flr);
        host.config(COMMAND, DECODE);
        assert_eq!(host.get(register), reset, "{register:#x} after a reset");
    }
}

#[test]
fn what_sets_the_block_up_stays_while_it_is_enabled() {
    let mut host = Host::new();
    host.set(ENABLE, 1);
    for register in [
        CON,
        TAR,
        SAR,
        SS_SCL_HCNT,
        SS_SCL_LCNT,
        FS_SCL_HCNT,
        FS_SCL_LCNT,
        SDA_HOLD,
        FS_SPKLEN,
    ] {
        let before = host.get(register);
        host.set(register, !before);
        assert_eq!(host.get(register), before, "{register:#x}");
    }
    host.set(RX_TL, 7);
    assert_eq!(host.get(RX_TL), 7, "thresholds may change at any time");
}

#[test]
fn bytes_go_to_the_target_and_come_back() {
    let mut host = Host::talking_to(EEPROM);
    host.send(&[0x10, 0xa1, 0xa2, 0xa3 | STOP]);
    host.send(&[0x10, READ | RESTART, READ, READ | STOP]);
    assert_eq!(host.received(), [0xa1, 0xa2, 0xa3]);
    host.set_up(THERMOMETER);
    // The direction changes: START again, whether it is asked for or not.
    host.send(&[0x03, READ, READ | STOP]);
    assert_eq!(host.received(), [0x50, 0x00]);
}

#[test]
fn interrupts_tell_how_a_transfer_goes() {
    let mut host = Host::talking_to(EEPROM);
    assert_eq!(host.get(RAW_INTR_STAT), TX_EMPTY);
    host.set(DATA_CMD, 0x10);
    assert_eq!((host.get(TXFLR), host.get(RAW_INTR_STAT)), (1, 0));
    host.pass(10);
    let on_hold = TX_EMPTY | ACTIVITY | START_DET | MST_ON_HOLD;
    assert_eq!(host.get(RAW_INTR_STAT), on_hold);
    assert_eq!(host.get(STATUS), 0x27);
    host.send(&[READ | STOP]);
    let over = TX_EMPTY | ACTIVITY | START_DET | STOP_DET;
    assert_eq!(host.get(RAW_INTR_STAT), over | RX_FULL);
    assert_eq!(host.get(STATUS), 0x0e);
    host.get(DATA_CMD);
    assert_eq!(host.get(RAW_INTR_STAT), over);
    for (clears, bits) in [(0x5c, ACTIVITY), (0x60, STOP_DET), (0x64, START_DET)] {
        assert_ne!(host.get(RAW_INTR_STAT) & bits, 0);
        host.get(clears);
        assert_eq!(host.get(RAW_INTR_STAT) & bits, 0, "{clears:#x}");
    }
    host.set(ENABLE, 0);
    assert_eq!(host.get(RAW_INTR_STAT), 0, "nothing is empty that is off");
}

#[test]
fn a_command_takes_the_clocks_that_software_has_set() {
    // Control, counts of standard and of fast mode; nanoseconds of an address and a byte.
    for (control, [standard, fast], expected) in
        [(0x63, [100, 10], 18 * 2000), (0x65, [100, 10], 18 * 200)]
    {
        let mut host = Host::new();
        host.set(CON, control);
        for (registers, count) in [
            ([SS_SCL_HCNT, SS_SCL_LCNT], standard),
            ([FS_SCL_HCNT, FS_SCL_LCNT], fast),
        ] {
            for register in registers {
                host.set(register, count);
            }
        }
        host.set_up(EEPROM);
        host.set(DATA_CMD, 0);
        let due = host.function.next_deadline().map(Time::as_nanos);
        assert_eq!(due, Some(expected), "{control:#x}");
    }
}

#[test]
fn what_goes_wrong_is_told() {
    let mut host = Host::talking_to(0x51);
    host.send(&[0x10, 0x11, 0x12 | STOP]);
    assert_eq!(host.get(TX_ABRT_SOURCE), ABRT_7B_ADDR_NOACK);
    assert_eq!(
        host.get(RAW_INTR_STAT) & (TX_ABRT | STOP_DET),
        TX_ABRT | STOP_DET
    );
    host.send(&[0x10]);
    assert_eq!(
        host.get(TXFLR),
        0,
        "the FIFO stays empty until software has seen it"
    );
    host.get(CLR_TX_ABRT);
    assert_eq!(
        (host.get(TX_ABRT_SOURCE), host.get(RAW_INTR_STAT) & TX_ABRT),
        (0, 0)
    );

    host.get(CLR_INTR);
    host.get(DATA_CMD);
    assert_eq!(host.get(RAW_INTR_STAT), TX_EMPTY | RX_UNDER);
    host.get(CLR_INTR);
    host.set_up(EEPROM);
    for _ in 0..=FIFO_DEPTH {
        host.set(DATA_CMD, READ);
    }
    assert_eq!((host.get(TXFLR), host.get(RAW_INTR_STAT)), (32, TX_OVER));
    host.pass(10);
    assert_eq!(
        (host.get(RXFLR), host.get(RAW_INTR_STAT) & RX_OVER),
        (32, 0)
    );
    host.send(&[READ]);
    assert_eq!(
        (host.get(RXFLR), host.get(RAW_INTR_STAT) & RX_OVER),
        (32, RX_OVER)
    );
    host.set(ENABLE, 3);
    assert_eq!(
        (host.get(ENABLE), host.get(TX_ABRT_SOURCE)),
        (1, ABRT_USER_ABRT)
    );
    host.set(ENABLE, 0);
    assert_eq!(
        (host.get(RXFLR), host.get(STATUS)),
        (0, 0x06),
        "disabled, it forgets"
    );
}

#[test]
fn the_line_is_a_level_and_each_new_interrupt_a_message() {
    let mut host = Host::talking_to(EEPROM);
    host.set(INTR_MASK, TX_EMPTY | STOP_DET);
    assert_eq!(host.intx_levels(), [true]);
    host.set(INTR_MASK, STOP_DET);
    assert_eq!(host.intx_levels(), [true, false]);
    host.config(MSI_CONTROL, 1);
    host.set(INTR_MASK, TX_EMPTY | STOP_DET);
    assert_eq!(host.messages().len(), 1);
    host.send(&[0x10 | STOP]);
    assert_eq!(
        host.messages(),
        [(MessageKind::Msi, 0); 2],
        "STOP came while TX_EMPTY was there"
    );
    host.get(INTR_STAT);
    assert_eq!(host.messages().len(), 2, "nothing new");
    assert_eq!(host.intx_levels(), [true, false]);
}

#[test]
fn d3hot_takes_the_registers_and_leaves_the_targets() {
    let mut host = Host::talking_to(EEPROM);
    host.send(&[0x10, 0xa1 | STOP]);
    host.config(PMCSR, D3HOT);
    host.config(PMCSR, D0);
    host.pass(10);
    host.config(COMMAND, DECODE);
    assert_eq!(
        (host.get(ENABLE), host.get(TAR), host.get(RAW_INTR_STAT)),
        (0, 0x55, 0)
    );
    host.set_up(EEPROM);
    host.send(&[0x10, READ | STOP]);
    assert_eq!(host.received(), [0xa1]);
}

proptest! {
    /// Checks after any accesses that FIFOs keep their bounds and agree with the status, read-only
    /// bits stay, the interrupt line follows the interrupts, and the block works once it is set up.
    #[test]
    fn any_accesses_leave_a_working_block(
        accesses in prop::collection::vec((0_u64..0x41, prop_oneof![any::<u32>(), 0_u32..0x800], any::<bool>(), 0_u64..2), 0..120)
    ) {
        let mut host = Host::new();
        for (index, value, write, wait) in accesses {
            if write {
                host.set(4 * index, value);
            } else {
                host.get(4 * index);
            }
            host.pass(wait);
            let (sent, received) = (host.get(TXFLR), host.get(RXFLR));
            prop_assert!(sent <= FIFO_DEPTH as u32 && received <= FIFO_DEPTH as u32);
            let status = Status::from(host.get(STATUS));
            prop_assert_eq!((status.tx_empty(), status.rx_not_empty()), (sent == 0, received > 0));
            prop_assert_eq!(host.get(0xfc), 0x4457_0140);
            let unmasked = host.get(RAW_INTR_STAT) & host.get(INTR_MASK);
            prop_assert_eq!(host.get(INTR_STAT), unmasked);
            prop_assert_eq!(host.intx_levels().last() == Some(&true), unmasked != 0);
        }
        host.set_up(THERMOMETER);
        host.get(CLR_INTR);
        host.send(&[0x03, READ, READ | STOP]);
        host.pass(100);
        prop_assert_eq!(host.received().len(), 2);
    }
}
