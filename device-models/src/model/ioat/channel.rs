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

use super::PAGE;
use super::registers::channel::{CHAINADDR, CHANCMP, CHANCTRL, CHANERR, DMACOUNT};
use super::registers::global::XFERCAP;
use super::registers::{CHANERR_INT, Command, Control, Descriptor, State, error};
use crate::dma::{DmaError, DmaOp, DmaOutcome};
use crate::model::Context;
use crate::register::{Block, RegisterBits, ResetKind};

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
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Channel {
    state: State,
    /// Address of the last completed descriptor.
    completed: u64,
    /// Address of the next one, if the chain has begun.
    next: Option<u64>,
    /// Descriptors that are done since then.
    count: u16,
    /// It may interrupt once.
    armed: bool,
    /// It wants to.
    interrupt: bool,
    /// Commands that wait for the transfer under way.
    asked: u8,
    work: Work,
}

impl Channel {
    pub(super) const fn asked(&self) -> u8 {
        self.asked
    }

    /// `CHANSTS`.
    pub(super) const fn status(&self) -> u64 {
        self.completed | self.state as u64
    }
}

/// A channel at work, with what it works with.
pub(super) struct Engine<'a, 'b> {
    pub(super) channel: &'a mut Channel,
    /// The pages of all channels, and where this one's is.
    pub(super) registers: &'a mut Block,
    pub(super) page: u64,
    pub(super) cx: &'a mut Context<'b>,
}

impl Engine<'_, '_> {
    /// `CHANCMD` was written.
    pub(super) fn command(&mut self, command: u8) {
        self.channel.asked |= command;
        if self.channel.work == Work::Nothing {
            self.obey();
        }
    }

    /// `DMACOUNT` was written.
    pub(super) fn run(&mut self) {
        if self.get::<u32>(CHANERR) == 0 {
            self.channel.state = State::Active;
            if self.channel.work == Work::Nothing {
                self.go_on();
            }
        }
    }

    /// `CHAINADDR` was written.
    pub(super) fn begin_chain(&mut self) {
        (self.channel.next, self.channel.count) = (None, 0);
    }

    /// `CHANCTRL` was written.
    pub(super) fn arm(&mut self, control: u32) {
        self.channel.armed |= Control::from_bits(control as u16).rearm();
    }

    /// Whether the channel interrupts now.
    pub(super) fn take_interrupt(&mut self) -> bool {
        let Channel {
            armed, interrupt, ..
        } = self.channel;
        let now = *armed && *interrupt;
        (*armed, *interrupt) = (*armed && !now, *interrupt && !now);
        now
    }

    /// The next descriptor, or the one at hand.
    pub(super) fn current(&self) -> u64 {
        let first = || self.registers.get_u64(self.at(CHAINADDR));
        self.channel.next.unwrap_or_else(first)
    }

    /// The transfer under way is over.
    pub(super) fn done(&mut self, outcome: DmaOutcome<'_>) {
        let work = mem::take(&mut self.channel.work);
        match (work, outcome) {
            (_, Err(DmaError::Aborted | DmaError::BusMasterOff)) => self.stop(),
            (Work::Nothing, _) => {}
            (Work::Fetch, outcome) => match outcome.ok().and_then(Descriptor::decode) {
                Some(descriptor) => self.execute(descriptor),
                None => self.fail(error::NEXT_ADDRESS),
            },
            (Work::Copy(descriptor), Ok(_)) => self.finish(&descriptor),
            (Work::Copy(descriptor), Err(error)) => self.fail(side(&descriptor, error)),
            (Work::Complete(interrupt), Ok(_)) => self.completed(interrupt),
            (Work::Complete(_), Err(_)) => {
                self.note(error::COMPLETION_ADDRESS);
                self.completed(self.get::<Control>(CHANCTRL).interrupt_on_error());
            }
        }
    }

    fn at(&self, offset: u64) -> usize {
        (self.page + offset) as usize
    }

    fn get<T: RegisterBits>(&self, offset: u64) -> T {
        self.registers.get(self.at(offset))
    }

    /// Does what it was asked for meanwhile. A halted channel is not suspended.
    fn obey(&mut self) {
        let asked = Command::from_bits(mem::take(&mut self.channel.asked));
        if asked.reset() {
            *self.channel = Channel::default();
            self.registers
                .reset_part(self.at(0)..self.at(PAGE), ResetKind::PowerOn);
        } else if asked.suspend() && self.channel.state != State::Halted {
            self.channel.state = State::Suspended;
        }
    }

    /// Fetches the next descriptor, if one is left.
    fn go_on(&mut self) {
        let (address, len) = (self.current(), Descriptor::LEN);
        if self.channel.count == self.get::<u16>(DMACOUNT) {
            self.channel.state = State::Done;
        } else if address % Descriptor::ALIGNMENT == 0 {
            self.start(Work::Fetch, DmaOp::Read { address, len });
        } else {
            self.fail(error::ALIGNMENT);
        }
    }

    fn execute(&mut self, descriptor: Descriptor) {
        let (from, to) = (descriptor.source, descriptor.destination);
        let (len, cap) = (descriptor.size, self.registers.get::<u8>(XFERCAP as usize));
        if descriptor.control.null() {
            self.finish(&descriptor);
        } else if descriptor.control.operation() != 0 {
            self.fail(error::CONTROL);
        } else if len == 0 || u64::from(len) > 1 << cap {
            self.fail(error::LENGTH);
        } else {
            self.start(Work::Copy(descriptor), DmaOp::Copy { from, to, len });
        }
    }

    /// A descriptor is done.
    fn finish(&mut self, descriptor: &Descriptor) {
        self.channel.completed = self.current();
        self.channel.next = Some(descriptor.next);
        self.channel.count = self.channel.count.wrapping_add(1);
        let control = descriptor.control;
        self.complete(control.completion(), control.interrupt());
    }

    /// An error stops the chain at the descriptor that has it.
    fn fail(&mut self, bits: u32) {
        self.note(bits);
        let control: Control = self.get(CHANCTRL);
        self.complete(control.completion_on_error(), control.interrupt_on_error());
    }

    fn note(&mut self, bits: u32) {
        let shown: u32 = self.cx.config(CHANERR_INT);
        self.cx.set_config(CHANERR_INT, shown | bits);
        let errors = self.get::<u32>(CHANERR) | bits;
        self.registers.set(self.at(CHANERR), errors);
        self.channel.state = State::Halted;
    }

    /// The word in memory comes before the interrupt.
    fn complete(&mut self, write: bool, interrupt: bool) {
        if write {
            let address = self.registers.get_u64(self.at(CHANCMP));
            let data = self.channel.status().to_le_bytes().to_vec();
            self.start(Work::Complete(interrupt), DmaOp::Write { address, data });
        } else {
            self.completed(interrupt);
        }
    }

    fn completed(&mut self, interrupt: bool) {
        self.channel.interrupt |= interrupt;
        self.obey();
        if self.channel.state == State::Active {
            self.go_on();
        }
    }

    fn start(&mut self, work: Work, op: DmaOp) {
        let number = (self.page / PAGE) as u32 - 1;
        match self.cx.dma(number, op) {
            Ok(()) => self.channel.work = work,
            Err(_) => self.stop(),
        }
    }

    /// The bus is out of reach: nothing is wrong with the chain, but it does not go on.
    fn stop(&mut self) {
        self.channel.state = State::Halted;
        self.completed(false);
    }
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
