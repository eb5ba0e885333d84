//! Carrying out what control clients say.

use std::io;
use std::sync::atomic::Ordering;

use super::control::ControlClient;
use super::{Reactor, served};
use crate::bar_memory::STEP;
use crate::control::{self as language, ControlAction, ControlContext};

/// Lines of one control client that are carried out in a row.
const CONTROL_LINES_PER_TURN: u32 = 64;

impl Reactor {
    /// Carries out what a control client says, line by line: what a line caused is told before the
    /// next one is looked at.
    pub(super) fn control_ready(&mut self, number: usize) {
        for lines in 1.. {
            let Some(mut client) = self.controls.take(number) else {
                return;
            };
            let touched = client.function;
            let done = self.control_line(&mut client).and_then(|done| {
                let enough = !done && lines == CONTROL_LINES_PER_TURN;
                if enough {
                    client.ask_again(self.poll.registry())?;
                }
                Ok(done || enough)
            });
            match &done {
                Ok(_) => self.controls.put(number, client),
                Err(error) => {
                    tracing::debug!(%error, "control client lost");
                    if let Some(function) = self.functions.get_mut(touched) {
                        function.outputs.subscribers -= usize::from(client.subscribed);
                    }
                }
            }
            self.after(touched);
            if done.unwrap_or(true) {
                return;
            }
        }
    }

    /// Carries out the next line of a control client. Whether there was none.
    fn control_line(&mut self, client: &mut ControlClient) -> io::Result<bool> {
        client.resume()?;
        let Some(line) = client.next_line()? else {
            return Ok(true);
        };
        let Some((function, mut seat)) =
            served(&mut self.functions, &mut self.slots, client.function)
        else {
            return Ok(true);
        };
        let now = self.clock.now();
        function.answer_doorbells(&mut seat, now);
        let now = seat.time.at(now);
        let mut cx = ControlContext {
            name: &function.name,
            device: seat.device.reborrow(),
            now,
            clock: &mut self.clock,
            stats: &function.stats,
            state_places: &self.state_places,
        };
        let reply = language::execute(&line, &mut cx);
        // The line may have moved time, or made something due at once.
        let now = self.clock.now();
        function.advance(&mut seat, &mut self.shared, self.poll.registry(), now);
        if !seat.device.bars_are_settled() {
            // With BARs of no more than a step, clients find what the verb did when it has its reply.
            seat.device.advance_bars(&mut { STEP });
        }
        match reply.action {
            Some(ControlAction::Shutdown) => self.stop.store(true, Ordering::Release),
            Some(ControlAction::Subscribe) if !client.subscribed => {
                client.subscribed = true;
                function.outputs.subscribers += 1;
            }
            Some(ControlAction::Subscribe) | None => {}
        }
        client.send(reply.text.into_bytes())?;
        Ok(false)
    }
}
