//! The `ioat` model: Intel's copy engine (QuickData, "I/OAT"), version 3, which copies and nothing
//! else.
//!
//! BAR0 holds a page of global registers and one for each channel, [`PAGE`] bytes each; registers
//! and bits are in [`registers`]. Software hands over descriptors in memory, and each channel works
//! its own chain off by itself.

mod channel;
pub mod registers;

use serde::Deserialize;
use serde_json::{Value, json};

use self::channel::{Channel, Engine};
use self::registers::*;
use super::{Context, InRange, Model};
use crate::dma::DmaOutcome;
use crate::register::{Block, DwordWrite, Lanes, ResetKind};
use crate::snapshot::{self, RestoreError};
use crate::time::Time;

/// Bytes of a page of registers.
pub const PAGE: usize = 0x80;

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
    /// As many as there can be; `CHANCNT` says how many there are.
    channels: [Channel; 4],
}

impl Ioat {
    /// The engine after power-on.
    #[must_use]
    pub fn new(parameters: Parameters) -> Self {
        Self {
            registers: pages(parameters),
            channels: Default::default(),
        }
    }

    /// A channel interrupts.
    fn interrupt(&mut self, cx: &mut Context<'_>, channel: u8) {
        if self.registers.get::<u8>(INTRCTRL) & VECTOR_PER_CHANNEL != 0 {
            cx.interrupt(channel.into());
        } else {
            self.attend(cx, self.registers.get::<u32>(ATTNSTATUS) | 1 << channel);
        }
    }

    /// `ATTNSTATUS` is this now, or `INTRCTRL` was written.
    fn attend(&mut self, cx: &mut Context<'_>, attention: u32) {
        let control = self.registers.get::<u8>(INTRCTRL) & !(STATUS | INTERRUPT);
        let shown = match (attention, control & MASTER_ENABLE) {
            (0, _) => 0,
            (_, 0) => STATUS,
            _ => STATUS | INTERRUPT,
        };
        self.registers.set(ATTNSTATUS, attention);
        self.registers.set(INTRCTRL, control | shown);
        if shown & INTERRUPT != 0 {
            cx.interrupt(0);
        } else {
            cx.set_intx(false);
        }
    }
}

impl Model for Ioat {
    fn read(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, _: Lanes) -> u32 {
        let value = self.registers.read(offset as usize / 4);
        if offset as usize == ATTNSTATUS {
            self.attend(cx, 0);
        }
        value
    }

    fn write(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        self.registers.write(offset as usize / 4, write);
        let channels: u8 = self.registers.get(CHANCNT);
        match ((offset as usize / PAGE) as u8, offset as usize % PAGE) {
            (0, CHANCNT) => self.attend(cx, self.registers.get(ATTNSTATUS)),
            (page, at) if (1..=channels).contains(&page) => {
                let (number, ioat) = (page - 1, self);
                Engine { number, ioat, cx }.written(at, write);
            }
            _ => {}
        }
    }

    fn reset(&mut self, _: &mut Context<'_>, kind: ResetKind) {
        self.registers.reset(kind);
        self.channels = Default::default();
    }

    fn dma_done(&mut self, cx: &mut Context<'_>, tag: u32, outcome: DmaOutcome<'_>) {
        let (number, ioat) = (tag as u8 % 4, self);
        Engine { number, ioat, cx }.done(outcome);
    }

    fn inspect(&self) -> Value {
        json!({ "registers": self.registers.values(), "channels": self.channels })
    }

    fn save(&self, now: Time) -> Value {
        snapshot::model(now, &self.registers, None, &self.channels)
    }

    fn restore(&mut self, now: Time, saved: &Value) -> Result<(), RestoreError> {
        (_, self.channels) = snapshot::read_model(now, &mut self.registers, saved)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
