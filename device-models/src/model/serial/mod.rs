//! The `serial` model: one 16550 UART, eight registers of a byte in BAR0.
//!
//! Its line has no noise and takes as many bytes as there is room for: the other end's room for what
//! is sent; for what is received, that of the FIFO once the driver has raised RTS, so there are no
//! overruns. What fills no FIFO is on its way after the time of a character in which nothing came
//! on top of it. While nobody is at the other end, CTS, DSR and DCD are off.

pub mod registers;

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::registers::{
    CARRIER, CLEAR_RECEIVER, CLEAR_TRANSMITTER, DIVISOR, DLAB, FIFO_ENABLE, IER, IIR_FCR, LCR,
    LOOP, LSR, MCR, MSR, RING, RTS, SCR, TRANSMITTER_EMPTY, TRIGGER_LEVELS,
};
use super::{CharacterLine, Context, LinePlace, Model, Saved};
use crate::register::{Block, DwordWrite, Lanes, Register, ResetKind};
use crate::snapshot::{self, RestoreError};
use crate::time::Time;

/// Bytes that each FIFO holds. While they are off there is one register for each direction.
pub const FIFO: usize = 16;

/// Ten bits at 115200 baud.
const CHARACTER: Duration = Duration::from_micros(87);

/// What a profile can say in its `[model]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Where the line leads.
    #[serde(default)]
    pub line: LinePlace,
}

/// The UART.
#[derive(Debug)]
pub struct Serial {
    line: LinePlace,
    registers: Block,
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
    /// Somebody is at the other end.
    carrier: bool,
}

impl Serial {
    /// The UART after power-on.
    #[must_use]
    pub fn new(Parameters { line }: Parameters) -> Self {
        let (all, fcr) = (0xff, 0xc0 | FIFO_ENABLE);
        let storage = [
            (IER, 0x0f),
            (IIR_FCR, fcr),
            (LCR, all),
            (MCR, 0x1f),
            (SCR, all),
        ];
        let divisor = [(DIVISOR, all), (DIVISOR + 1, all)];
        let bytes = storage.into_iter().chain(divisor);
        Self {
            line,
            registers: Block::page(3, bytes.map(|(at, rw)| (at, Register::new(0_u8).rw(rw)))),
            state: State::default(),
        }
    }

    fn get(&self, register: usize) -> u8 {
        self.registers.get(register)
    }

    fn has(&self, register: usize, bits: u8) -> bool {
        self.get(register) & bits != 0
    }

    /// Bytes that a FIFO holds now.
    fn room(&self) -> usize {
        if self.has(IIR_FCR, FIFO_ENABLE) {
            FIFO
        } else {
            1
        }
    }

    /// The interrupt of the highest priority: its bit in `IER` and what `IIR` shows.
    fn interrupt(&self, cx: &Context<'_>) -> Option<(u8, u8)> {
        let level = TRIGGER_LEVELS[usize::from(self.get(IIR_FCR) >> 6)].min(self.room());
        let ready = self.state.received.len();
        [
            (0x01, 0x04, ready >= level),
            (0x01, 0x0c, ready > 0 && cx.deadline().is_none()),
            (TRANSMITTER_EMPTY, 0x02, self.state.emptied),
            (0x08, 0x00, self.has(MSR, 0x0f)),
        ]
        .into_iter()
        .find_map(|(enable, shown, cause)| {
            (cause && self.has(IER, enable)).then_some((enable, shown))
        })
    }

    /// Brings modem status and INTx in line with what they depend on.
    fn settle(&mut self, cx: &mut Context<'_>) {
        let (before, own) = (self.get(MSR), self.get(MCR));
        let lines = match (self.has(MCR, LOOP), self.state.carrier) {
            // OUT2 is DCD, OUT1 is RI, RTS is CTS, DTR is DSR.
            (true, _) => (own & 0x0c) << 4 | (own & 0x02) << 3 | (own & 0x01) << 5,
            (false, true) => CARRIER,
            (false, false) => 0,
        };
        let changed = (before ^ lines) & !(lines & RING) & 0xf0;
        self.registers
            .set(MSR, lines | before & 0x0f | changed >> 4);
        cx.set_intx(self.interrupt(cx).is_some());
    }

    /// Where a register is in the page.
    fn place(&self, register: u64) -> usize {
        let divisor = register < 2 && self.has(LCR, DLAB);
        register as usize + if divisor { DIVISOR } else { 0 }
    }

    fn read_register(&mut self, cx: &Context<'_>, register: usize) -> u8 {
        let stored = self.get(register);
        match register {
            0 => self.state.received.pop_front().unwrap_or(0),
            IIR_FCR => {
                let (source, shown) = self.interrupt(cx).unwrap_or((0, 0x01));
                self.state.emptied &= source != TRANSMITTER_EMPTY;
                shown | if self.room() == FIFO { 0xc0 } else { 0 }
            }
            LSR => {
                let (ready, idle) = (
                    !self.state.received.is_empty(),
                    self.state.to_send.is_empty(),
                );
                u8::from(ready) | if idle { 0x60 } else { 0 }
            }
            MSR => {
                self.registers.set(MSR, stored & 0xf0);
                stored
            }
            _ => stored,
        }
    }

    fn write_register(&mut self, register: usize, value: u8) {
        let before = self.get(register);
        let lane = Lanes::new(register % 4, 1);
        let write = DwordWrite::new(u32::from(value) << (8 * (register % 4)), lane);
        self.registers.write(register / 4, write);
        let (room, looped, state) = (self.room(), self.has(MCR, LOOP), &mut self.state);
        match register {
            0 => {
                let to = if looped {
                    &mut state.received
                } else {
                    &mut state.to_send
                };
                // A byte on top of a full transmitter is lost, as on silicon.
                to.extend((to.len() < room).then_some(value));
                state.emptied = looped;
            }
            IER => {
                let enabled = value & !before & TRANSMITTER_EMPTY != 0;
                state.emptied |= enabled && state.to_send.is_empty();
            }
            IIR_FCR => {
                let switched = (before ^ value) & FIFO_ENABLE != 0;
                if switched || value & CLEAR_RECEIVER != 0 {
                    state.received.clear();
                }
                if switched || value & CLEAR_TRANSMITTER != 0 {
                    state.emptied |= !state.to_send.is_empty();
                    state.to_send.clear();
                }
            }
            _ => {}
        }
    }
}

impl Model for Serial {
    fn read(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, lanes: Lanes) -> u32 {
        let dword = lanes.gather(|byte| self.read_register(cx, self.place(offset + byte as u64)));
        self.settle(cx);
        dword
    }

    fn write(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        for (byte, value) in write.bytes() {
            let register = self.place(offset + byte as u64);
            self.write_register(register, value);
            if register == 0 {
                cx.set_deadline(Some(cx.now().after(CHARACTER)));
            }
        }
        self.settle(cx);
    }

    fn reset(&mut self, cx: &mut Context<'_>, kind: ResetKind) {
        let carrier = self.state.carrier;
        self.registers.reset(kind);
        self.registers.set(MSR, if carrier { CARRIER } else { 0 });
        cx.set_deadline(None);
        self.state = State {
            carrier,
            ..State::default()
        };
        self.settle(cx);
    }

    fn timer(&mut self, cx: &mut Context<'_>, _: Time) {
        self.settle(cx);
    }

    fn line(&mut self) -> Option<&mut dyn CharacterLine> {
        Some(self)
    }
}

impl Saved for Serial {
    fn save(&self) -> Value {
        snapshot::tree(&(self.registers.values(), &self.state))
    }

    fn restore(&mut self, saved: &Value) -> Result<(), RestoreError> {
        let (values, state): (Vec<u32>, State) = snapshot::read(snapshot::MODEL, saved)?;
        self.registers.set_values(snapshot::MODEL, &values)?;
        self.state = state;
        Ok(())
    }
}

impl CharacterLine for Serial {
    fn place(&self) -> &LinePlace {
        &self.line
    }

    fn receive(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> usize {
        let listens = self.has(MCR, RTS) && !self.has(MCR, LOOP);
        let room = self.room().saturating_sub(self.state.received.len());
        let taken = if listens { room.min(bytes.len()) } else { 0 };
        self.state.received.extend(bytes.iter().take(taken));
        if taken > 0 {
            cx.set_deadline(Some(cx.now().after(CHARACTER)));
        }
        self.settle(cx);
        taken
    }

    fn transmit(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> usize {
        let ready = self.state.to_send.len();
        let leaves = cx.deadline().is_none() || ready >= self.room();
        let count = if leaves { ready.min(room.len()) } else { 0 };
        for (place, byte) in room.iter_mut().zip(self.state.to_send.drain(..count)) {
            *place = byte;
        }
        self.state.emptied |= count > 0 && self.state.to_send.is_empty();
        self.settle(cx);
        count
    }

    fn set_carrier(&mut self, cx: &mut Context<'_>, carrier: bool) {
        self.state.carrier = carrier;
        self.settle(cx);
    }
}

#[cfg(test)]
mod tests;
