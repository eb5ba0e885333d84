//! Carrying out what control clients say.
//!
//! In one turn of the loop, control clients get a limited time. Those who come later, or have more to say,
//! wait for the next one.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::control::ControlClient;
use super::{Reactor, served};
use crate::bar_memory::STEP;
use crate::clock::system;
use crate::control::{self as language, Began, ControlAction, ControlContext};

/// Lines of one control client that are carried out in a row.
const LINES_PER_TURN: u32 = 64;
/// Time that all control clients have in a turn of the loop. The line during which it passes is the last
/// one.
const TIME_PER_TURN: Duration = Duration::from_millis(1);

/// The state of a control client after a line.
enum After {
    /// It has said nothing more.
    Idle,
    /// There may be another line.
    Line,
    /// Likewise, and the slot was restored.
    Restored,
    /// The line is not finished.
    Unfinished,
}

impl Reactor {
    /// Begins the time of the control clients in a turn of the loop with those who wait.
    pub(super) fn control_waiting(&mut self) {
        self.controls.end = None;
        for _ in 0..self.controls.waiting.len() {
            if self.is_stopped() || self.is_control_over() {
                break;
            }
            if let Some(number) = self.controls.waiting.pop_front() {
                self.control_turn(number);
            }
        }
    }

    /// A control client is ready. It gets its turn now, if there is time for it and nobody waits.
    pub(super) fn control_ready(&mut self, number: usize) {
        if self.controls.is_waited_for() || self.is_control_over() {
            self.controls.wait(number);
        } else {
            self.control_turn(number);
        }
    }

    fn is_control_over(&self) -> bool {
        self.controls.end.is_some_and(|end| system() >= end)
    }

    /// Carries out what a control client says, line by line: what a line caused is told before the
    /// next one is looked at.
    fn control_turn(&mut self, number: usize) {
        if self.controls.end.is_none() {
            self.controls.end = Some(system().after(TIME_PER_TURN));
        }
        for lines in 1.. {
            let Some(mut client) = self.controls.take(number) else {
                return;
            };
            let touched = client.function;
            let done = self.control_line(&mut client);
            match &done {
                Ok(_) => self.controls.put(number, client),
                Err(error) => {
                    tracing::debug!(%error, "control client lost");
                    if let Some(function) = self.functions.get_mut(touched) {
                        function.outputs.subscribers -= usize::from(client.subscribed);
                    }
                }
            }
            if matches!(done, Ok(After::Restored)) {
                self.slot_restored(touched);
            }
            self.after(touched);
            match done {
                Ok(After::Line | After::Restored)
                    if lines < LINES_PER_TURN && !self.is_control_over() => {}
                Ok(After::Line | After::Restored | After::Unfinished) => {
                    return self.controls.wait(number);
                }
                Ok(After::Idle) | Err(_) => return,
            }
        }
    }

    /// Carries out the next line of a control client, or a step of the last one.
    fn control_line(&mut self, client: &mut ControlClient) -> io::Result<After> {
        client.resume()?;
        let unfinished = client.unfinished.take();
        let line = match &unfinished {
            Some(_) => Vec::new(),
            None => match client.next_line()? {
                Some(line) => line,
                None => return Ok(After::Idle),
            },
        };
        let Some((function, mut seat)) =
            served(&mut self.functions, &mut self.slots, client.function)
        else {
            return Ok(After::Idle);
        };
        let now = self.clock.now();
        function.answer_doorbells(&mut seat, now);
        let now = seat.time.at(now);
        let mut cx = ControlContext {
            name: &function.name,
            slot: seat.slot,
            device: seat.device.reborrow(),
            now,
            clock: &mut self.clock,
            stats: &function.stats,
            state_places: &self.state_places,
            closer: &self.closer,
        };
        let began = match unfinished {
            Some(unfinished) => unfinished.step(&mut cx),
            None => language::begin(&line, &mut cx),
        };
        // The line may have moved time, or made something due at once.
        let now = self.clock.now();
        function.advance(&mut seat, &mut self.shared, self.poll.registry(), now);
        if !seat.device.bars_are_settled() {
            // With BARs of no more than a step, clients find what the verb did when it has its reply.
            seat.device.advance_bars(&mut { STEP });
        }
        let reply = match began {
            Began::Done(reply) => reply,
            Began::Unfinished(unfinished) => {
                client.unfinished = Some(unfinished);
                return Ok(After::Unfinished);
            }
        };
        match reply.action {
            Some(ControlAction::Shutdown) => self.stop.store(true, Ordering::Release),
            Some(ControlAction::Subscribe) if !client.subscribed => {
                client.subscribed = true;
                function.outputs.subscribers += 1;
            }
            Some(ControlAction::Restored) => {
                client.send(reply.text.into_bytes())?;
                return Ok(After::Restored);
            }
            Some(ControlAction::Subscribe) | None => {}
        }
        client.send(reply.text.into_bytes())?;
        Ok(After::Line)
    }
}
