//! Messages and transfers that faults delay.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Function;
use super::core::Core;
use crate::dma::{DmaError, DmaId, DmaRequest};
use crate::effect::{Effect, MessageKind};
use crate::snapshot::{due, left};
use crate::time::{Time, earliest};

/// Messages that wait at most, and transfers that do. Another one is not delayed.
const WAITING: usize = 256;

/// The messages and transfers that are late.
#[derive(Debug, Default)]
pub(super) struct Late {
    messages: Vec<(Time, MessageKind, u16)>,
    transfers: Vec<(Time, DmaRequest)>,
    /// Restored transfers by their tags, until they are requested again.
    expected: Vec<(Time, u32)>,
}

/// The saved form of [`Late`].
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedLate {
    messages: Vec<SavedMessage>,
    transfers: Vec<SavedTransfer>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedMessage {
    left_nanos: u64,
    msix: bool,
    vector: u16,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedTransfer {
    left_nanos: u64,
    tag: u32,
}

impl SavedLate {
    pub(super) const fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.transfers.is_empty()
    }
}

impl Late {
    pub(super) const fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.transfers.is_empty() && self.expected.is_empty()
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        let messages = self.messages.iter().map(|(due, ..)| *due).min();
        let transfers = self.transfers.iter().map(|(due, _)| *due).min();
        earliest(messages, transfers)
    }

    /// Delays a message. Returns whether there is room for it.
    fn delay_message(&mut self, due: Time, kind: MessageKind, vector: u16) -> bool {
        let fits = self.messages.len() < WAITING;
        if fits {
            self.messages.push((due, kind, vector));
        }
        fits
    }

    /// Delays a transfer, or returns it if there is no room for it.
    fn delay_transfer(&mut self, due: Time, request: DmaRequest) -> Option<DmaRequest> {
        if self.transfers.len() < WAITING {
            self.transfers.push((due, request));
            None
        } else {
            Some(request)
        }
    }

    /// Removes and returns the first message that is due.
    fn take_message(&mut self, now: Time) -> Option<(MessageKind, u16)> {
        let due = self.messages.iter().enumerate();
        let due = due.filter(|(_, (due, ..))| *due <= now);
        let (index, _) = due.min_by_key(|(_, (due, ..))| *due)?;
        let (_, kind, vector) = self.messages.remove(index);
        Some((kind, vector))
    }

    /// Removes and returns the first transfer that is due.
    fn take_transfer(&mut self, now: Time) -> Option<DmaRequest> {
        let due = self.transfers.iter().enumerate();
        let due = due.filter(|(_, (due, _))| *due <= now);
        let (index, _) = due.min_by_key(|(_, (due, _))| *due)?;
        Some(self.transfers.remove(index).1)
    }

    pub(super) fn save(&self, now: Time) -> SavedLate {
        let messages = self.messages.iter();
        let transfers = self.transfers.iter();
        SavedLate {
            messages: messages
                .map(|(due, kind, vector)| SavedMessage {
                    left_nanos: left(now, *due),
                    msix: *kind == MessageKind::Msix,
                    vector: *vector,
                })
                .collect(),
            transfers: transfers
                .map(|(due, request)| SavedTransfer {
                    left_nanos: left(now, *due),
                    tag: request.id.tag,
                })
                .collect(),
        }
    }

    pub(super) fn restored(now: Time, saved: &SavedLate) -> Self {
        let messages = saved.messages.iter().take(WAITING);
        let transfers = saved.transfers.iter().take(WAITING);
        Self {
            messages: messages
                .map(|saved| {
                    let kind = if saved.msix {
                        MessageKind::Msix
                    } else {
                        MessageKind::Msi
                    };
                    (due(now, saved.left_nanos), kind, saved.vector)
                })
                .collect(),
            transfers: Vec::new(),
            expected: transfers
                .map(|saved| (due(now, saved.left_nanos), saved.tag))
                .collect(),
        }
    }
}

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
        let mut expected = std::mem::take(&mut faults.late.expected);
        if expected.is_empty() {
            return;
        }
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Dma(request) => {
                    let mut all = expected.iter();
                    let index = all.position(|(_, tag)| *tag == request.id.tag);
                    match index.map(|index| expected.remove(index)) {
                        Some((due, _)) => faults.late.transfers.push((due, request)),
                        None => self.effects.push_back(Effect::Dma(request)),
                    }
                }
                other => self.effects.push_back(other),
            }
        }
    }

    /// Forgets the messages that are late, which a reset or a loss of power loses.
    pub(super) fn lose_late_messages(&mut self) {
        if let Some(faults) = &mut self.faults {
            faults.late.messages.clear();
        }
    }

    /// Forgets a message that is late and whose cause has gone.
    pub(super) fn withdraw_late(&mut self, vector: u16) {
        if let Some(faults) = &mut self.faults {
            faults.late.messages.retain(|(.., late)| *late != vector);
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
        if faults.late.transfers.is_empty() {
            return;
        }
        let dma = &self.core.dma;
        let mut ended: Vec<DmaId> = Vec::new();
        faults.late.transfers.retain(|(_, request)| {
            let live = dma.is_live(request.id);
            if !live {
                ended.push(request.id);
            }
            live
        });
        for id in ended {
            faults.end_transfer(id, DmaError::Aborted);
        }
    }
}
