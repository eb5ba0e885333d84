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

use super::registers::*;
use super::{Ioat, PAGE};
use crate::dma::{DmaError, DmaOp, DmaOutcome};
use crate::model::Context;
use crate::register::{DwordWrite, RegisterBits, ResetKind};

/// The transfer under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Work {
    #[default]
    Nothing,
    Fetch,
    Copy(Descriptor),
    /// The write to `CHANCMP`, and whether an interrupt follows it.
    Complete(bool),
}

/// What of a channel is no register.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Channel {
    /// Descriptors that are done since the chain began.
    count: u16,
    /// It may interrupt once.
    armed: bool,
    /// It wants to.
    interrupt: bool,
    work: Work,
}

/// A channel at work.
pub(super) struct Engine<'a, 'b> {
    pub(super) number: u8,
    pub(super) ioat: &'a mut Ioat,
    pub(super) cx: &'a mut Context<'b>,
}

impl Engine<'_, '_> {
    /// Software has written to the page.
    pub(super) fn written(&mut self, offset: usize, write: DwordWrite) {
        match offset {
            CHANCTRL => self.channel().armed |= write.value() as u16 & REARM != 0,
            CHANCMD => {
                let asked: u8 = self.get(CHANCMD);
                self.set(CHANCMD, asked | write.value() as u8);
                self.proceed();
                let counts = write.lanes().mask() >> 16 != 0; // DMACOUNT is in the same DWORD.
                if counts && self.get::<u32>(CHANERR) == 0 {
                    self.set_state(state::ACTIVE);
                    self.proceed();
                }
            }
            _ if offset & !4 == CHAINADDR => {
                self.channel().count = 0;
                self.set_u64(CDAR, self.get_u64(CHAINADDR));
            }
            _ => {}
        }
        self.interrupt();
    }

    /// The transfer under way is over.
    pub(super) fn done(&mut self, outcome: DmaOutcome<'_>) {
        match (mem::take(&mut self.channel().work), outcome) {
            (_, Err(DmaError::Aborted | DmaError::BusMasterOff)) => self.stop(),
            (Work::Nothing, _) => {}
            (Work::Fetch, outcome) => match outcome
                .ok()
                .and_then(|bytes| bytes.as_chunks().0.first_chunk())
            {
                Some(words) => self.execute(words.map(u64::from_le_bytes)),
                None => self.end(Err(error::NEXT_ADDRESS)),
            },
            (Work::Copy(descriptor), Ok(_)) => self.end(Ok(descriptor)),
            (Work::Copy(descriptor), Err(error)) => self.end(Err(side(descriptor, error))),
            (Work::Complete(interrupt), Ok(_)) => self.completed(interrupt),
            (Work::Complete(_), Err(_)) => {
                let [_, interrupt] = self.fail(error::COMPLETION_ADDRESS);
                self.completed(interrupt);
            }
        }
    }

    fn channel(&mut self) -> &mut Channel {
        &mut self.ioat.channels[usize::from(self.number % 4)]
    }

    /// Where a register is among those of all channels.
    fn at(&self, offset: usize) -> usize {
        usize::from(self.number + 1) * PAGE + offset
    }

    fn get<T: RegisterBits>(&self, offset: usize) -> T {
        self.ioat.registers.get(self.at(offset))
    }

    fn get_u64(&self, offset: usize) -> u64 {
        self.ioat.registers.get_u64(self.at(offset))
    }

    fn set<T: RegisterBits>(&mut self, offset: usize, register: T) {
        self.ioat.registers.set(self.at(offset), register);
    }

    fn set_u64(&mut self, offset: usize, register: u64) {
        self.ioat.registers.set_u64(self.at(offset), register);
    }

    fn state(&self) -> u64 {
        self.get_u64(CHANSTS) & 7
    }

    fn set_state(&mut self, state: u64) {
        self.set_u64(CHANSTS, self.get_u64(CHANSTS) & !7 | state);
    }

    /// Between two descriptors: does what it was asked for meanwhile and, if it is active, fetches
    /// the next one. A halted channel is not suspended.
    fn proceed(&mut self) {
        if self.channel().work != Work::Nothing {
            return;
        }
        let asked: u8 = self.get(CHANCMD);
        self.set(CHANCMD, 0_u8);
        if asked & RESET != 0 {
            let page = self.at(0)..self.at(PAGE);
            self.ioat.registers.reset_part(page, ResetKind::PowerOn);
            *self.channel() = Channel::default();
        } else if asked & SUSPEND != 0 && self.state() != state::HALTED {
            self.set_state(state::SUSPENDED);
        }
        let (address, len) = (self.get_u64(CDAR), DESCRIPTOR_READ);
        if self.state() != state::ACTIVE {
            return;
        }
        if self.channel().count == self.get::<u16>(DMACOUNT) {
            self.set_state(state::DONE);
        } else if address % DESCRIPTOR != 0 {
            self.end(Err(error::ALIGNMENT));
        } else {
            self.start(Work::Fetch, DmaOp::Read { address, len });
        }
    }

    fn execute(&mut self, descriptor: Descriptor) {
        let [head, from, to, _] = descriptor;
        let (len, control) = (head as u32, (head >> 32) as u32);
        let cap = self.ioat.registers.get::<u8>(XFERCAP) & 0x1f;
        if control & control::NULL != 0 {
            self.end(Ok(descriptor));
        } else if control & control::OPERATION != 0 {
            self.end(Err(error::CONTROL));
        } else if len == 0 || len > 1 << cap {
            self.end(Err(error::LENGTH));
        } else {
            self.start(Work::Copy(descriptor), DmaOp::Copy { from, to, len });
        }
    }

    /// A descriptor is done, or has an error, which stops the chain there. The word in memory comes
    /// before the interrupt.
    fn end(&mut self, outcome: Result<Descriptor, u32>) {
        let [write, interrupt] = match outcome {
            Ok([head, _, _, next]) => {
                self.set_u64(CHANSTS, self.get_u64(CDAR) | state::ACTIVE);
                self.set_u64(CDAR, next);
                self.channel().count = self.channel().count.wrapping_add(1);
                [control::COMPLETION, control::INTERRUPT]
                    .map(|bit| head >> 32 & u64::from(bit) != 0)
            }
            Err(error) => self.fail(error),
        };
        if write {
            let (address, status) = (self.get_u64(CHANCMP), self.get_u64(CHANSTS));
            let data = status.to_le_bytes().to_vec();
            self.start(Work::Complete(interrupt), DmaOp::Write { address, data });
        } else {
            self.completed(interrupt);
        }
    }

    /// Shows an error. Returns whether to write a completion and whether to interrupt.
    fn fail(&mut self, error: u32) -> [bool; 2] {
        let shown: u32 = self.cx.config(CHANERR_INT);
        self.cx.set_config(CHANERR_INT, shown | error);
        self.set(CHANERR, self.get::<u32>(CHANERR) | error);
        self.set_state(state::HALTED);
        let control: u16 = self.get(CHANCTRL);
        [COMPLETION_ON_ERROR, INTERRUPT_ON_ERROR].map(|bit| control & bit != 0)
    }

    fn completed(&mut self, interrupt: bool) {
        self.channel().interrupt |= interrupt;
        self.proceed();
        self.interrupt();
    }

    /// Interrupts if it may and wants to, once for each arming.
    fn interrupt(&mut self) {
        let Channel {
            armed, interrupt, ..
        } = self.channel();
        if *armed && *interrupt {
            (*armed, *interrupt) = (false, false);
            self.ioat.interrupt(self.cx, self.number);
        }
    }

    fn start(&mut self, work: Work, op: DmaOp) {
        match self.cx.dma(self.number.into(), op) {
            Ok(()) => self.channel().work = work,
            Err(_) => self.stop(),
        }
    }

    /// The bus is out of reach: nothing is wrong with the chain, but it does not go on.
    fn stop(&mut self) {
        self.set_state(state::HALTED);
        self.proceed();
    }
}

/// The error bit for the side of a copy that went wrong.
fn side([head, source, ..]: Descriptor, error: DmaError) -> u32 {
    let source = source..source.saturating_add(u64::from(head as u32));
    match error {
        DmaError::NotPermitted { write: true, .. } => error::WRITE_DATA,
        DmaError::Unmapped { address } if !source.contains(&address) => error::WRITE_DATA,
        _ => error::READ_DATA,
    }
}
