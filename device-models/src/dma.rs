//! DMA as requests: a function asks, whoever holds the memory answers.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A transfer that a device model wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DmaOp {
    /// Read memory; the outcome carries the data.
    Read {
        /// Bus address.
        address: u64,
        /// Bytes.
        len: u32,
    },
    /// Write memory.
    Write {
        /// Bus address.
        address: u64,
        /// The data.
        data: Vec<u8>,
    },
    /// Copy within memory without the data passing through the model.
    Copy {
        /// Bus address of the source.
        from: u64,
        /// Bus address of the destination.
        to: u64,
        /// Bytes.
        len: u32,
    },
}

/// A transfer on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmaRequest {
    /// Goes back with the outcome.
    pub id: DmaId,
    /// What is to be done.
    pub op: DmaOp,
}

/// Names a transfer: the model's own tag and the life of the function in which it began. An outcome
/// that arrives after a reset belongs to an earlier life and is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DmaId {
    pub(crate) epoch: u32,
    pub(crate) tag: u32,
}

/// What came of a transfer: the data of a [`DmaOp::Read`], nothing for the others.
pub type DmaOutcome<'a> = Result<&'a [u8], DmaError>;

/// Why a transfer did not happen, or not wholly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DmaError {
    /// Nothing is mapped at an address, or what is mapped there is gone.
    #[error("address {address:#x} is not mapped for DMA")]
    Unmapped {
        /// First such bus address.
        address: u64,
    },
    /// The map does not allow this access.
    #[error("the map at {address:#x} does not allow {}", if *write { "writing" } else { "reading" })]
    NotPermitted {
        /// First such bus address.
        address: u64,
        /// The access was a write.
        write: bool,
    },
    /// Command `Bus Master Enable` is clear.
    #[error("bus mastering is off")]
    BusMasterOff,
    /// The function is not in D0, left it, or was reset meanwhile.
    #[error("the function is asleep or was reset")]
    Aborted,
}

/// The transfers of a function that are under way.
#[derive(Debug, Default)]
pub(crate) struct DmaLedger {
    epoch: u32,
    outstanding: u32,
    /// The function left D0: outcomes of what is under way become [`DmaError::Aborted`].
    aborting: bool,
}

impl DmaLedger {
    pub(crate) fn start(&mut self, tag: u32) -> DmaId {
        self.outstanding = self.outstanding.saturating_add(1);
        DmaId {
            epoch: self.epoch,
            tag,
        }
    }

    /// Takes an outcome in. `None`: it belongs to an earlier life. Else whether it still counts.
    pub(crate) fn finish(&mut self, id: DmaId) -> Option<bool> {
        if id.epoch != self.epoch || self.outstanding == 0 {
            return None;
        }
        self.outstanding -= 1;
        let counts = !self.aborting;
        if self.outstanding == 0 {
            self.aborting = false;
        }
        Some(counts)
    }

    pub(crate) fn pending(&self) -> bool {
        self.outstanding != 0
    }

    pub(crate) fn is_aborting(&self) -> bool {
        self.aborting
    }

    /// Whether a transfer may still touch memory.
    pub(crate) fn is_live(&self, id: DmaId) -> bool {
        id.epoch == self.epoch && self.outstanding != 0 && !self.aborting
    }

    /// Nothing new counts until what is under way has drained.
    pub(crate) fn abort(&mut self) {
        self.aborting = self.pending();
    }

    /// Forgets everything: outcomes still to come are dropped.
    pub(crate) fn forget(&mut self) {
        *self = Self {
            epoch: self.epoch.wrapping_add(1),
            ..Self::default()
        };
    }
}
