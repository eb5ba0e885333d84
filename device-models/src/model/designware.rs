//! The DesignWare I²C controller in Intel's chips: a master for [`i2c`](super::i2c) targets with a FIFO each way, one
//! interrupt line that is INTx or an MSI, and all its registers in a memory BAR.
//!
//! The transmit FIFO holds commands: a byte to send or to receive, with START again before it or
//! STOP after it. A command takes as long as its bits take with the clock counts that software has
//! set. If commands run out before STOP, the controller holds the wires until the next one.
//!
//! # Examples
//!
//! The status after a reset: the transmit FIFO is empty.
//!
//! ```
//! use pci_device_models::bench::Bench;
//! use pci_device_models::model::Registry;
//! use pci_device_models::profile::Profile;
//!
//! let text = Profile::builtin("i2c-designware").ok_or("it is built in")?;
//! let profile = Profile::parse("i2c-designware", text, &[])?;
//! let mut bench = Bench::of(&profile, &Registry::builtin())?;
//! assert_eq!(bench.read(0, 0x70), 0x06);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod registers;

use std::collections::VecDeque;

use self::registers::*;
use super::i2c::Bus;
use super::prelude::*;

/// Number of commands and of bytes that each FIFO holds.
pub const FIFO_DEPTH: usize = 32;

/// Period of the block's clock of 100 MHz.
const CLOCK: Duration = Duration::from_nanos(10);
/// Number of bits of a byte with its acknowledgement.
const BITS: u32 = 9;
/// Timer: the command at the head of the transmit FIFO completes.
const COMMAND_DONE: u16 = 0;

/// The registers whose read clears interrupts, and these interrupts.
const CLEARS: [(u64, Interrupts); 8] = [
    (CLR_INTR, Interrupts::from_bits(0x74b)), // all that software clears
    (CLR_RX_UNDER, Interrupts::RX_UNDER),
    (CLR_RX_OVER, Interrupts::RX_OVER),
    (CLR_TX_OVER, Interrupts::TX_OVER),
    (CLR_TX_ABRT, Interrupts::TX_ABRT),
    (CLR_ACTIVITY, Interrupts::ACTIVITY),
    (CLR_STOP_DET, Interrupts::STOP_DET),
    (CLR_START_DET, Interrupts::START_DET),
];

/// The controller.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct DesignWare {
    registers: Registers,
    bus: Bus,
    tx: VecDeque<Command>,
    rx: VecDeque<u8>,
    /// The transfer in progress; `true` if it reads.
    transfer: Option<bool>,
}

impl DesignWare {
    fn enabled(&self) -> bool {
        self.registers.enable().enable()
    }

    /// Returns whether an address precedes this command's byte on the wires.
    fn addresses(&self, command: Command) -> bool {
        self.transfer != Some(command.read()) || command.restart()
    }

    /// Begins the next command, if there is one and the wires are idle.
    fn proceed(&mut self, cx: &mut Context<'_>, now: Time) {
        let registers = &self.registers;
        if let (Some(command), None) = (self.tx.front(), cx.timer(COMMAND_DONE)) {
            let counts = if registers.con().speed() == 1 {
                [registers.ss_scl_hcnt(), registers.ss_scl_lcnt()]
            } else {
                [registers.fs_scl_hcnt(), registers.fs_scl_lcnt()]
            };
            let [high, low] = counts.map(u32::from);
            let bytes = 1 + u32::from(self.addresses(*command));
            cx.set_timer(
                COMMAND_DONE,
                Some(now.after(CLOCK * (high + low) * BITS * bytes)),
            );
        }
    }

    /// Performs a command.
    fn perform(&mut self, cx: &mut Context<'_>, command: Command) {
        if self.addresses(command) {
            self.registers
                .raise_raw_intr_stat(Interrupts::START_DET | Interrupts::ACTIVITY);
            self.transfer = Some(command.read());
            if !self.bus.start(self.registers.tar().address()) {
                return self.abort(cx, AbortSource::ADDR_NOACK_7B);
            }
        }
        if !command.read() {
            if !self.bus.write(command.data()) {
                return self.abort(cx, AbortSource::TXDATA_NOACK);
            }
        } else if self.rx.len() < FIFO_DEPTH {
            self.rx.push_back(self.bus.read());
        } else {
            self.bus.read();
            self.registers.raise_raw_intr_stat(Interrupts::RX_OVER);
        }
        if command.stop() {
            self.stop();
        }
    }

    fn stop(&mut self) {
        self.bus.stop();
        self.transfer = None;
        self.registers.raise_raw_intr_stat(Interrupts::STOP_DET);
    }

    /// Ends the transfer and drops the commands. No others are accepted until software has seen the
    /// abort.
    fn abort(&mut self, cx: &mut Context<'_>, source: AbortSource) {
        self.tx.clear();
        cx.set_timer(COMMAND_DONE, None);
        self.registers.raise_tx_abrt_source(source);
        self.registers.raise_raw_intr_stat(Interrupts::TX_ABRT);
        self.stop();
    }

    fn command(&mut self, cx: &mut Context<'_>, command: Command) {
        let flushed = self.registers.raw_intr_stat().tx_abrt();
        if !self.enabled() || flushed {
            return;
        }
        if self.tx.len() < FIFO_DEPTH {
            self.tx.push_back(command);
            self.proceed(cx, cx.now());
        } else {
            self.registers.raise_raw_intr_stat(Interrupts::TX_OVER);
        }
    }

    fn receive(&mut self) -> u8 {
        self.rx.pop_front().unwrap_or_else(|| {
            self.registers.raise_raw_intr_stat(Interrupts::RX_UNDER);
            0
        })
    }

    /// Disables the block, which empties the FIFOs and releases the wires.
    fn disable(&mut self, cx: &mut Context<'_>) {
        cx.set_timer(COMMAND_DONE, None);
        self.tx.clear();
        self.rx.clear();
        self.bus.stop();
        self.transfer = None;
    }
}

impl Model for DesignWare {
    fn read(&mut self, _: &mut Context<'_>, _: u8, offset: u64, _: Lanes) -> u32 {
        if let Some((_, cleared)) = CLEARS.into_iter().find(|(clears, _)| *clears == offset) {
            self.registers.clear_raw_intr_stat(cleared);
            if cleared.tx_abrt() {
                self.registers.set_tx_abrt_source(AbortSource::new());
            }
        }
        match offset {
            DATA_CMD => self.receive().into(),
            _ => self.registers.read_at(offset),
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        // What sets the block up stays as it is while the block is enabled.
        match offset {
            CON..=SAR | SS_SCL_HCNT..=FS_SCL_LCNT | SDA_HOLD | FS_SPKLEN if self.enabled() => {}
            _ => drop(self.registers.write_at(offset, write)),
        }
        match offset {
            DATA_CMD => self.command(cx, Command::from(write.value() as u16)),
            ENABLE if !self.enabled() => self.disable(cx),
            ENABLE if Enable::from(write.value()).abort() && self.transfer.is_some() => {
                self.abort(cx, AbortSource::USER_ABORT);
            }
            _ => {}
        }
    }

    /// Updates the registers that depend on others and on the FIFOs, and then the interrupt line. A
    /// message is sent for each new interrupt.
    fn settle(&mut self, cx: &mut Context<'_>) {
        let (enabled, registers) = (self.enabled(), &mut self.registers);
        let (sent, received) = (self.tx.len(), self.rx.len());
        let raw = registers
            .raw_intr_stat()
            .with_rx_full(received > registers.rx_tl() as usize)
            .with_tx_empty(enabled && sent <= registers.tx_tl() as usize)
            .with_mst_on_hold(self.transfer.is_some() && sent == 0);
        let active = self.transfer.is_some() || cx.timer(COMMAND_DONE).is_some();
        let status = Status::new()
            .with_activity(active)
            .with_tx_not_full(sent < FIFO_DEPTH)
            .with_tx_empty(sent == 0)
            .with_rx_not_empty(received > 0)
            .with_rx_full(received >= FIFO_DEPTH)
            .with_master_activity(active);
        let (before, shown) = (registers.intr_stat(), raw & registers.intr_mask());
        registers.set_status(status);
        registers.set_txflr(sent as u32);
        registers.set_rxflr(received as u32);
        registers.set_enable_status(enabled.into());
        registers.set_raw_intr_stat(raw);
        registers.set_intr_stat(shown);
        let none = Interrupts::new();
        cx.set_intx(shown != none);
        if shown == none {
            cx.withdraw(0);
        } else if shown & !before != none {
            cx.interrupt(0);
        }
    }

    fn reset(&mut self, cx: &mut Context<'_>, kind: ResetKind) {
        self.registers.reset(kind);
        self.disable(cx);
    }

    fn timer(&mut self, cx: &mut Context<'_>, _: u16, due: Time) {
        if let Some(command) = self.tx.pop_front() {
            self.perform(cx, command);
        }
        // What is next on the wires follows at once, however late this is called.
        self.proceed(cx, due);
    }
}

#[cfg(test)]
mod tests;
