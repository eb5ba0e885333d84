//! The `ioat` model: Intel's copy engine (QuickData, "I/OAT"), version 3, which copies and nothing
//! else.
//!
//! BAR0 holds a page of global registers and one for each channel, [`PAGE`] bytes each; registers
//! and bits are in [`registers`]. Software hands over descriptors in memory, and each channel works
//! its own chain off by itself.

mod channel;
pub mod registers;

use std::mem;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::channel::{Channel, Engine};
use self::registers::channel::{CDAR, CHAINADDR, CHANCMD, CHANCTRL, CHANSTS};
use self::registers::{InterruptControl, global, pages};
use super::{Context, InRange, Model, Saved};
use crate::dma::DmaOutcome;
use crate::register::{Block, DwordWrite, Lanes, ResetKind};
use crate::snapshot::{self, RestoreError};

/// Bytes of a page of registers.
pub const PAGE: u64 = 0x80;

/// What a profile can say in its `[model]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Parameters {
    /// `CHANCNT`.
    pub channels: InRange<1, 4>,
    /// `XFERCAP`.
    pub transfer_cap: InRange<1, 31>,
    /// `VER`.
    pub version: u8,
    /// `DMACAP`.
    pub capabilities: u32,
}

/// The copy engine.
#[derive(Debug)]
pub struct Ioat {
    registers: Block,
    state: State,
}

/// What there is besides registers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// `ATTNSTATUS`.
    attention: u32,
    channels: Vec<Channel>,
}

impl Ioat {
    /// The engine after power-on.
    #[must_use]
    pub fn new(parameters: Parameters) -> Self {
        let channels = usize::from(parameters.channels.get());
        Self {
            registers: pages(parameters),
            state: State::of(channels),
        }
    }

    fn interrupt_control(&self) -> InterruptControl {
        let control: InterruptControl = self.registers.get(global::INTRCTRL as usize);
        let status = self.state.attention != 0;
        control
            .with_status(status)
            .with_interrupt(status && control.master_enable())
    }

    /// What channel `number` does, and its interrupt afterwards.
    fn with_channel<T: Default>(
        &mut self,
        cx: &mut Context<'_>,
        number: u64,
        what: impl FnOnce(&mut Engine<'_, '_>) -> T,
    ) -> T {
        let Some(channel) = self.state.channels.get_mut(number as usize) else {
            return T::default();
        };
        let mut engine = Engine {
            channel,
            registers: &mut self.registers,
            page: (number + 1) * PAGE,
            cx,
        };
        let result = what(&mut engine);
        if engine.take_interrupt() {
            if self.interrupt_control().vector_per_channel() {
                cx.interrupt(number as u16);
            } else {
                self.state.attention |= 1 << number;
                self.show_attention(cx);
            }
        }
        result
    }

    fn show_attention(&self, cx: &mut Context<'_>) {
        if self.interrupt_control().interrupt() {
            cx.interrupt(0);
        } else {
            cx.set_intx(false);
        }
    }
}

impl State {
    fn of(channels: usize) -> Self {
        Self {
            attention: 0,
            channels: vec![Channel::default(); channels],
        }
    }
}

impl Model for Ioat {
    fn read(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, _: Lanes) -> u32 {
        let stored = self.registers.read(offset as usize / 4);
        match (offset / PAGE).checked_sub(1) {
            None if offset == global::CHANCNT => {
                stored | u32::from(self.interrupt_control().into_bits()) << 24
            }
            None if offset == global::ATTNSTATUS => {
                cx.set_intx(false);
                mem::take(&mut self.state.attention)
            }
            None => stored,
            Some(number) => self.with_channel(cx, number, |engine| {
                let half = |register: u64| (register >> (8 * (offset & 4))) as u32;
                match offset % PAGE {
                    CHANCMD => stored | u32::from(engine.channel.asked()),
                    at if at & !4 == CHANSTS => half(engine.channel.status()),
                    at if at & !4 == CDAR => half(engine.current()),
                    _ => stored,
                }
            }),
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        self.registers.write(offset as usize / 4, write);
        match (offset / PAGE).checked_sub(1) {
            None if offset == global::CHANCNT => self.show_attention(cx),
            None => {}
            Some(number) => self.with_channel(cx, number, |engine| match offset % PAGE {
                CHANCTRL => engine.arm(write.value()),
                CHANCMD => {
                    engine.command(write.value() as u8);
                    // DMACOUNT is in the same DWORD.
                    if write.lanes().mask() >> 16 != 0 {
                        engine.run();
                    }
                }
                at if at & !4 == CHAINADDR => engine.begin_chain(),
                _ => {}
            }),
        }
    }

    fn reset(&mut self, _: &mut Context<'_>, kind: ResetKind) {
        self.registers.reset(kind);
        self.state = State::of(self.state.channels.len());
    }

    fn dma_done(&mut self, cx: &mut Context<'_>, tag: u32, outcome: DmaOutcome<'_>) {
        self.with_channel(cx, tag.into(), |engine| engine.done(outcome));
    }
}

impl Saved for Ioat {
    fn save(&self) -> Value {
        snapshot::tree(&(self.registers.values(), &self.state))
    }

    fn restore(&mut self, saved: &Value) -> Result<(), RestoreError> {
        let (values, state): (Vec<u32>, State) = snapshot::read(snapshot::MODEL, saved)?;
        if state.channels.len() != self.state.channels.len() {
            let reason = "there are not as many channels as the device has";
            return Err(RestoreError::part(snapshot::MODEL, reason));
        }
        self.registers.set_values(snapshot::MODEL, &values)?;
        self.state = state;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
