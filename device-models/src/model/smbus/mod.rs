//! The SMBus host controller of Intel's chipsets: a host for [`i2c`](super::i2c) targets with registers of
//! one byte in an I/O BAR and, where there is one, a memory BAR; with INTx.
//!
//! A transaction takes as long as its bytes take at 100 kHz. SMBus blocks go through the buffer if that is
//! switched on; others go byte by byte, with software in between. The controller begins nothing while config space says that its host interface is off.

pub mod registers {
    //! The registers and their bits.
    include!(concat!(env!("OUT_DIR"), "/smbus.rs"));
}

use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::registers::{
    BLOCK_DB, DAT0, HSTCNT, HSTSTS, HostConfiguration, HostControl, HostStatus, Registers,
};
use super::i2c::Bus;
use super::{Context, Model};
use crate::register::{DwordWrite, Lanes, ResetKind};
use crate::time::Time;

/// Host Configuration, in config space.
pub const HSTCFG: u16 = 0x40;

/// Eight bits and the acknowledgement at 100 kHz.
const BYTE_TIME: Duration = Duration::from_micros(90);

const DONE: HostStatus = HostStatus::new().with_done(true);
const BYTE_DONE: HostStatus = HostStatus::new().with_byte_done(true);
const DEVICE_ERROR: HostStatus = HostStatus::new().with_device_error(true);
const FAILED: HostStatus = HostStatus::new().with_failed(true);

/// The host controller.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Smbus {
    registers: Registers,
    bus: Bus,
    buffer: [u8; 32],
    /// The place in the buffer that `BLOCK_DB` is.
    place: u8,
    /// A block that goes byte by byte: whether the target sends it, and the bytes that are left.
    block: Option<(bool, u8)>,
    /// What `HSTSTS` shows when what is on the wires is over.
    outcome: HostStatus,
}

impl Smbus {
    /// The place in the buffer that `BLOCK_DB` is, if that is in use; on to the next one.
    fn place(&mut self) -> Option<&mut u8> {
        let place = self.place % 32;
        self.place = place + 1;
        let buffered = self.registers.aux_ctl().e32b();
        let slot = self.buffer.get_mut(usize::from(place));
        slot.filter(|_| buffered)
    }

    /// Something is on the wires from now on, and this comes of it.
    fn begin(&mut self, cx: &mut Context<'_>, outcome: HostStatus) {
        let status = self.registers.hststs();
        self.registers.set_hststs(status.with_busy(true));
        self.outcome = outcome;
        cx.set_deadline(Some(cx.now().after(BYTE_TIME * self.bus.take_bytes())));
    }

    /// What was on the wires is over.
    fn end(&mut self, cx: &mut Context<'_>, outcome: HostStatus) {
        if !outcome.byte_done() {
            self.bus.stop();
            self.block = None;
        }
        cx.set_deadline(None);
        let status = self.registers.hststs().with_busy(outcome.byte_done());
        self.registers.set_hststs(status | outcome);
    }

    fn start(&mut self, cx: &mut Context<'_>) {
        let configuration: HostConfiguration = cx.config(HSTCFG);
        if configuration.hst_en() && !self.registers.hststs().busy() {
            let outcome = self.transact(configuration.i2c_en());
            self.begin(cx, outcome);
        }
    }

    /// A transaction: all of it, or as far as the first byte of a block.
    fn transact(&mut self, i2c: bool) -> HostStatus {
        let Self { registers, bus, .. } = self;
        let (target, command) = (registers.xmit_slva(), registers.hstcmd());
        let (data0, data1) = (registers.dat0(), registers.dat1());
        let (protocol, read) = (registers.hstcnt().protocol(), target.read());
        let (sent, received): (&[u8], u64) = match (protocol, read) {
            (1, false) => (&[command], 0),               // Send Byte
            (1, true) => (&[], 1),                       // Receive Byte
            (2, false) => (&[command, data0], 0),        // Write Byte
            (2, true) => (&[command], 1),                // Read Byte
            (3, false) => (&[command, data0, data1], 0), // Write Word
            (3, true) => (&[command], 2),                // Read Word
            (4, _) => (&[command, data0, data1], 2),     // Process Call
            (5, false) if i2c => (&[command], 0),        // Block Write without the count
            (5, false) => (&[command, data0], 0),        // Block Write
            (5, true) => (&[command], 1),                // Block Read
            (6, _) => (&[data1], 0),                     // I2C Read
            (7, _) => (&[command, data0], 1),            // Block Process Call
            _ => (&[], 0),                               // Quick
        };
        let reads = read || matches!(protocol, 4 | 6 | 7);
        let buffered = registers.aux_ctl().e32b() && matches!(protocol, 5 | 7);
        let out = if buffered && !read { data0 } else { 0 };
        let block = self.buffer.iter().take(out.into());
        if !bus.message(target.address(), sent.iter().chain(block).copied(), reads) {
            return DEVICE_ERROR;
        }
        for data in DAT0..DAT0 + received {
            registers.set(data as usize, bus.read());
        }
        let count = registers.dat0();
        match protocol {
            5 | 7 if buffered => {
                let room = self.buffer.iter_mut().take(count.into());
                room.filter(|_| reads).for_each(|byte| *byte = bus.read());
                DONE
            }
            5 | 7 => self.block_byte(reads, count),
            6 => self.block_byte(reads, u8::MAX),
            _ => DONE,
        }
    }

    /// The next byte of a block, between the wires and `BLOCK_DB`.
    fn block_byte(&mut self, reads: bool, left: u8) -> HostStatus {
        let last = left <= 1 || reads && self.registers.hstcnt().last_byte();
        self.block = Some((reads, if last { 0 } else { left - 1 }));
        if reads {
            self.registers.set_block_db(self.bus.read());
        } else if !self.bus.write(self.registers.block_db()) {
            return DEVICE_ERROR;
        }
        BYTE_DONE
    }

    /// Software is done with a byte of a block.
    fn go_on(&mut self, cx: &mut Context<'_>) {
        let outcome = match self.block {
            None => return,
            Some((_, 0)) => DONE,
            Some((reads, left)) => self.block_byte(reads, left),
        };
        self.begin(cx, outcome);
    }

    fn update_intx(&self, cx: &mut Context<'_>) {
        let (status, control) = (self.registers.hststs(), self.registers.hstcnt());
        let cause = status.done() || status.byte_done() || status.device_error() || status.failed();
        let alert = status.alert() && !self.registers.slv_cmd().smbalert_dis();
        cx.set_intx(cause && control.interrupt() || alert);
    }
}

impl Model for Smbus {
    fn read(&mut self, _: &mut Context<'_>, _: u8, offset: u64, lanes: Lanes) -> u32 {
        for byte in lanes.bytes() {
            match offset + byte as u64 {
                HSTCNT => self.place = 0,
                BLOCK_DB => {
                    if let Some(byte) = self.place().map(|byte| *byte) {
                        self.registers.set_block_db(byte);
                    }
                }
                _ => {}
            }
        }
        let value = self.registers.read_at(offset);
        if offset == HSTSTS && lanes.covers(0) {
            let status = self.registers.hststs();
            self.registers.set_hststs(status.with_in_use(true));
        }
        value
    }

    fn write(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        let before = self.registers.hststs();
        self.registers.write_at(offset, write);
        let waits = self.registers.hststs().byte_done();
        for (byte, value) in write.bytes() {
            let control = HostControl::from(value);
            match offset + byte as u64 {
                HSTSTS if before.byte_done() && !waits => self.go_on(cx),
                HSTCNT if control.kill() && before.busy() => self.end(cx, FAILED),
                HSTCNT if control.start() => self.start(cx),
                BLOCK_DB => self.place().into_iter().for_each(|byte| *byte = value),
                _ => {}
            }
        }
        self.update_intx(cx);
    }

    fn reset(&mut self, cx: &mut Context<'_>, kind: ResetKind) {
        self.end(cx, HostStatus::new());
        self.registers.reset(kind);
    }

    fn timer(&mut self, cx: &mut Context<'_>, _: Time) {
        self.end(cx, self.outcome);
        self.update_intx(cx);
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["alert"]
    }

    /// Somebody pulls SMBALERT#, which is also a wake event.
    fn input(&mut self, cx: &mut Context<'_>, _: &str) {
        let status = self.registers.hststs();
        self.registers.set_hststs(status.with_alert(true));
        self.update_intx(cx);
        cx.pme();
    }
}

#[cfg(test)]
mod tests;
