//! The delays of messages and transfers, at the function.

use std::time::Duration;

use super::Function;
use super::core::Core;
use crate::dma::{DmaError, DmaRequest};
use crate::effect::{Effect, MessageKind};
use crate::time::Time;

impl Core {
    /// Delays a message. Returns whether it is delayed.
    pub(super) fn delay_message(
        &mut self,
        delay: Option<Duration>,
        kind: MessageKind,
        vector: u16,
    ) -> bool {
        let Some((faults, span)) = self.faults.as_mut().zip(delay) else {
            return false;
        };
        let due = faults.now.after(span);
        faults.late.delay_message(due, kind, vector)
    }

    /// Starts a transfer, now or later.
    pub(super) fn emit_transfer(&mut self, delay: Option<Duration>, request: DmaRequest) {
        let mut request = Some(request);
        if let Some((faults, span)) = self.faults.as_mut().zip(delay) {
            let due = faults.now.after(span);
            request = request.and_then(|request| faults.late.delay_transfer(due, request));
        }
        if let Some(request) = request {
            self.emit(Effect::Dma(request));
        }
    }

    /// Withholds those of the restored transfers that are late.
    pub(super) fn withhold_transfers(&mut self) {
        let Some(faults) = &mut self.faults else {
            return;
        };
        if !faults.late.expects() {
            return;
        }
        for effect in std::mem::take(&mut self.effects) {
            let effect = match effect {
                Effect::Dma(request) => faults.late.withhold(request).map(Effect::Dma),
                other => Some(other),
            };
            self.effects.extend(effect);
        }
        faults.late.expect_no_more();
    }

    /// Forgets the messages that are late, which a reset or a loss of power loses.
    pub(super) fn lose_late_messages(&mut self) {
        if let Some(faults) = &mut self.faults {
            faults.late.lose_messages();
        }
    }

    /// Forgets a message that is late and whose cause has gone.
    pub(super) fn withdraw_late(&mut self, vector: u16) {
        if let Some(faults) = &mut self.faults {
            faults.late.withdraw(vector);
        }
    }
}

impl Function {
    /// Sends the messages and starts the transfers whose delay is over.
    pub(super) fn advance_late(&mut self, now: Time) {
        while let Some(faults) = &mut self.core.faults
            && let Some((kind, vector)) = faults.late.take_message(now)
        {
            self.core.send_late(kind, vector);
        }
        while let Some(faults) = &mut self.core.faults
            && let Some(request) = faults.late.take_transfer(now)
        {
            self.core.emit(Effect::Dma(request));
        }
    }

    /// Ends those of the late transfers that will not touch memory any more.
    pub(super) fn end_late_transfers(&mut self) {
        let Some(faults) = &mut self.core.faults else {
            return;
        };
        let dma = &self.core.dma;
        let ended = faults.late.end_transfers(|id| dma.is_live(id));
        for id in ended {
            faults.end_transfer(id, DmaError::Aborted);
        }
    }
}
