//! The `serial` model: one 16550 UART, eight registers of a byte in BAR0.
//!
//! Its wires have no noise. The other end accepts sent bytes as long as it has room. It sends bytes
//! as long as the FIFO has room and the driver has raised RTS, so overruns do not occur. Bytes that
//! do not fill a FIFO move on after the time of one character without another byte. While the other
//! end is not connected, CTS, DSR and DCD are off.
//!
//! # Examples
//!
//! Line Status after a reset: the transmitter is empty.
//!
//! ```
//! use pci_device_models::bench::Bench;
//! use pci_device_models::model::Registry;
//! use pci_device_models::profile::Profile;
//!
//! let text = Profile::builtin("serial").ok_or("it is built in")?;
//! let profile = Profile::parse("serial", text, &[])?;
//! let mut bench = Bench::of(&profile, &Registry::builtin())?;
//! assert_eq!(bench.read_bytes(0, 5), [0x60]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod registers;

use std::collections::VecDeque;

use self::registers::*;
use super::backend::{Backend, SerialPort};
use super::prelude::*;

/// Number of bytes in each FIFO. While the FIFOs are off there is one register for each direction.
pub const FIFO: usize = 16;
/// Numbers of bytes in the receiver's FIFO that raise an interrupt.
const TRIGGER_LEVELS: [usize; 4] = [1, 4, 8, 14];
/// Time of a character: ten bits at 115200 baud.
const CHARACTER: Duration = Duration::from_micros(87);
/// Timer: bytes that do not fill a FIFO move on.
const ON_THE_WAY: u16 = 0;

/// IIR: no interrupt is pending.
const NO_INTERRUPT: u8 = 0x01;
/// IIR: the transmitter interrupts.
const TRANSMITTER: u8 = 0x02;
/// MSR's inputs that a connected other end holds on: DCD, DSR, CTS.
const CARRIER: u8 = 0xb;
/// Bits of MSR's inputs, by which the inputs of a saved state are masked.
const LINES: u8 = 0xf;
/// MSR's input of which only the trailing edge counts as a change: RI.
const RING: u8 = 0x4;

/// The UART.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Serial {
    registers: Registers,
    /// Bytes received.
    rx: VecDeque<u8>,
    /// Bytes to send.
    tx: VecDeque<u8>,
    /// The transmitter became empty, and software has not seen it.
    emptied: bool,
    /// MSR's inputs as the other end holds them.
    carrier: u8,
}

impl Serial {
    /// Returns the number of bytes that a FIFO holds now.
    fn depth(&self) -> usize {
        let fifos = self.registers.fcr().enable();
        if fifos { FIFO } else { 1 }
    }

    /// Returns the value of IIR: the interrupt of the highest priority.
    fn interrupt(&self, cx: &Context<'_>) -> u8 {
        let trigger = TRIGGER_LEVELS[usize::from(self.registers.fcr().trigger())];
        let ready = self.rx.len();
        match self.registers.ier() {
            ier if ier.data() && ready >= trigger.min(self.depth()) => 0x04,
            ier if ier.data() && ready > 0 && cx.timer(ON_THE_WAY).is_none() => 0x0c,
            ier if ier.transmitter() && self.emptied => TRANSMITTER,
            ier if ier.modem() && self.registers.msr().changes() != 0 => 0x00,
            _ => NO_INTERRUPT,
        }
    }

    /// Puts a byte into a FIFO, if there is room. A full FIFO moves on at once.
    fn put(&mut self, cx: &mut Context<'_>, received: bool, byte: u8) -> bool {
        let depth = self.depth();
        let Self { rx, tx, .. } = self;
        let fifo = if received { rx } else { tx };
        let fits = fifo.len() < depth;
        fifo.extend(fits.then_some(byte));
        let due = cx.now().after(CHARACTER);
        cx.set_timer(ON_THE_WAY, (fifo.len() < depth).then_some(due));
        fits
    }

    /// Returns the offset of a register in the page.
    fn place(&self, register: u64) -> u64 {
        let divisor = register < 2 && self.registers.lcr().dlab();
        register + if divisor { DLL } else { 0 }
    }

    fn read_byte(&mut self, cx: &Context<'_>, register: u64) -> u8 {
        let stored: u8 = self.registers.get(register as usize);
        match register {
            THR => return self.rx.pop_front().unwrap_or(0),
            FCR => {
                let shown = self.interrupt(cx);
                self.emptied &= shown != TRANSMITTER;
                return shown | if self.depth() == FIFO { 0xc0 } else { 0 };
            }
            MSR => self.registers.set_msr(self.registers.msr().with_changes(0)),
            _ => {}
        }
        stored
    }

    fn write_byte(&mut self, cx: &mut Context<'_>, register: u64, value: u8) {
        let (enabled, fifos) = (self.registers.ier(), self.registers.fcr());
        self.registers.write_byte_at(register, value);
        match register {
            THR => {
                // A byte on top of a full transmitter is lost, as on silicon.
                let looped = self.registers.mcr().loopback();
                self.put(cx, looped, value);
                self.emptied = looped;
            }
            // Enabling the interrupt of an empty transmitter interrupts.
            IER => self.emptied |= !enabled.transmitter() && self.tx.is_empty(),
            FCR => {
                let control = FifoControl::from(value);
                let stays = control.enable() == fifos.enable();
                self.rx.retain(|_| stays && !control.clear_receiver());
                self.tx.retain(|_| stays && !control.clear_transmitter());
            }
            _ => {}
        }
    }
}

impl Model for Serial {
    fn read(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, lanes: Lanes) -> u32 {
        lanes.gather(|byte| self.read_byte(cx, self.place(offset + byte as u64)))
    }

    fn write(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        for (byte, value) in write.bytes() {
            self.write_byte(cx, self.place(offset + byte as u64), value);
        }
    }

    fn reset(&mut self, cx: &mut Context<'_>, _: ResetKind) {
        self.carrier = std::mem::take(self).carrier;
        let status = ModemStatus::new().with_lines(self.carrier & LINES);
        self.registers.set_msr(status);
        cx.set_timer(ON_THE_WAY, None);
    }

    fn backend(&mut self) -> Option<Backend<'_>> {
        Some(Backend::Serial(self))
    }

    /// Updates line status, modem status and INTx.
    fn settle(&mut self, cx: &mut Context<'_>) {
        let (ready, idle) = (!self.rx.is_empty(), self.tx.is_empty());
        self.emptied |= idle && !self.registers.lsr().thre();
        let status = LineStatus::new().with_ready(ready).with_thre(idle);
        self.registers.set_lsr(status.with_temt(idle));
        let (control, before) = (self.registers.mcr(), self.registers.msr());
        let lines = match control.into_bits() {
            // OUT2 is DCD, OUT1 is RI, DTR is DSR, RTS is CTS.
            own if control.loopback() => own & 0xc | own << 1 & 0x2 | own >> 1 & 0x1,
            _ => self.carrier & LINES,
        };
        let changes = before.changes() | (before.lines() ^ lines) & !(lines & RING);
        let after = before.with_lines(lines).with_changes(changes);
        self.registers.set_msr(after);
        cx.set_intx(self.interrupt(cx) != NO_INTERRUPT);
    }
}

impl SerialPort for Serial {
    fn receive(&mut self, cx: &mut Context<'_>, character: u8) -> bool {
        let control = self.registers.mcr();
        control.rts() && !control.loopback() && self.put(cx, true, character)
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<u8> {
        let leaves = cx.timer(ON_THE_WAY).is_none();
        leaves.then(|| self.tx.pop_front()).flatten()
    }

    fn set_carrier(&mut self, _: &mut Context<'_>, carrier: bool) {
        self.carrier = if carrier { CARRIER } else { 0 };
    }
}

#[cfg(test)]
mod tests;
