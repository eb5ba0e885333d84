//! Messages and transfers that faults delay.

use serde::{Deserialize, Serialize};

use crate::dma::{DmaId, DmaRequest};
use crate::effect::MessageKind;
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
    pub(super) fn delay_message(&mut self, due: Time, kind: MessageKind, vector: u16) -> bool {
        let fits = self.messages.len() < WAITING;
        if fits {
            self.messages.push((due, kind, vector));
        }
        fits
    }

    /// Delays a transfer, or returns it if there is no room for it.
    pub(super) fn delay_transfer(&mut self, due: Time, request: DmaRequest) -> Option<DmaRequest> {
        if self.transfers.len() < WAITING {
            self.transfers.push((due, request));
            None
        } else {
            Some(request)
        }
    }

    /// Removes and returns the first message that is due.
    pub(super) fn take_message(&mut self, now: Time) -> Option<(MessageKind, u16)> {
        let due = self.messages.iter().enumerate();
        let due = due.filter(|(_, (due, ..))| *due <= now);
        let (index, _) = due.min_by_key(|(_, (due, ..))| *due)?;
        let (_, kind, vector) = self.messages.remove(index);
        Some((kind, vector))
    }

    /// Removes and returns the first transfer that is due.
    pub(super) fn take_transfer(&mut self, now: Time) -> Option<DmaRequest> {
        let due = self.transfers.iter().enumerate();
        let due = due.filter(|(_, (due, _))| *due <= now);
        let (index, _) = due.min_by_key(|(_, (due, _))| *due)?;
        Some(self.transfers.remove(index).1)
    }

    /// Forgets the messages.
    pub(super) fn lose_messages(&mut self) {
        self.messages.clear();
    }

    /// Forgets the messages of a vector.
    pub(super) fn withdraw(&mut self, vector: u16) {
        self.messages.retain(|(.., late)| *late != vector);
    }

    /// Takes back a restored transfer that is requested again. Returns it if it was not late.
    pub(super) fn withhold(&mut self, request: DmaRequest) -> Option<DmaRequest> {
        let mut all = self.expected.iter();
        let Some(index) = all.position(|(_, tag)| *tag == request.id.tag) else {
            return Some(request);
        };
        let (due, _) = self.expected.remove(index);
        self.transfers.push((due, request));
        None
    }

    /// Returns whether restored transfers have not been requested again yet.
    pub(super) const fn expects(&self) -> bool {
        !self.expected.is_empty()
    }

    /// Forgets the restored transfers that were not requested again.
    pub(super) fn expect_no_more(&mut self) {
        self.expected.clear();
    }

    /// Removes the transfers that are not `live`, and returns their identifiers.
    pub(super) fn end_transfers(&mut self, live: impl Fn(DmaId) -> bool) -> Vec<DmaId> {
        let ended = self
            .transfers
            .extract_if(.., |(_, request)| !live(request.id));
        ended.map(|(_, request)| request.id).collect()
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
