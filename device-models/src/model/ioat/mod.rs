//! The `ioat` model: Intel's copy engine (QuickData, "I/OAT"), version 3, which copies and nothing
//! else.
//!
//! BAR0 holds a page of global registers and one for each channel, [`PAGE`] bytes each; registers
//! and bits are in [`registers`]. Software hands over descriptors in memory, and each channel works
//! its own chain off by itself.

mod channel;
pub mod registers;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::channel::Channel;
use self::registers::{InterruptControl, global, global_page};
use super::parameter::InRange;
use super::{Context, Model};
use crate::dma::DmaOutcome;
use crate::register::{Block, DwordWrite, Lanes, ResetKind};
use crate::snapshot::{self, RestoreError};
use crate::time::Time;

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
    global: Block,
    /// The channels that `ATTNSTATUS` shows, a bit each.
    attention: u32,
    channels: Vec<Channel>,
}

impl Ioat {
    /// The engine after power-on.
    #[must_use]
    pub fn new(parameters: Parameters) -> Self {
        let max_size = 1 << parameters.transfer_cap.get();
        let numbers = 0..u32::from(parameters.channels.get());
        Self {
            global: global_page(parameters),
            attention: 0,
            channels: numbers
                .map(|number| Channel::new(number, max_size))
                .collect(),
        }
    }

    fn interrupt_control(&self) -> InterruptControl {
        let control: InterruptControl = self.global.get(global::INTRCTRL as usize);
        let status = self.attention != 0;
        control
            .with_status(status)
            .with_interrupt(status && control.master_enable())
    }

    /// Has channel `number` do something, and lets it interrupt afterwards.
    fn with_channel(
        &mut self,
        cx: &mut Context<'_>,
        number: usize,
        what: impl FnOnce(&mut Channel, &mut Context<'_>),
    ) {
        let Some(channel) = self.channels.get_mut(number) else {
            return;
        };
        what(channel, cx);
        if !channel.take_interrupt() {
            return;
        }
        if self.interrupt_control().vector_per_channel() {
            cx.interrupt(number as u16);
        } else {
            self.attention |= 1 << number;
            self.show_attention(cx);
        }
    }

    fn show_attention(&self, cx: &mut Context<'_>) {
        if self.interrupt_control().interrupt() {
            cx.interrupt(0);
        } else {
            cx.set_intx(false);
        }
    }

    /// Which page an offset is in (`None`: the global one), and where in it.
    fn place(bar: u8, offset: u64) -> (Option<usize>, u64) {
        // What is in no page is in that of a channel that nobody has.
        let page = if bar == 0 { offset / PAGE } else { u64::MAX };
        let channel = page.checked_sub(1);
        let number = channel.map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        (number, offset % PAGE)
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    global: Vec<u32>,
    attention: u32,
    channels: Vec<Value>,
}

impl Model for Ioat {
    fn read(&mut self, cx: &mut Context<'_>, bar: u8, offset: u64, _: Lanes) -> u32 {
        match Self::place(bar, offset) {
            (None, global::ATTNSTATUS) => {
                cx.set_intx(false);
                std::mem::take(&mut self.attention)
            }
            (None, offset) => {
                let value = self.global.read(offset as usize / 4);
                let control = u32::from(self.interrupt_control().into_bits());
                if offset == 0 {
                    value | control << 24
                } else {
                    value
                }
            }
            (Some(number), offset) => {
                let channel = self.channels.get(number);
                channel.map_or(0, |channel| channel.read(offset))
            }
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, bar: u8, offset: u64, write: DwordWrite) {
        match Self::place(bar, offset) {
            (None, offset) => {
                self.global.write(offset as usize / 4, write);
                if offset == 0 {
                    self.show_attention(cx);
                }
            }
            (Some(number), offset) => {
                self.with_channel(cx, number, |channel, cx| channel.write(cx, offset, write));
            }
        }
    }

    fn reset(&mut self, _: &mut Context<'_>, kind: ResetKind) {
        self.global.reset(kind);
        self.attention = 0;
        self.channels.iter_mut().for_each(Channel::reset);
    }

    fn dma_done(&mut self, cx: &mut Context<'_>, tag: u32, outcome: DmaOutcome<'_>) {
        self.with_channel(cx, tag as usize, |channel, cx| channel.done(cx, outcome));
    }

    fn inspect(&self) -> Value {
        let channels = self.channels.iter().map(Channel::inspect);
        json!({
            "intrctrl": self.interrupt_control().into_bits(),
            "attention": self.attention,
            "channels": channels.collect::<Vec<_>>(),
        })
    }

    fn save(&self, _: Time) -> Value {
        let Self {
            global,
            attention,
            channels,
        } = self;
        snapshot::tree(&Saved {
            global: global.values(),
            attention: *attention,
            channels: channels.iter().map(Channel::save).collect(),
        })
    }

    fn restore(&mut self, _: Time, saved: &Value) -> Result<(), RestoreError> {
        const AT: &str = "function.model";
        let saved: Saved = snapshot::read(AT, saved)?;
        if saved.channels.len() != self.channels.len() {
            let reason = "there are not as many channels as the device has";
            return Err(RestoreError::part(AT, reason));
        }
        self.global.set_values(AT, &saved.global)?;
        self.attention = saved.attention;
        let channels = self.channels.iter_mut().zip(&saved.channels).enumerate();
        for (number, (channel, saved)) in channels {
            channel.restore(&format!("{AT}.channels.{number}"), saved)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
