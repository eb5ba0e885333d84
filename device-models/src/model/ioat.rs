//! The `ioat` model: Intel's copy engine (QuickData, "I/OAT"), version 3, which can only copy.
//!
//! BAR0 holds a page of global registers and one for each channel, [`PAGE`] bytes each. Software
//! writes descriptors to memory, and each channel processes its own chain independently.
//!
//! # Examples
//!
//! The register at 8 is the version, which the profile chooses:
//!
//! ```
//! use pci_device_models::bench::Bench;
//! use pci_device_models::model::Registry;
//! use pci_device_models::profile::Profile;
//!
//! let text = Profile::builtin("ioat").ok_or("it is built in")?;
//! let profile = Profile::parse("ioat", text, &[])?;
//! let mut bench = Bench::of(&profile, &Registry::builtin())?;
//! assert_eq!(bench.read_bytes(0, 0x08), [0x33]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod channel;
mod registers;

use self::channel::Channel;
use self::registers::*;
use super::InRange;
use super::prelude::*;
use crate::dma::DmaOutcome;
use crate::snapshot::{self, RestoreError};

/// Size in bytes of a page of registers.
pub const PAGE: u64 = 0x80;

/// The keys of a profile's `[model]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Serialize, Deserialize)]
pub struct Ioat {
    parameters: Parameters,
    global: Registers,
    channels: Vec<Channel>,
}

impl Ioat {
    /// Creates the engine in its state after power-on.
    #[must_use]
    pub fn new(parameters: Parameters) -> Self {
        let mut global = Registers::default();
        global.set_chancnt(parameters.channels.get());
        global.set_xfercap(parameters.transfer_cap.get().into());
        global.set_ver(parameters.version);
        global.set_dmacap(parameters.capabilities);
        let channels = 0..u32::from(parameters.channels.get());
        Self {
            parameters,
            global,
            channels: channels.map(Channel::new).collect(),
        }
    }

    /// Interrupts for a channel whose work may require it.
    fn interrupt(&mut self, cx: &mut Context<'_>, number: usize) {
        let channel = self.channels.get_mut(number);
        if !channel.is_some_and(Channel::take_interrupt) {
            return;
        }
        if self.global.intrctrl().vector_per_channel() {
            cx.interrupt(number as u16);
        } else {
            self.attend(cx, self.global.attnstatus() | 1 << number);
        }
    }

    /// Sets `ATTNSTATUS` and the bits of `INTRCTRL` that follow from both registers.
    fn attend(&mut self, cx: &mut Context<'_>, attention: u32) {
        let (control, status) = (self.global.intrctrl(), attention != 0);
        let interrupt = status && control.master_enable();
        let control = control.with_status(status).with_interrupt(interrupt);
        self.global.set_intrctrl(control);
        self.global.set_attnstatus(attention);
        if interrupt {
            cx.interrupt(0);
        } else {
            cx.set_intx(false);
        }
    }
}

impl Model for Ioat {
    fn read(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, _: Lanes) -> u32 {
        let Some(number) = (offset / PAGE).checked_sub(1) else {
            let value = self.global.read_at(offset);
            if offset == ATTNSTATUS {
                self.attend(cx, 0);
            }
            return value;
        };
        let channel = self.channels.get(number as usize);
        channel.map_or(0, |channel| channel.registers.read_at(offset % PAGE))
    }

    fn write(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        if let Some(number) = (offset / PAGE).checked_sub(1) {
            let number = number as usize;
            if let Some(channel) = self.channels.get_mut(number) {
                channel.write(cx, offset % PAGE, write);
            }
            self.interrupt(cx, number);
        } else {
            self.global.write_at(offset, write);
            if offset == CHANCNT {
                self.attend(cx, self.global.attnstatus());
            }
        }
    }

    fn reset(&mut self, _: &mut Context<'_>, _: ResetKind) {
        *self = Self::new(self.parameters);
    }

    fn dma_done(&mut self, cx: &mut Context<'_>, tag: u32, outcome: DmaOutcome<'_>) {
        let most = 1 << self.global.xfercap().log2_bytes();
        if let Some(channel) = self.channels.get_mut(tag as usize) {
            channel.done(cx, most, outcome);
        }
        self.interrupt(cx, tag as usize);
    }

    fn restored(&self, saved: Self) -> Result<Self, RestoreError> {
        let other = || RestoreError::part(snapshot::MODEL, "it was saved with other parameters");
        let same =
            saved.parameters == self.parameters && saved.channels.len() == self.channels.len();
        same.then_some(saved).ok_or_else(other)
    }
}

#[cfg(test)]
mod tests;
