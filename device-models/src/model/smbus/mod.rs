//! The SMBus host controller of Intel's chipsets: a host for [`i2c`](super::i2c) targets with registers of
//! one byte in an I/O BAR and, where there is one, a memory BAR; with INTx.
//!
//! A transaction takes as long as its bytes take at 100 kHz. SMBus blocks go through the buffer if that is
//! switched on; others go byte by byte, with software in between. The controller begins nothing while config space says that its host interface is off.

pub mod registers;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::registers::{
    AUX_CTL, BLOCK_DB, DAT0, DAT1, E32B, HST_EN, HSTCFG, HSTCMD, HSTCNT, HSTSTS, HostControl,
    HostStatus, I2C_EN, SLV_CMD, SMBALERT_DIS, XMIT_SLVA,
};
use super::i2c::Bus;
use super::{Context, Model};
use crate::register::{Block, DwordWrite, Lanes, ResetKind};
use crate::snapshot::{self, RestoreError};
use crate::time::Time;

/// Eight bits and the acknowledgement at 100 kHz.
const BYTE_TIME: Duration = Duration::from_micros(90);

const DONE: HostStatus = HostStatus::new().with_done(true);
const BYTE_DONE: HostStatus = HostStatus::new().with_byte_done(true);
const DEVICE_ERROR: HostStatus = HostStatus::new().with_device_error(true);
const FAILED: HostStatus = HostStatus::new().with_failed(true);
/// What [`HostControl::interrupt`] lets through.
const CAUSES: u8 =
    DONE.into_bits() | BYTE_DONE.into_bits() | DEVICE_ERROR.into_bits() | FAILED.into_bits();

/// The host controller.
#[derive(Debug)]
pub struct Smbus {
    registers: Block,
    /// When what is on the wires is over.
    due: Option<Time>,
    state: State,
}

/// What there is besides registers.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    bus: Bus,
    buffer: [u8; 32],
    /// The place in the buffer that `BLOCK_DB` is.
    place: u8,
    /// A block that goes byte by byte: whether the target sends it, and the bytes that are left.
    block: Option<(bool, u8)>,
    /// What `HSTSTS` shows when what is on the wires is over.
    outcome: u8,
}

impl Default for Smbus {
    fn default() -> Self {
        let (registers, state) = (registers::page(), State::default());
        Self {
            registers,
            due: None,
            state,
        }
    }
}

impl Smbus {
    fn status(&self) -> HostStatus {
        self.registers.get(HSTSTS)
    }

    fn control(&self) -> HostControl {
        self.registers.get(HSTCNT)
    }

    fn buffered(&self) -> bool {
        self.registers.get::<u8>(AUX_CTL) & E32B != 0
    }

    /// The place in the buffer that `BLOCK_DB` is, if that is in use; on to the next one.
    fn place(&mut self) -> Option<&mut u8> {
        let place = self.state.place % 32;
        self.state.place = place + 1;
        let buffered = self.buffered();
        let slot = self.state.buffer.get_mut(usize::from(place));
        slot.filter(|_| buffered)
    }

    /// Something is on the wires from now on, and this comes of it.
    fn begin(&mut self, now: Time, outcome: HostStatus) {
        self.registers.set(HSTSTS, self.status().with_busy(true));
        self.due = Some(now.after(BYTE_TIME * self.state.bus.take_bytes()));
        self.state.outcome = outcome.into();
    }

    /// What was on the wires is over.
    fn end(&mut self, outcome: HostStatus) {
        if !outcome.byte_done() {
            self.state.bus.stop();
            self.state.block = None;
        }
        self.due = None;
        let status = self.status().with_busy(outcome.byte_done());
        self.registers
            .set(HSTSTS, u8::from(status) | u8::from(outcome));
    }

    fn start(&mut self, cx: &Context<'_>) {
        let configuration: u8 = cx.config(HSTCFG);
        if configuration & HST_EN != 0 && !self.status().busy() {
            let outcome = self.transact(configuration & I2C_EN != 0);
            self.begin(cx.now(), outcome);
        }
    }

    /// A transaction: all of it, or as far as the first byte of a block.
    fn transact(&mut self, i2c: bool) -> HostStatus {
        let [slave, command, data0, data1] =
            [XMIT_SLVA, HSTCMD, DAT0, DAT1].map(|register| self.registers.get::<u8>(register));
        let (protocol, read) = (self.control().protocol(), slave & 1 != 0);
        let (sent, received): (&[u8], usize) = match (protocol, read) {
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
        let buffered = self.buffered() && matches!(protocol, 5 | 7);
        let State { bus, buffer, .. } = &mut self.state;
        let out = if buffered && !read {
            usize::from(data0)
        } else {
            0
        };
        let block = buffer.get(..out).unwrap_or(buffer);
        if !bus.message(slave >> 1, sent, block, reads) {
            return DEVICE_ERROR;
        }
        for register in [DAT0, DAT1].into_iter().take(received) {
            self.registers.set(register, bus.read());
        }
        let count: u8 = self.registers.get(DAT0);
        match protocol {
            5 | 7 if buffered => {
                let room = buffer.iter_mut().take(usize::from(count));
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
        let last = left <= 1 || reads && self.control().last_byte();
        self.state.block = Some((reads, if last { 0 } else { left - 1 }));
        if reads {
            self.registers.set(BLOCK_DB, self.state.bus.read());
        } else if !self.state.bus.write(self.registers.get(BLOCK_DB)) {
            return DEVICE_ERROR;
        }
        BYTE_DONE
    }

    /// Software is done with a byte of a block.
    fn go_on(&mut self, now: Time) {
        if let Some((reads, left)) = self.state.block {
            let outcome = if left == 0 {
                DONE
            } else {
                self.block_byte(reads, left)
            };
            self.begin(now, outcome);
        }
    }

    fn update_intx(&self, cx: &mut Context<'_>) {
        let status = self.status();
        let alert = status.alert() && self.registers.get::<u8>(SLV_CMD) & SMBALERT_DIS == 0;
        let cause = u8::from(status) & CAUSES != 0;
        cx.set_intx(cause && self.control().interrupt() || alert);
    }
}

impl Model for Smbus {
    fn read(&mut self, _: &mut Context<'_>, _: u8, offset: u64, lanes: Lanes) -> u32 {
        for byte in lanes.bytes() {
            match offset as usize + byte {
                HSTCNT => self.state.place = 0,
                BLOCK_DB => {
                    if let Some(byte) = self.place().map(|byte| *byte) {
                        self.registers.set(BLOCK_DB, byte);
                    }
                }
                _ => {}
            }
        }
        let value = self.registers.read(offset as usize / 4);
        if offset as usize == HSTSTS && lanes.covers(HSTSTS) {
            self.registers.set(HSTSTS, self.status().with_in_use(true));
        }
        value
    }

    fn write(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        let before = self.status();
        self.registers.write(offset as usize / 4, write);
        for (byte, value) in write.bytes() {
            let (register, control) = (offset as usize + byte, HostControl::from(value));
            match register {
                HSTSTS if before.byte_done() && !self.status().byte_done() => self.go_on(cx.now()),
                HSTCNT if control.kill() && before.busy() => self.end(FAILED),
                HSTCNT if control.start() => self.start(cx),
                BLOCK_DB => {
                    if let Some(byte) = self.place() {
                        *byte = value;
                    }
                }
                _ => {}
            }
        }
        self.update_intx(cx);
    }

    fn reset(&mut self, _: &mut Context<'_>, kind: ResetKind) {
        self.end(HostStatus::new());
        self.registers.reset(kind);
    }

    fn deadline(&self) -> Option<Time> {
        self.due
    }

    fn timer(&mut self, cx: &mut Context<'_>) {
        self.end(self.state.outcome.into());
        self.update_intx(cx);
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["alert"]
    }

    /// Somebody pulls SMBALERT#, which is also a wake event.
    fn input(&mut self, cx: &mut Context<'_>, _: &str) {
        self.registers.set(HSTSTS, self.status().with_alert(true));
        self.update_intx(cx);
        cx.pme();
    }

    fn inspect(&self) -> Value {
        json!({ "registers": self.registers.values(), "state": self.state })
    }

    fn save(&self, now: Time) -> Value {
        snapshot::model(now, &self.registers, self.due, &self.state)
    }

    fn restore(&mut self, now: Time, saved: &Value) -> Result<(), RestoreError> {
        (self.due, self.state) = snapshot::read_model(now, &mut self.registers, saved)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
