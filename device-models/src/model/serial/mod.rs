//! The `serial` model: one 16550 UART, eight registers of a byte in BAR0.
//!
//! Its line knows neither time nor noise: a byte is sent when the other end has room for it, and
//! received when the driver has raised RTS and the FIFO has room, so there are no overruns, and what
//! is in the FIFO below its trigger level has timed out already. While nobody is at the other end,
//! CTS, DSR and DCD are off.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::registers::{
    FCR_CLEAR_RECEIVER, FCR_CLEAR_TRANSMITTER, FCR_ENABLE, IER_MODEM, IER_RECEIVED,
    IER_TRANSMITTER, IIR_FIFOS, IIR_MODEM, IIR_NONE, IIR_RECEIVED, IIR_TIMEOUT, IIR_TRANSMITTER,
    LCR_DLAB, LSR_IDLE, LSR_READY, MCR_DTR, MCR_LOOP, MCR_OUT1, MCR_OUT2, MCR_RTS, MSR_CTS,
    MSR_DCD, MSR_DELTAS, MSR_DSR, MSR_RI, MSR_RI_ENDED, TRIGGER_LEVELS,
};
use super::{CharacterLine, Context, LinePlace, Model};
use crate::register::{DwordWrite, Lanes, ResetKind};
use crate::snapshot::{self, RestoreError};
use crate::time::Time;

pub mod registers;

/// Bytes that each FIFO holds. While they are off there is one holding register for each direction.
pub const FIFO: usize = 16;

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
    state: State,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    divisor: [u8; 2],
    ier: u8,
    fcr: u8,
    lcr: u8,
    mcr: u8,
    msr: u8,
    scr: u8,
    received: VecDeque<u8>,
    to_send: VecDeque<u8>,
    /// The transmitter became empty, and nobody has seen it.
    emptied: bool,
    carrier: bool,
}

impl Serial {
    /// The UART after power-on.
    #[must_use]
    pub fn new(Parameters { line }: Parameters) -> Self {
        let state = State::default();
        Self { line, state }
    }
}

impl State {
    fn has(&self, mcr: u8) -> bool {
        self.mcr & mcr != 0
    }

    /// Bytes that a FIFO holds now.
    const fn room(&self) -> usize {
        if self.fcr & FCR_ENABLE != 0 { FIFO } else { 1 }
    }

    /// The interrupt of the highest priority.
    fn identification(&self) -> u8 {
        let (enabled, trigger) = (|source| self.ier & source != 0, self.fcr >> 6);
        let level = TRIGGER_LEVELS.get(usize::from(trigger)).copied();
        let triggered = self.received.len() >= level.unwrap_or(1).min(self.room());
        match () {
            () if enabled(IER_RECEIVED) && triggered => IIR_RECEIVED,
            () if enabled(IER_RECEIVED) && !self.received.is_empty() => IIR_TIMEOUT,
            () if enabled(IER_TRANSMITTER) && self.emptied => IIR_TRANSMITTER,
            () if enabled(IER_MODEM) && self.msr & MSR_DELTAS != 0 => IIR_MODEM,
            () => IIR_NONE,
        }
    }

    /// The modem's lines: those of the other end, or one's own in a loop.
    fn modem_lines(&self) -> u8 {
        let pairs = [
            (MCR_RTS, MSR_CTS, self.carrier),
            (MCR_DTR, MSR_DSR, self.carrier),
            (MCR_OUT1, MSR_RI, false),
            (MCR_OUT2, MSR_DCD, self.carrier),
        ];
        let looped = self.has(MCR_LOOP);
        let on = |&(own, _, other): &_| if looped { self.has(own) } else { other };
        pairs
            .iter()
            .filter(|pair| on(pair))
            .fold(0, |lines, pair| lines | pair.1)
    }

    /// Brings modem status and INTx in line with what they depend on.
    fn settle(&mut self, cx: &mut Context<'_>) {
        let lines = self.modem_lines();
        let changed = (self.msr ^ lines) & !MSR_DELTAS;
        // Of the ring indicator only the end counts.
        let unseen = if lines & MSR_RI != 0 { MSR_RI_ENDED } else { 0 };
        self.msr = lines | self.msr & MSR_DELTAS | changed >> 4 & !unseen;
        cx.set_intx(self.identification() != IIR_NONE);
    }

    fn read(&mut self, register: u64) -> u8 {
        match register {
            0 | 1 if self.lcr & LCR_DLAB != 0 => self.divisor[register as usize],
            0 => self.received.pop_front().unwrap_or(0),
            1 => self.ier,
            2 => {
                let source = self.identification();
                self.emptied &= source != IIR_TRANSMITTER;
                let fifos = self.fcr & FCR_ENABLE != 0;
                source | if fifos { IIR_FIFOS } else { 0 }
            }
            3 => self.lcr,
            4 => self.mcr,
            5 => {
                let ready = if self.received.is_empty() {
                    0
                } else {
                    LSR_READY
                };
                ready | if self.to_send.is_empty() { LSR_IDLE } else { 0 }
            }
            6 => {
                let status = self.msr;
                self.msr &= !MSR_DELTAS;
                status
            }
            _ => self.scr,
        }
    }

    fn write(&mut self, register: u64, value: u8) {
        match register {
            0 | 1 if self.lcr & LCR_DLAB != 0 => self.divisor[register as usize] = value,
            0 => self.send(value),
            1 => {
                let enabled = value & !self.ier & IER_TRANSMITTER != 0;
                self.emptied |= enabled && self.to_send.is_empty();
                self.ier = value & 0x0f;
            }
            2 => self.control_fifos(value),
            3 => self.lcr = value,
            4 => self.mcr = value & 0x1f,
            7 => self.scr = value,
            _ => {}
        }
    }

    fn send(&mut self, byte: u8) {
        let looped = self.has(MCR_LOOP);
        let room = self.room();
        let queue = if looped {
            &mut self.received
        } else {
            &mut self.to_send
        };
        // A byte on top of a full transmitter is lost, as on silicon.
        if queue.len() < room {
            queue.push_back(byte);
        }
        self.emptied = looped;
    }

    fn control_fifos(&mut self, fcr: u8) {
        let switched = (fcr ^ self.fcr) & FCR_ENABLE != 0;
        if switched || fcr & FCR_CLEAR_RECEIVER != 0 {
            self.received.clear();
        }
        if (switched || fcr & FCR_CLEAR_TRANSMITTER != 0) && !self.to_send.is_empty() {
            self.to_send.clear();
            self.emptied = true;
        }
        self.fcr = fcr & !(FCR_CLEAR_RECEIVER | FCR_CLEAR_TRANSMITTER);
    }
}

impl Model for Serial {
    fn read(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, lanes: Lanes) -> u32 {
        let dword = lanes.gather(|byte| self.state.read(offset + byte as u64));
        self.state.settle(cx);
        dword
    }

    fn write(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        for (byte, value) in write.bytes() {
            self.state.write(offset + byte as u64, value);
        }
        self.state.settle(cx);
    }

    fn reset(&mut self, cx: &mut Context<'_>, _: ResetKind) {
        let carrier = self.state.carrier;
        self.state = State {
            carrier,
            ..State::default()
        };
        self.state.settle(cx);
        self.state.msr &= !MSR_DELTAS;
    }

    fn line(&mut self) -> Option<&mut dyn CharacterLine> {
        Some(self)
    }

    fn inspect(&self) -> Value {
        snapshot::tree(&self.state)
    }

    fn save(&self, _: Time) -> Value {
        snapshot::tree(&self.state)
    }

    fn restore(&mut self, _: Time, saved: &Value) -> Result<(), RestoreError> {
        self.state = snapshot::read("function.model", saved)?;
        Ok(())
    }
}

impl CharacterLine for Serial {
    fn place(&self) -> &LinePlace {
        &self.line
    }

    fn receive(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> usize {
        let state = &mut self.state;
        if state.has(MCR_LOOP) || !state.has(MCR_RTS) {
            return 0;
        }
        let room = state.room().saturating_sub(state.received.len());
        let taken = room.min(bytes.len());
        state.received.extend(bytes.iter().take(taken));
        state.settle(cx);
        taken
    }

    fn transmit(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> usize {
        let state = &mut self.state;
        let count = state.to_send.len().min(room.len());
        for (place, byte) in room.iter_mut().zip(state.to_send.drain(..count)) {
            *place = byte;
        }
        state.emptied |= count > 0 && state.to_send.is_empty();
        state.settle(cx);
        count
    }

    fn set_carrier(&mut self, cx: &mut Context<'_>, carrier: bool) {
        self.state.carrier = carrier;
        self.state.settle(cx);
    }
}

#[cfg(test)]
mod tests;
