//! One channel: a chain of descriptors in memory, worked off one after the other.
//!
//! ```text
//!            DMACOUNT written                     all are done
//!  halted, ───────────────▶ active: fetch ─▶ copy ─▶ complete ───────▶ done
//!  done, suspended                 ▲                     │
//!                                  └──── some are left ──┘
//! ```
//!
//! Each step is a transfer; the next one begins when that has come to its end. What is asked of a
//! channel meanwhile takes effect between two descriptors, so a channel that is suspended or was
//! reset touches memory no more.

use std::mem;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::registers::channel::{
    CDAR, CHAINADDR, CHANCMD, CHANCMP, CHANCTRL, CHANERR, CHANSTS, DMACOUNT,
};
use super::registers::{CHANERR_INT, Command, Control, Descriptor, State, channel_page, error};
use crate::dma::{DmaError, DmaOp, DmaOutcome};
use crate::model::Context;
use crate::register::{Block, DwordWrite, ResetKind};
use crate::snapshot::{self, RestoreError};

/// The transfer under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Work {
    #[default]
    Nothing,
    Fetch,
    Copy(Descriptor),
    /// The write to `CHANCMP`, with what follows it.
    Complete {
        interrupt: bool,
    },
}

/// The part of a channel's state that is no register.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    state: State,
    /// Address of the last completed descriptor.
    completed: u64,
    /// Address of the next one; the chain's first one if there is none.
    next: Option<u64>,
    /// Descriptors that are done since the chain began.
    count: u16,
    /// It may interrupt once.
    armed: bool,
    /// It wants to.
    interrupt: bool,
}

/// A channel.
#[derive(Debug)]
pub(super) struct Channel {
    /// Names its transfers.
    number: u32,
    /// The largest copy in bytes.
    max_size: u32,
    registers: Block,
    progress: Progress,
    work: Work,
    /// Commands that wait for the transfer under way.
    asked: Command,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    registers: Vec<u32>,
    progress: Progress,
}

impl Channel {
    pub(super) fn new(number: u32, max_size: u32) -> Self {
        Self {
            number,
            max_size,
            registers: channel_page(),
            progress: Progress::default(),
            work: Work::Nothing,
            asked: Command::new(),
        }
    }

    pub(super) fn read(&self, offset: u64) -> u32 {
        match offset {
            CHANCMD => self.stored(offset) | u32::from(self.asked.into_bits()),
            _ => match offset & !7 {
                CHANSTS => half(self.status(), offset),
                CDAR => half(self.current(), offset),
                _ => self.stored(offset),
            },
        }
    }

    pub(super) fn write(&mut self, cx: &mut Context<'_>, offset: u64, write: DwordWrite) {
        self.registers.write(offset as usize / 4, write);
        let covers = |byte| write.lanes().covers(byte);
        match offset {
            CHANCTRL => self.progress.armed |= Control::from_bits(write.value() as u16).rearm(),
            CHANCMD => {
                // DMACOUNT shares the DWORD.
                self.command(Command::from_bits(write.value() as u8));
                if covers(2) || covers(3) {
                    self.run(cx);
                }
            }
            _ if offset & !7 == CHAINADDR => {
                (self.progress.next, self.progress.count) = (None, 0);
            }
            _ => {}
        }
    }

    /// Whether the channel interrupts now.
    pub(super) fn take_interrupt(&mut self) -> bool {
        let Progress {
            armed, interrupt, ..
        } = &mut self.progress;
        let now = *armed && *interrupt;
        *armed &= !now;
        *interrupt &= !now;
        now
    }

    pub(super) fn reset(&mut self) {
        self.registers.reset(ResetKind::PowerOn);
        self.progress = Progress::default();
        self.work = Work::Nothing;
        self.asked = Command::new();
    }

    /// The transfer under way is over.
    pub(super) fn done(&mut self, cx: &mut Context<'_>, outcome: DmaOutcome<'_>) {
        let work = mem::take(&mut self.work);
        match (work, outcome) {
            (_, Err(DmaError::Aborted | DmaError::BusMasterOff)) => self.stop(cx),
            (Work::Nothing, _) => {}
            (Work::Fetch, Ok(bytes)) => match Descriptor::decode(bytes) {
                Some(descriptor) => self.begin(cx, descriptor),
                None => self.fail(cx, error::NEXT_ADDRESS),
            },
            (Work::Fetch, Err(_)) => self.fail(cx, error::NEXT_ADDRESS),
            (Work::Copy(descriptor), Ok(_)) => self.finish(cx, &descriptor),
            (Work::Copy(descriptor), Err(error)) => self.fail(cx, side(&descriptor, error)),
            (Work::Complete { interrupt }, Ok(_)) => self.completed(cx, interrupt),
            (Work::Complete { .. }, Err(_)) => {
                self.note(cx, error::COMPLETION_ADDRESS);
                let interrupt = self.control().interrupt_on_error();
                self.completed(cx, interrupt);
            }
        }
    }

    fn stored(&self, offset: u64) -> u32 {
        self.registers.read(offset as usize / 4)
    }

    fn address(&self, offset: u64) -> u64 {
        u64::from(self.stored(offset + 4)) << 32 | u64::from(self.stored(offset))
    }

    fn control(&self) -> Control {
        self.registers.get(CHANCTRL as usize)
    }

    fn status(&self) -> u64 {
        self.progress.completed | self.progress.state as u64
    }

    /// The descriptor at hand, or the next one.
    fn current(&self) -> u64 {
        self.progress
            .next
            .unwrap_or_else(|| self.address(CHAINADDR))
    }

    fn command(&mut self, command: Command) {
        self.asked = Command::from_bits(self.asked.into_bits() | command.into_bits());
        if self.work == Work::Nothing {
            self.obey();
        }
    }

    /// Does what it was asked for meanwhile. A halted channel is not suspended.
    fn obey(&mut self) {
        let asked = mem::take(&mut self.asked);
        if asked.reset() {
            self.reset();
        } else if asked.suspend() && self.progress.state != State::Halted {
            self.progress.state = State::Suspended;
        }
    }

    /// `DMACOUNT` was written.
    fn run(&mut self, cx: &mut Context<'_>) {
        if self.stored(CHANERR) == 0 {
            self.progress.state = State::Active;
            if self.work == Work::Nothing {
                self.go_on(cx);
            }
        }
    }

    /// Fetches the next descriptor, if one is left.
    fn go_on(&mut self, cx: &mut Context<'_>) {
        if self.progress.count == self.registers.get::<u16>(DMACOUNT as usize) {
            self.progress.state = State::Done;
            return;
        }
        let (address, len) = (self.current(), Descriptor::LEN);
        if address % Descriptor::ALIGNMENT == 0 {
            self.start(cx, Work::Fetch, DmaOp::Read { address, len });
        } else {
            self.fail(cx, error::ALIGNMENT);
        }
    }

    fn begin(&mut self, cx: &mut Context<'_>, descriptor: Descriptor) {
        let Descriptor {
            size: len,
            control,
            source: from,
            destination: to,
            ..
        } = descriptor;
        if control.null() {
            self.finish(cx, &descriptor);
        } else if control.operation() != 0 {
            self.fail(cx, error::CONTROL);
        } else if len == 0 || len > self.max_size {
            self.fail(cx, error::LENGTH);
        } else {
            let copy = DmaOp::Copy { from, to, len };
            self.start(cx, Work::Copy(descriptor), copy);
        }
    }

    /// A descriptor is done.
    fn finish(&mut self, cx: &mut Context<'_>, descriptor: &Descriptor) {
        self.progress.completed = self.current();
        self.progress.next = Some(descriptor.next);
        self.progress.count = self.progress.count.wrapping_add(1);
        let control = descriptor.control;
        self.complete(cx, control.completion(), control.interrupt());
    }

    /// An error stops the chain at the descriptor that has it.
    fn fail(&mut self, cx: &mut Context<'_>, bits: u32) {
        self.note(cx, bits);
        let control = self.control();
        self.complete(
            cx,
            control.completion_on_error(),
            control.interrupt_on_error(),
        );
    }

    fn note(&mut self, cx: &mut Context<'_>, bits: u32) {
        self.registers
            .set(CHANERR as usize, self.stored(CHANERR) | bits);
        cx.set_config(CHANERR_INT, cx.config::<u32>(CHANERR_INT) | bits);
        self.progress.state = State::Halted;
    }

    /// The word in memory comes before the interrupt.
    fn complete(&mut self, cx: &mut Context<'_>, write: bool, interrupt: bool) {
        if !write {
            self.completed(cx, interrupt);
            return;
        }
        let word = DmaOp::Write {
            address: self.address(CHANCMP),
            data: self.status().to_le_bytes().to_vec(),
        };
        self.start(cx, Work::Complete { interrupt }, word);
    }

    fn completed(&mut self, cx: &mut Context<'_>, interrupt: bool) {
        self.progress.interrupt |= interrupt;
        self.obey();
        if self.progress.state == State::Active {
            self.go_on(cx);
        }
    }

    fn start(&mut self, cx: &mut Context<'_>, work: Work, op: DmaOp) {
        match cx.dma(self.number, op) {
            Ok(()) => self.work = work,
            Err(_) => self.stop(cx),
        }
    }

    /// The bus is out of reach: nothing is wrong with the chain, but it does not go on.
    fn stop(&mut self, cx: &mut Context<'_>) {
        self.progress.state = State::Halted;
        self.completed(cx, false);
    }

    pub(super) fn inspect(&self) -> Value {
        json!({
            "state": self.progress.state,
            "completed": self.progress.completed,
            "current": self.current(),
            "count": self.progress.count,
            "error": self.stored(CHANERR),
            "armed": self.progress.armed,
        })
    }

    /// A chain that is at work is saved as one that was stopped.
    pub(super) fn save(&self) -> Value {
        let mut progress = self.progress;
        if self.work != Work::Nothing {
            progress.state = State::Halted;
        }
        snapshot::tree(&Saved {
            registers: self.registers.values(),
            progress,
        })
    }

    pub(super) fn restore(&mut self, at: &str, saved: &Value) -> Result<(), RestoreError> {
        let Saved {
            registers,
            progress,
        } = snapshot::read(at, saved)?;
        self.reset();
        self.registers.set_values(at, &registers)?;
        self.progress = progress;
        Ok(())
    }
}

/// The DWORD of a 64-bit register that `offset` is about.
const fn half(register: u64, offset: u64) -> u32 {
    (register >> (8 * (offset & 4))) as u32
}

/// The error bit for the side of a copy that went wrong.
fn side(descriptor: &Descriptor, error: DmaError) -> u32 {
    let source = descriptor.source..descriptor.source.saturating_add(descriptor.size.into());
    match error {
        DmaError::NotPermitted { write: true, .. } => error::WRITE_DATA,
        DmaError::Unmapped { address } if !source.contains(&address) => error::WRITE_DATA,
        _ => error::READ_DATA,
    }
}
