//! The waiting interrupt causes of a function, and the level of its INTx wire.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The INTx cause and wire, and the vectors raised while no message could be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Interrupts {
    pub(super) cause: bool,
    pub(super) wire: bool,
    /// Vectors raised outside D0, one bit each. They are causes inside the device, not pending
    /// messages: the PBA does not show them, and a return to D0 raises each of them once.
    pub(super) held: Vec<u64>,
}

impl Interrupts {
    pub(super) fn new(vectors: u16) -> Self {
        Self {
            cause: false,
            wire: false,
            held: vec![0; usize::from(vectors).div_ceil(64)],
        }
    }

    /// Returns whether both belong to functions with the same number of vectors.
    pub(super) fn has_vectors_of(&self, other: &Self) -> bool {
        self.held.len() == other.held.len()
    }

    pub(super) fn hold(&mut self, vector: u16, held: bool) {
        if let Some(word) = self.held.get_mut(usize::from(vector) / 64) {
            let bit = 1 << (vector % 64);
            *word = if held { *word | bit } else { *word & !bit };
        }
    }

    pub(super) fn take_held(&mut self) -> Option<u16> {
        let (index, word) = (0_u16..)
            .zip(&mut self.held)
            .find(|(_, word)| **word != 0)?;
        let bit = word.trailing_zeros();
        *word &= *word - 1;
        Some(index * 64 + bit as u16)
    }

    /// Drops every cause.
    pub(super) fn clear(&mut self) {
        self.cause = false;
        self.held.fill(0);
    }

    pub(super) fn inspect(&self) -> Value {
        json!({
            "cause": self.cause,
            "asserted": self.wire,
            "held_messages": self.held.iter().map(|word| word.count_ones()).sum::<u32>(),
        })
    }
}
