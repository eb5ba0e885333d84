//! The `serial` model: one 16550 UART, eight registers of a byte in BAR0.
//!
//! Its line has no noise and takes as many bytes as there is room for: the other end's room for what
//! is sent; for what is received, that of the FIFO once the driver has raised RTS, so there are no
//! overruns. What fills no FIFO is on its way after the time of a character in which nothing came
//! on top of it. While nobody is at the other end, CTS, DSR and DCD are off.

pub mod registers;

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::registers::*;
use super::{CharacterLine, Context, Model};
use crate::register::{Block, DwordWrite, Lanes, Register, ResetKind};
use crate::snapshot::{self, RestoreError};
use crate::time::Time;

/// Bytes that each FIFO holds. While they are off there is one register for each direction.
pub const FIFO: usize = 16;

/// Ten bits at 115200 baud.
const CHARACTER: Duration = Duration::from_micros(87);

/// The UART.
#[derive(Debug)]
pub struct Serial {
    registers: Block,
    /// When bytes that fill no FIFO are on their way.
    due: Option<Time>,
    state: State,
}

/// What there is besides registers.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    received: VecDeque<u8>,
    to_send: VecDeque<u8>,
    /// The transmitter became empty, and nobody has seen it.
    emptied: bool,
    /// The bits of MSR that the other end holds on: all of [`CARRIER`] or none.
    carrier: u8,
}

impl Default for Serial {
    fn default() -> Self {
        let bytes = REGISTERS.into_iter().enumerate();
        let registers = bytes.map(|(at, (reset, rw))| (at, Register::new(reset).rw(rw)));
        Self {
            registers: Block::page(3, registers),
            due: None,
            state: State::default(),
        }
    }
}

impl Serial {
    fn get(&self, register: usize) -> u8 {
        self.registers.get(register)
    }

    fn has(&self, register: usize, bits: u8) -> bool {
        self.get(register) & bits != 0
    }

    /// Bytes that a FIFO holds now.
    fn depth(&self) -> usize {
        let fifos = self.has(IIR_FCR, FIFO_ENABLE);
        if fifos { FIFO } else { 1 }
    }

    /// What IIR tells: the interrupt of the highest priority.
    fn interrupt(&self) -> u8 {
        let level = TRIGGER_LEVELS[usize::from(self.get(IIR_FCR) >> 6)].min(self.depth());
        let ready = self.state.received.len();
        let causes = [
            (DATA, 0x04, ready >= level),
            (DATA, 0x0c, ready > 0 && self.due.is_none()),
            (TRANSMITTER_EMPTY, TRANSMITTER, self.state.emptied),
            (MODEM_STATUS, 0x00, self.has(MSR, CHANGES)),
        ];
        let mut causes = causes.into_iter();
        let first = causes.find(|(enable, _, cause)| *cause && self.has(IER, *enable));
        first.map_or(NO_INTERRUPT, |(_, shown, _)| shown)
    }

    /// Brings line status, modem status and INTx in line with what they depend on.
    fn settle(&mut self, cx: &mut Context<'_>) {
        let ready = !self.state.received.is_empty();
        let idle = if self.state.to_send.is_empty() {
            IDLE
        } else {
            0
        };
        self.state.emptied |= idle & !self.get(LSR) != 0;
        self.registers.set(LSR, u8::from(ready) | idle);
        let (before, own) = (self.get(MSR), self.get(MCR));
        let lines = if own & LOOP != 0 {
            // OUT2 is DCD, OUT1 is RI, RTS is CTS, DTR is DSR.
            (own & 0x0c) << 4 | (own & 0x02) << 3 | (own & 0x01) << 5
        } else {
            self.state.carrier
        };
        let changed = (before ^ lines) & !(lines & RING) & !CHANGES;
        self.registers
            .set(MSR, lines | before & CHANGES | changed >> 4);
        cx.set_intx(self.interrupt() != NO_INTERRUPT);
    }

    /// Puts a byte into a FIFO, if there is room.
    fn put(&mut self, cx: &Context<'_>, received: bool, byte: u8) -> bool {
        let depth = self.depth();
        let fifo = match received {
            true => &mut self.state.received,
            false => &mut self.state.to_send,
        };
        let fits = fifo.len() < depth;
        if fits {
            fifo.push_back(byte);
            self.due = Some(cx.now().after(CHARACTER));
        }
        fits
    }

    /// Where a register is in the page.
    fn place(&self, register: u64) -> usize {
        let divisor = register < 2 && self.has(LCR, DLAB);
        register as usize + if divisor { DIVISOR } else { 0 }
    }

    fn read_register(&mut self, register: usize) -> u8 {
        let stored = self.get(register);
        match register {
            RBR_THR => return self.state.received.pop_front().unwrap_or(0),
            IIR_FCR => {
                let shown = self.interrupt();
                self.state.emptied &= shown != TRANSMITTER;
                return shown | if stored & FIFO_ENABLE != 0 { 0xc0 } else { 0 };
            }
            MSR => self.registers.set(MSR, stored & !CHANGES),
            _ => {}
        }
        stored
    }

    fn write_register(&mut self, cx: &Context<'_>, register: usize, value: u8) {
        let before = self.get(register);
        self.registers.write_byte(register, value);
        match register {
            // A byte on top of a full transmitter is lost, as on silicon.
            RBR_THR => {
                let looped = self.has(MCR, LOOP);
                self.put(cx, looped, value);
                self.state.emptied = looped;
            }
            IER => {
                let enabled = value & !before & TRANSMITTER_EMPTY != 0;
                self.state.emptied |= enabled && self.state.to_send.is_empty();
            }
            IIR_FCR => {
                let switched = (before ^ value) & FIFO_ENABLE != 0;
                let keeps = |clear| !switched && value & clear == 0;
                self.state.received.retain(|_| keeps(CLEAR_RECEIVER));
                self.state.to_send.retain(|_| keeps(CLEAR_TRANSMITTER));
            }
            _ => {}
        }
    }
}

impl Model for Serial {
    fn read(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, lanes: Lanes) -> u32 {
        let dword = lanes.gather(|byte| self.read_register(self.place(offset + byte as u64)));
        self.settle(cx);
        dword
    }

    fn write(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        for (byte, value) in write.bytes() {
            self.write_register(cx, self.place(offset + byte as u64), value);
        }
        self.settle(cx);
    }

    fn reset(&mut self, cx: &mut Context<'_>, kind: ResetKind) {
        self.registers.reset(kind);
        self.due = None;
        self.state.carrier = mem::take(&mut self.state).carrier;
        self.registers.set(MSR, self.state.carrier);
        self.settle(cx);
    }

    fn deadline(&self) -> Option<Time> {
        self.due
    }

    fn timer(&mut self, cx: &mut Context<'_>) {
        self.due = None;
        self.settle(cx);
    }

    fn line(&mut self) -> Option<&mut dyn CharacterLine> {
        Some(self)
    }

    fn inspect(&self) -> Value {
        snapshot::tree(&self.state)
    }

    fn save(&self, now: Time) -> Value {
        snapshot::model(now, &self.registers, self.due, &self.state)
    }

    fn restore(&mut self, now: Time, saved: &Value) -> Result<(), RestoreError> {
        (self.due, self.state) = snapshot::read_model(now, &mut self.registers, saved)?;
        Ok(())
    }
}

impl CharacterLine for Serial {
    fn receive(&mut self, cx: &mut Context<'_>, character: u8) -> bool {
        let listens = self.get(MCR) & (RTS | LOOP) == RTS;
        let taken = listens && self.put(cx, true, character);
        self.settle(cx);
        taken
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<u8> {
        if self.state.to_send.len() == self.depth() {
            self.due = None;
        }
        let leaves = self.due.is_none();
        let character = leaves.then(|| self.state.to_send.pop_front()).flatten();
        self.settle(cx);
        character
    }

    fn set_carrier(&mut self, cx: &mut Context<'_>, carrier: bool) {
        self.state.carrier = if carrier { CARRIER } else { 0 };
        self.settle(cx);
    }
}

#[cfg(test)]
mod tests;
