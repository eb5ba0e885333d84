//! A model built step by step in `docs/device-authors.md`: it waits, writes a pattern to memory, and
//! interrupts.

use pci_device_models::dma::{DmaOp, DmaOutcome};
use pci_device_models::model::prelude::*;
use pci_device_models::model::{InRange, Registry};
use pci_device_models::profile::{Profile, ProfileError};
use pci_device_models::snapshot::RestoreError;

registers! {
    /// The registers of BAR0.
    pub struct Registers[0x20] {
        /// Bus address of the memory.
        ADDRESS @ 0x00: u64 { rw: all },
        /// Bytes to write.
        LENGTH @ 0x08: u16 { rw: all },
        /// Starts the job.
        CONTROL @ 0x0c: Control,
        /// The state of the job.
        STATUS @ 0x10: Status { rw1c: [DONE, ERROR] },
    }
}

register_bits! {
    /// Control.
    #[bitfield(u32)]
    pub struct Control {
        /// Starts the job.
        pub start: bool,
        #[bits(31)]
        __: u32,
    }

    /// Status.
    #[bitfield(u32)]
    pub struct Status {
        /// A job runs.
        pub busy: bool,
        /// The last job is over.
        pub done: bool,
        /// The memory could not be written.
        pub error: bool,
        #[bits(29)]
        __: u32,
    }
}

/// The keys of a profile's `[model]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Parameters {
    delay_ms: InRange<1, 100>,
}

/// The device.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Filler {
    #[serde(skip)]
    delay: Duration,
    registers: Registers,
    /// Patterns written since the last reset.
    written: u32,
}

impl Filler {
    /// The device after power-on.
    #[must_use]
    pub fn new(parameters: Parameters) -> Self {
        Self {
            delay: Duration::from_millis(parameters.delay_ms.get().into()),
            ..Self::default()
        }
    }

    fn end(&mut self, cx: &mut Context<'_>, status: Status) {
        self.registers.set_status(status);
        cx.interrupt(0);
    }
}

impl Model for Filler {
    fn read(&mut self, _: &mut Context<'_>, _: u8, offset: u64, _: Lanes) -> u32 {
        self.registers.read_at(offset)
    }

    fn write(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        self.registers.write_at(offset, write);
        let start = offset == CONTROL && Control::from(write.value()).start();
        if start && !self.registers.status().busy() {
            self.registers.set_status(Status::BUSY);
            cx.set_timer(0, Some(cx.now().after(self.delay)));
        }
    }

    fn timer(&mut self, cx: &mut Context<'_>, _: u16, _: Time) {
        let pattern = DmaOp::Write {
            address: self.registers.address(),
            data: vec![0xa5; self.registers.length().into()],
        };
        if cx.dma(0, pattern).is_err() {
            self.end(cx, Status::ERROR);
        }
    }

    fn dma_done(&mut self, cx: &mut Context<'_>, _: u32, outcome: DmaOutcome<'_>) {
        match outcome {
            Ok(_) => {
                self.written += 1;
                self.end(cx, Status::DONE);
            }
            Err(_) => self.end(cx, Status::ERROR),
        }
    }

    fn reset(&mut self, cx: &mut Context<'_>, kind: ResetKind) {
        self.registers.reset(kind);
        self.written = 0;
        cx.set_timer(0, None);
    }

    fn restored(&self, saved: Self) -> Result<Self, RestoreError> {
        let delay = self.delay;
        Ok(Self { delay, ..saved })
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
    let devices = profile.device_set(&registry())?;
    println!("{:#}", devices.first().inspect(Time::ZERO));
    Ok(())
}
