//! One channel: a chain of descriptors in memory, processed one after the other.
//!
//! ```text
//!            DMACOUNT written                     all are done
//!  halted, ───────────────▶ active: fetch ─▶ copy ─▶ complete ───────▶ done
//!  done, suspended                 ▲                     │
//!                                  └──── some are left ──┘
//! ```
//!
//! Each step is a transfer, and the next step begins when it has ended. Requests of software in the
//! meantime take effect between two descriptors. A channel that is suspended or was reset therefore
//! no longer touches memory.

mod registers;

use self::registers::*;
use crate::dma::{DmaError, DmaOp, DmaOutcome};
use crate::model::descriptors::{Descriptors, Progress};
use crate::model::prelude::*;

/// Offset of the copy of any channel's `CHANERR` in config space, where the profile places it.
const CHANERR_INT: u16 = 0x180;

/// `CHANSTS` 2:0: the channel processes its chain.
const ACTIVE: u64 = 0;
/// `CHANSTS` 2:0: the number of completed descriptors has reached `DMACOUNT`.
const DONE: u64 = 1;
/// `CHANSTS` 2:0: the channel was suspended.
const SUSPENDED: u64 = 2;
/// `CHANSTS` 2:0: the channel was reset, or an error stopped it.
const HALTED: u64 = 3;

/// The part of a descriptor that the engine reads: size and control in a word, then the bus
/// addresses of source, destination and next descriptor.
type Descriptor = [u64; 4];
/// Size of that part in bytes.
const READ: u32 = 0x20;
/// Size in bytes of a descriptor in memory, and its alignment.
const DESCRIPTOR: u64 = 0x40;

/// A channel.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Channel {
    /// Number of the channel, counted from 0, and tag of its transfers.
    number: u32,
    /// The channel's page.
    pub registers: Registers,
    /// Number of descriptors completed since the chain began.
    count: u16,
    /// The channel may interrupt once.
    armed: bool,
    /// The channel has a cause to interrupt.
    interrupt: bool,
    /// The descriptor's processing. The write to `CHANCMP` carries whether an interrupt follows it.
    work: Descriptors<Descriptor, bool>,
}

impl Channel {
    /// Creates channel `number` in its state after a reset.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// Handles a write by software.
    pub fn write(&mut self, cx: &mut Context<'_>, offset: u64, write: DwordWrite) {
        self.registers.write_at(offset, write);
        match offset {
            CHANCTRL => self.armed |= Control::from(write.value() as u16).rearm(),
            CHANCMD => {
                let asked = Command::from(write.value() as u8);
                self.registers.raise_chancmd(asked);
                // DMACOUNT is in the same DWORD.
                let counts = write.lanes().mask() >> 16 != 0;
                if counts && self.registers.chanerr() == Errors::new() {
                    self.set_state(ACTIVE);
                }
            }
            _ if offset & !4 == CHAINADDR => {
                self.count = 0;
                self.registers.set_cdar(self.registers.chainaddr());
            }
            _ => {}
        }
        if self.work.is_idle() {
            self.proceed(cx);
        }
    }

    /// Handles the end of the transfer in progress. Copies have at most `most` bytes.
    pub fn done(&mut self, cx: &mut Context<'_>, most: u32, outcome: DmaOutcome<'_>) {
        match self.work.done(outcome) {
            Progress::Stopped => self.stop(cx),
            Progress::Idle => {}
            Progress::Fetched(outcome) => {
                let (words, _) = outcome.unwrap_or_default().as_chunks();
                match words.first_chunk() {
                    Some(words) => self.execute(cx, most, words.map(u64::from_le_bytes)),
                    None => self.end(cx, Err(Errors::NEXT_ADDRESS)),
                }
            }
            Progress::Transferred(descriptor, outcome) => {
                let outcome = outcome.map_err(|error| side(descriptor, error));
                self.end(cx, outcome.map(|()| descriptor));
            }
            Progress::WrittenBack(interrupt, Ok(())) => self.completed(cx, interrupt),
            Progress::WrittenBack(_, Err(_)) => {
                let control = self.fail(cx, Errors::COMPLETION_ADDRESS);
                self.completed(cx, control.interrupt_on_error());
            }
        }
    }

    /// Returns whether the channel interrupts now: if it may and has a cause, once for each arming.
    pub fn take_interrupt(&mut self) -> bool {
        let now = self.armed && self.interrupt;
        self.armed &= !now;
        self.interrupt &= !now;
        now
    }

    fn state(&self) -> u64 {
        self.registers.chansts() & 7
    }

    fn set_state(&mut self, state: u64) {
        let completed = self.registers.chansts() & !7;
        self.registers.set_chansts(completed | state);
    }

    /// Handles pending requests between two descriptors and, if the channel is active, fetches the
    /// next one. A halted channel cannot be suspended.
    fn proceed(&mut self, cx: &mut Context<'_>) {
        let asked = self.registers.chancmd();
        self.registers.set_chancmd(Command::new());
        if asked.reset() {
            *self = Self::new(self.number);
        } else if asked.suspend() && self.state() != HALTED {
            self.set_state(SUSPENDED);
        }
        if self.state() != ACTIVE {
            return;
        }
        let (address, len) = (self.registers.cdar(), READ);
        if self.count == self.registers.dmacount() {
            self.set_state(DONE);
        } else if address % DESCRIPTOR != 0 {
            self.end(cx, Err(Errors::ALIGNMENT));
        } else {
            let fetched = self.work.fetch(cx, self.number, address, len);
            self.go_on_or_stop(cx, fetched);
        }
    }

    fn execute(&mut self, cx: &mut Context<'_>, most: u32, descriptor: Descriptor) {
        let [head, from, to, _] = descriptor;
        let (len, control) = (head as u32, control(head));
        if control.null() {
            self.end(cx, Ok(descriptor));
        } else if control.operation() != 0 {
            self.end(cx, Err(Errors::CONTROL));
        } else if len == 0 || len > most {
            self.end(cx, Err(Errors::LENGTH));
        } else {
            let copy = DmaOp::Copy { from, to, len };
            let copied = self.work.transfer(cx, self.number, descriptor, copy);
            self.go_on_or_stop(cx, copied);
        }
    }

    /// Completes a descriptor, or stops the chain at one with an error. The completion in memory
    /// precedes the interrupt.
    fn end(&mut self, cx: &mut Context<'_>, outcome: Result<Descriptor, Errors>) {
        let (write, interrupt) = match outcome {
            Ok([head, _, _, next]) => {
                self.registers.set_chansts(self.registers.cdar() | ACTIVE);
                self.registers.set_cdar(next);
                self.count = self.count.wrapping_add(1);
                (control(head).completion(), control(head).interrupt())
            }
            Err(errors) => {
                let control = self.fail(cx, errors);
                (control.completion_on_error(), control.interrupt_on_error())
            }
        };
        if write {
            let address = self.registers.chancmp();
            let data = self.registers.chansts().to_le_bytes().to_vec();
            let written = (self.work).write_back(cx, self.number, address, data, interrupt);
            self.go_on_or_stop(cx, written);
        } else {
            self.completed(cx, interrupt);
        }
    }

    /// Shows errors. Returns the control bits for their handling.
    fn fail(&mut self, cx: &mut Context<'_>, errors: Errors) -> Control {
        cx.set_config(CHANERR_INT, cx.config::<Errors>(CHANERR_INT) | errors);
        self.registers.raise_chanerr(errors);
        self.set_state(HALTED);
        self.registers.chanctrl()
    }

    fn completed(&mut self, cx: &mut Context<'_>, interrupt: bool) {
        self.interrupt |= interrupt;
        self.proceed(cx);
    }

    /// Stops the channel if a transfer could not be started.
    fn go_on_or_stop(&mut self, cx: &mut Context<'_>, started: Result<(), DmaError>) {
        if started.is_err() {
            self.stop(cx);
        }
    }

    /// Stops the channel because it cannot reach the bus. The chain has no error, but does not
    /// continue.
    fn stop(&mut self, cx: &mut Context<'_>) {
        self.set_state(HALTED);
        self.proceed(cx);
    }
}

fn control(head: u64) -> DescriptorControl {
    DescriptorControl::from((head >> 32) as u32)
}

/// Returns the side of a copy that failed.
fn side([head, source, ..]: Descriptor, error: DmaError) -> Errors {
    let source = source..source.saturating_add(u64::from(head as u32));
    let write = match error {
        DmaError::NotPermitted { write, .. } => write,
        DmaError::Unmapped { address } => !source.contains(&address),
        DmaError::BusMasterOff | DmaError::Aborted => false,
    };
    Errors::new().with_read_data(!write).with_write_data(write)
}
