//! The `testdev` model: registers with which a test controls a function.
//!
//! Its registers are in BAR0, 32 bits wide, little-endian; `docs/device-authors.md` lists them.
//! Write-only registers read zero.
//!
//! # Examples
//!
//! Software recognises the device by the register at 0:
//!
//! ```
//! use pci_device_models::bench::Bench;
//! use pci_device_models::model::Registry;
//! use pci_device_models::profile::Profile;
//!
//! let text = Profile::builtin("testdev").ok_or("it is built in")?;
//! let profile = Profile::parse("testdev", text, &[])?;
//! let mut bench = Bench::of(&profile, &Registry::builtin())?;
//! assert_eq!(bench.read(0, 0x00), 0x504d_4456);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod dma;
pub(crate) mod registers;

use serde_json::{Value, json};

use self::dma::{CopyEngine, Job};
use self::registers::{
    D_STATE, DMA_CTRL, DMA_STATUS, DmaControl, IRQ_ACK, IRQ_TRIGGER, OUTSIDE_D0, PME_AFTER_MS,
    RESETS, Registers,
};
use super::prelude::*;
use crate::dma::DmaOutcome;
use crate::power::PowerState;

/// The BAR with the registers.
const REGISTER_BAR: u8 = 0;
/// Timer: the wake event.
const WAKE_EVENT: u16 = 0;

/// The test device.
///
/// Wake logic runs on auxiliary power, apart from all the rest.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct TestDevice {
    /// The storage: `MAGIC`, `SCRATCH` and the parameters of the copy engine.
    registers: Registers,
    engine: CopyEngine,
}

impl TestDevice {
    fn control(&mut self, cx: &mut Context<'_>, control: DmaControl) {
        if control.stop() {
            self.engine.stop();
        } else if control.go() {
            let job = Job {
                from: self.registers.dma_src(),
                to: self.registers.dma_dst(),
                len: self.registers.dma_len(),
                count: self.registers.dma_count(),
                vector: control.interrupt().then(|| u16::from(control.vector())),
            };
            self.engine.start(cx, job);
        }
    }
}

impl Model for TestDevice {
    fn read(&mut self, cx: &mut Context<'_>, bar: u8, offset: u64, _: Lanes) -> u32 {
        if bar != REGISTER_BAR {
            return 0;
        }
        match offset {
            D_STATE => u32::from(cx.power_state().bits()),
            OUTSIDE_D0 => cx.counters().outside_d0,
            RESETS => cx.counters().resets,
            DMA_STATUS => self.engine.status().into(),
            _ => self.registers.read_at(offset),
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, bar: u8, offset: u64, write: DwordWrite) {
        if bar != REGISTER_BAR {
            return;
        }
        let value = write.value();
        match offset {
            IRQ_TRIGGER => cx.interrupt(u16::try_from(value).unwrap_or(u16::MAX)),
            IRQ_ACK => cx.set_intx(false),
            PME_AFTER_MS => {
                let delay = Duration::from_millis(u64::from(value));
                cx.set_timer(WAKE_EVENT, Some(cx.now().after(delay)));
            }
            DMA_CTRL => self.control(cx, DmaControl::from(value)),
            _ => {
                self.registers.write_at(offset, write);
            }
        }
    }

    fn reset(&mut self, cx: &mut Context<'_>, kind: ResetKind) {
        self.registers.reset(kind);
        self.engine.reset();
        if kind == ResetKind::PowerOn {
            cx.set_timer(WAKE_EVENT, None);
        }
    }

    fn power_changed(&mut self, cx: &mut Context<'_>, _: PowerState, to: PowerState) {
        if to != PowerState::D0 {
            self.engine.abort(cx);
        }
    }

    fn timer(&mut self, cx: &mut Context<'_>, _: u16, _: Time) {
        cx.pme();
    }

    fn dma_done(&mut self, cx: &mut Context<'_>, tag: u32, outcome: DmaOutcome<'_>) {
        self.engine.slice_done(cx, tag, outcome);
    }

    fn inspect(&self) -> Value {
        json!({
            "scratch": self.registers.scratch(),
            "dma": {
                "src": self.registers.dma_src(),
                "dst": self.registers.dma_dst(),
                "len": self.registers.dma_len(),
                "count": self.registers.dma_count(),
                "engine": self.engine.inspect(),
            },
        })
    }
}

#[cfg(test)]
mod tests;
