//! The `testdev` model: registers that make a function do what a test asks for.
//!
//! Its registers are in BAR0, 32 bits wide, little-endian; [`offset`] lists them. What is write-only
//! reads zero.

mod dma;
pub mod offset;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::dma::{CopyEngine, Job};
use self::offset::{
    D_STATE, DMA_COUNT, DMA_CTRL, DMA_DST, DMA_LEN, DMA_SRC, DMA_STATUS, IRQ_ACK, IRQ_TRIGGER,
    MAGIC, OUTSIDE_D0, PME_AFTER_MS, RESETS, SCRATCH,
};
use super::{Context, Model};
use crate::dma::DmaOutcome;
use crate::power::PowerState;
use crate::register::{Block, Dword, DwordWrite, Lanes, Register, ResetKind};
use crate::snapshot::{self, RestoreError};
use crate::time::Time;

pub use self::dma::{DmaControl, DmaStatus};

/// What `MAGIC` reads.
pub const MAGIC_VALUE: u32 = 0x504d_4456;

/// The BAR with the registers.
const REGISTER_BAR: u8 = 0;
const DWORDS: usize = 0x40 / 4;

/// The test device.
#[derive(Debug)]
pub struct TestDevice {
    /// What is storage: `MAGIC`, `SCRATCH` and the parameters of the copy engine.
    registers: Block,
    engine: CopyEngine,
    /// When the wake event is due. Wake logic runs on auxiliary power, apart from all the rest.
    pme_at: Option<Time>,
}

impl TestDevice {
    /// The device after power-on.
    #[must_use]
    pub fn new() -> Self {
        let storage = [
            SCRATCH,
            DMA_SRC,
            DMA_SRC + 4,
            DMA_DST,
            DMA_DST + 4,
            DMA_LEN,
            DMA_COUNT,
        ];
        let dword = |index| match 4 * index as u64 {
            MAGIC => Dword::read_only(MAGIC_VALUE),
            offset if storage.contains(&offset) => {
                Dword::new().with(0, Register::new(0_u32).rw(u32::MAX))
            }
            _ => Dword::new(),
        };
        Self {
            registers: Block::new((0..DWORDS).map(dword).collect::<Vec<_>>()),
            engine: CopyEngine::default(),
            pme_at: None,
        }
    }

    fn stored(&self, offset: u64) -> u32 {
        usize::try_from(offset / 4).map_or(0, |index| self.registers.read(index))
    }

    fn stored_u64(&self, offset: u64) -> u64 {
        u64::from(self.stored(offset + 4)) << 32 | u64::from(self.stored(offset))
    }

    fn control(&mut self, cx: &mut Context<'_>, control: DmaControl) {
        if control.stop() {
            self.engine.stop();
        } else if control.go() {
            let job = Job {
                from: self.stored_u64(DMA_SRC),
                to: self.stored_u64(DMA_DST),
                len: self.stored(DMA_LEN),
                count: self.stored(DMA_COUNT),
                vector: control.interrupt().then(|| u16::from(control.vector())),
            };
            self.engine.start(cx, job);
        }
    }
}

impl Default for TestDevice {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    registers: Vec<u32>,
    engine: CopyEngine,
    pme_nanos: Option<u64>,
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
            _ => self.stored(offset),
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
                self.pme_at = Some(cx.now().after(delay));
            }
            DMA_CTRL => self.control(cx, DmaControl::from(value)),
            _ => {
                if let Ok(index) = usize::try_from(offset / 4) {
                    self.registers.write(index, write);
                }
            }
        }
    }

    fn reset(&mut self, _: &mut Context<'_>, kind: ResetKind) {
        self.registers.reset(kind);
        self.engine.reset();
        if kind == ResetKind::PowerOn {
            self.pme_at = None;
        }
    }

    fn power_changed(&mut self, cx: &mut Context<'_>, _: PowerState, to: PowerState) {
        if to != PowerState::D0 {
            self.engine.abort(cx);
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.pme_at
    }

    fn timer(&mut self, cx: &mut Context<'_>) {
        self.pme_at = None;
        cx.pme();
    }

    fn dma_done(&mut self, cx: &mut Context<'_>, tag: u32, outcome: DmaOutcome<'_>) {
        self.engine.slice_done(cx, tag, outcome);
    }

    fn inspect(&self) -> Value {
        json!({
            "scratch": self.stored(SCRATCH),
            "pme_at_nanos": self.pme_at.map(Time::as_nanos),
            "dma": {
                "src": self.stored_u64(DMA_SRC),
                "dst": self.stored_u64(DMA_DST),
                "len": self.stored(DMA_LEN),
                "count": self.stored(DMA_COUNT),
                "engine": self.engine.inspect(),
            },
        })
    }

    fn save(&self, now: Time) -> Value {
        let Self {
            registers,
            engine,
            pme_at,
        } = self;
        snapshot::tree(&Saved {
            registers: registers.values(),
            engine: engine.clone(),
            pme_nanos: pme_at.map(|at| snapshot::left(now, at)),
        })
    }

    fn restore(&mut self, now: Time, saved: &Value) -> Result<(), RestoreError> {
        const AT: &str = "function.model";
        let Saved {
            registers,
            engine,
            pme_nanos,
        } = snapshot::read(AT, saved)?;
        self.registers.set_values(AT, &registers)?;
        self.engine = engine;
        self.pme_at = pme_nanos.map(|left| snapshot::due(now, left));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
