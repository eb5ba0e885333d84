//! A model built step by step in `docs/device-authors.md`: it waits, writes a pattern to memory, and
//! interrupts.

use std::time::Duration;

use pci_device_models::dma::{DmaOp, DmaOutcome};
use pci_device_models::model::{Context, InRange, Model, Registry};
use pci_device_models::profile::{Profile, ProfileError};
use pci_device_models::register::{Block, DwordWrite, Lanes, Register, ResetKind};
use pci_device_models::snapshot::{self, RestoreError};
use pci_device_models::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// RW, 64 bits: bus address.
const ADDRESS: usize = 0x00;
/// RW, 16 bits: bytes.
const LENGTH: usize = 0x08;
/// W: bit 0 starts.
const CONTROL: usize = 0x0c;
/// Bit 0 RO: busy. RW1C: bit 1 done, bit 2 the memory could not be written.
const STATUS: usize = 0x10;

const BUSY: u32 = 1;
const DONE: u32 = 1 << 1;
const ERROR: u32 = 1 << 2;

/// The registers: which there are, and what software may do to them.
fn registers() -> Block {
    let registers = [
        (ADDRESS, Register::new(0_u32).rw(u32::MAX)),
        (ADDRESS + 4, Register::new(0).rw(u32::MAX)),
        (LENGTH, Register::new(0).rw(0xffff)),
        (STATUS, Register::new(0).rw1c(DONE | ERROR)),
    ];
    Block::page(8, registers)
}

/// What a profile says in its `[model]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Parameters {
    delay_ms: InRange<1, 100>,
}

/// The device.
#[derive(Debug)]
pub struct Filler {
    delay: Duration,
    registers: Block,
    due: Option<Time>,
    state: State,
}

/// What there is besides registers.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Patterns written since the last reset.
    written: u32,
}

impl Filler {
    /// The device after power-on.
    #[must_use]
    pub fn new(parameters: Parameters) -> Self {
        Self {
            delay: Duration::from_millis(parameters.delay_ms.get().into()),
            registers: registers(),
            due: None,
            state: State::default(),
        }
    }

    fn end(&mut self, cx: &mut Context<'_>, status: u32) {
        self.registers.set(STATUS, status);
        cx.interrupt(0);
    }
}

impl Model for Filler {
    fn read(&mut self, _: &mut Context<'_>, _: u8, offset: u64, _: Lanes) -> u32 {
        self.registers.read(offset as usize / 4)
    }

    fn write(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        self.registers.write(offset as usize / 4, write);
        let idle = self.registers.get::<u32>(STATUS) & BUSY == 0;
        if offset as usize == CONTROL && write.value() & 1 != 0 && idle {
            self.registers.set(STATUS, BUSY);
            self.due = Some(cx.now().after(self.delay));
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.due
    }

    fn timer(&mut self, cx: &mut Context<'_>) {
        self.due = None;
        let length = usize::from(self.registers.get::<u16>(LENGTH));
        let pattern = DmaOp::Write {
            address: self.registers.get_u64(ADDRESS),
            data: vec![0xa5; length],
        };
        if cx.dma(0, pattern).is_err() {
            self.end(cx, ERROR);
        }
    }

    fn dma_done(&mut self, cx: &mut Context<'_>, _: u32, outcome: DmaOutcome<'_>) {
        match outcome {
            Ok(_) => {
                self.state.written += 1;
                self.end(cx, DONE);
            }
            Err(_) => self.end(cx, ERROR),
        }
    }

    fn reset(&mut self, _: &mut Context<'_>, kind: ResetKind) {
        self.registers.reset(kind);
        (self.due, self.state) = (None, State::default());
    }

    fn inspect(&self) -> Value {
        json!({ "status": self.registers.get::<u32>(STATUS), "written": self.state.written })
    }

    fn save(&self, now: Time) -> Value {
        snapshot::model(now, &self.registers, self.due, &self.state)
    }

    fn restore(&mut self, now: Time, saved: &Value) -> Result<(), RestoreError> {
        (self.due, self.state) = snapshot::read_model(now, &mut self.registers, saved)?;
        Ok(())
    }
}

/// The models of this crate and this one.
pub fn registry() -> Registry {
    let mut registry = Registry::builtin();
    registry.register_with("filler", |parameters| Box::new(Filler::new(parameters)));
    registry
}

/// Shows the device.
pub fn main() -> Result<(), ProfileError> {
    let set = [("model", "{ name = \"filler\", delay-ms = 10 }")];
    let set = set.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let profile = Profile::parse("minimal.toml", include_str!("minimal.toml"), &set)?;
    let device = profile.device(&registry())?;
    println!("{:#}", device.inspect(Time::ZERO));
    Ok(())
}
