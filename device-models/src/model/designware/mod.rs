//! The DesignWare I²C controller in Intel's chips: a master for [`i2c`](super::i2c) targets with a FIFO each way, one
//! interrupt line that is INTx or an MSI, and all its registers in a memory BAR.
//!
//! The transmit FIFO holds commands: a byte to send or to receive, with START again before it or STOP after it. A command
//! takes as long as its bits take with the clock counts that software has set. When commands run out before STOP, the
//! controller holds the wires until there are more.

pub mod registers;

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::registers::{
    ABRT_7B_ADDR_NOACK, ABRT_TXDATA_NOACK, ABRT_USER_ABRT, CLEARS, CON, Command, Control, DATA_CMD,
    ENABLE, ENABLE_STATUS, Enable, FIFO_DEPTH, FS_SCL_HCNT, FS_SCL_LCNT, INTR_MASK, INTR_STAT,
    Interrupts, RAW_INTR_STAT, RX_TL, RXFLR, SET_UP, SS_SCL_HCNT, SS_SCL_LCNT, STATUS, Status, TAR,
    TX_ABRT_SOURCE, TX_TL, TXFLR,
};
use super::i2c::Bus;
use super::{Context, Model};
use crate::register::{Block, DwordWrite, Lanes, ResetKind};
use crate::snapshot::{self, RestoreError};
use crate::time::Time;

/// A period of the block's clock, of 100 MHz.
const CLOCK: Duration = Duration::from_nanos(10);
/// Bits of a byte with its acknowledgement.
const BITS: u32 = 9;

/// The controller.
#[derive(Debug)]
pub struct DesignWare {
    registers: Block,
    /// When the command at the head of the transmit FIFO is carried out.
    due: Option<Time>,
    state: State,
}

/// What there is besides registers.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    bus: Bus,
    /// Commands, as they were written.
    tx: VecDeque<u16>,
    rx: VecDeque<u8>,
    /// A transfer is under way, and whether it reads.
    transfer: Option<bool>,
    /// Interrupts that stay until they are cleared.
    latched: u32,
    abort_source: u32,
    /// Interrupts that were raised and not masked when the line was driven last.
    shown: u32,
}

impl Default for DesignWare {
    fn default() -> Self {
        Self {
            registers: registers::page(),
            due: None,
            state: State::default(),
        }
    }
}

impl DesignWare {
    fn enabled(&self) -> bool {
        self.registers.get::<Enable>(ENABLE).enable()
    }

    fn latch(&mut self, interrupts: Interrupts) {
        self.state.latched |= u32::from(interrupts);
    }

    fn raw(&self) -> Interrupts {
        let State {
            tx,
            rx,
            transfer,
            latched,
            ..
        } = &self.state;
        let threshold = |register| self.registers.get::<u32>(register) as usize;
        Interrupts::from(*latched)
            .with_rx_full(rx.len() > threshold(RX_TL))
            .with_tx_empty(self.enabled() && tx.len() <= threshold(TX_TL))
            .with_on_hold(transfer.is_some() && tx.is_empty())
    }

    fn unmasked(&self) -> u32 {
        u32::from(self.raw()) & self.registers.get::<u32>(INTR_MASK)
    }

    fn status(&self) -> Status {
        let State {
            tx, rx, transfer, ..
        } = &self.state;
        let active = transfer.is_some() || self.due.is_some();
        Status::new()
            .with_activity(active)
            .with_tx_not_full(tx.len() < FIFO_DEPTH)
            .with_tx_empty(tx.is_empty())
            .with_rx_not_empty(!rx.is_empty())
            .with_rx_full(rx.len() >= FIFO_DEPTH)
            .with_master_activity(active)
    }

    /// How long so many bytes are on the wires.
    fn bytes(&self, count: u32) -> Duration {
        let standard = self.registers.get::<Control>(CON).speed() == 1;
        let counts = if standard {
            [SS_SCL_HCNT, SS_SCL_LCNT]
        } else {
            [FS_SCL_HCNT, FS_SCL_LCNT]
        };
        let [high, low] = counts.map(|register| self.registers.get::<u16>(register));
        CLOCK * (u32::from(high) + u32::from(low)) * BITS * count
    }

    /// Whether an address goes over the wires before this command's byte.
    fn addresses(&self, command: Command) -> bool {
        self.state.transfer != Some(command.read()) || command.restart()
    }

    /// Begins with the next command, if there is one and nothing is on the wires.
    fn proceed(&mut self, now: Time) {
        let next = self.state.tx.front().map(|command| Command::from(*command));
        if let Some(command) = next.filter(|_| self.due.is_none()) {
            let span = self.bytes(1 + u32::from(self.addresses(command)));
            self.due = Some(now.after(span));
        }
    }

    /// Carries a command out.
    fn perform(&mut self, command: Command) {
        let target: u32 = self.registers.get(TAR);
        if self.addresses(command) {
            self.latch(Interrupts::new().with_start(true).with_activity(true));
            self.state.transfer = Some(command.read());
            if !self.state.bus.start(target as u8 & 0x7f) {
                return self.abort(ABRT_7B_ADDR_NOACK);
            }
        }
        let State { bus, rx, .. } = &mut self.state;
        if !command.read() {
            if !bus.write(command.data()) {
                return self.abort(ABRT_TXDATA_NOACK);
            }
        } else if rx.len() < FIFO_DEPTH {
            rx.push_back(bus.read());
        } else {
            bus.read();
            self.latch(Interrupts::new().with_rx_over(true));
        }
        if command.stop() {
            self.stop();
        }
    }

    fn stop(&mut self) {
        self.state.bus.stop();
        self.state.transfer = None;
        self.latch(Interrupts::new().with_stop(true));
    }

    /// Ends the transfer and forgets the commands. No others are taken until software has seen it.
    fn abort(&mut self, source: u32) {
        self.state.tx.clear();
        self.due = None;
        self.state.abort_source |= source;
        self.latch(Interrupts::new().with_tx_abort(true));
        self.stop();
    }

    fn command(&mut self, now: Time, command: u16) {
        let flushed = Interrupts::from(self.state.latched).tx_abort();
        if !self.enabled() || flushed {
            return;
        }
        if self.state.tx.len() < FIFO_DEPTH {
            self.state.tx.push_back(command);
            self.proceed(now);
        } else {
            self.latch(Interrupts::new().with_tx_over(true));
        }
    }

    fn receive(&mut self) -> u8 {
        self.state.rx.pop_front().unwrap_or_else(|| {
            self.latch(Interrupts::new().with_rx_under(true));
            0
        })
    }

    /// Disabled, the block forgets what is in the FIFOs and lets go of the wires.
    fn disable(&mut self) {
        self.due = None;
        self.state.tx.clear();
        self.state.rx.clear();
        self.state.bus.stop();
        self.state.transfer = None;
    }

    /// Drives the interrupt line: a message goes out for each interrupt that was not there before.
    fn update_interrupt(&mut self, cx: &mut Context<'_>) {
        let shown = self.unmasked();
        cx.set_intx(shown != 0);
        if shown == 0 {
            cx.withdraw(0);
        } else if shown & !self.state.shown != 0 {
            cx.interrupt(0);
        }
        self.state.shown = shown;
    }
}

impl Model for DesignWare {
    fn read(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, _: Lanes) -> u32 {
        let register = offset as usize;
        let value = match register {
            DATA_CMD => self.receive().into(),
            INTR_STAT => self.unmasked(),
            RAW_INTR_STAT => self.raw().into(),
            STATUS => self.status().into(),
            TXFLR => self.state.tx.len() as u32,
            RXFLR => self.state.rx.len() as u32,
            TX_ABRT_SOURCE => self.state.abort_source,
            ENABLE_STATUS => self.enabled().into(),
            _ => self.registers.read(register / 4),
        };
        if let Some((_, cleared)) = CLEARS.into_iter().find(|(clears, _)| *clears == register) {
            self.state.latched &= !u32::from(cleared);
            if cleared.tx_abort() {
                self.state.abort_source = 0;
            }
        }
        self.update_interrupt(cx);
        value
    }

    fn write(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        let register = offset as usize;
        if !(self.enabled() && SET_UP.contains(&register)) {
            self.registers.write(register / 4, write);
        }
        match register {
            DATA_CMD => self.command(cx.now(), write.value() as u16),
            ENABLE if !self.enabled() => self.disable(),
            ENABLE if Enable::from(write.value()).abort() && self.state.transfer.is_some() => {
                self.abort(ABRT_USER_ABRT);
            }
            _ => {}
        }
        self.update_interrupt(cx);
    }

    fn reset(&mut self, _: &mut Context<'_>, kind: ResetKind) {
        self.registers.reset(kind);
        self.disable();
        self.state = State {
            bus: std::mem::take(&mut self.state.bus),
            ..State::default()
        };
    }

    fn deadline(&self) -> Option<Time> {
        self.due
    }

    fn timer(&mut self, cx: &mut Context<'_>) {
        // What is next on the wires follows at once, however late this is called.
        let now = self.due.take().unwrap_or(cx.now());
        if let Some(command) = self.state.tx.pop_front() {
            self.perform(Command::from(command));
        }
        self.proceed(now);
        self.update_interrupt(cx);
    }

    fn inspect(&self) -> Value {
        json!({
            "registers": self.registers.values(),
            "raw_intr_stat": u32::from(self.raw()),
            "status": u32::from(self.status()),
            "state": self.state,
        })
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
