//! DMA as requests: a function asks, whoever holds the memory answers.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::snapshot::{self, RestoreError};

/// Bytes of the largest read that is restored: more than any model asks for at once, since they all
/// are in memory together.
const MAX_RESTORED_READ: u32 = 64 << 20;

/// A transfer that a device model wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
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
        #[serde(with = "snapshot::bytes")]
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
    /// In the order in which they began.
    outstanding: VecDeque<DmaRequest>,
    /// The function left D0: outcomes of what is under way become [`DmaError::Aborted`].
    aborting: bool,
}

/// What is saved of [`DmaLedger`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedLedger {
    aborting: bool,
    outstanding: Vec<SavedTransfer>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedTransfer {
    tag: u32,
    op: DmaOp,
}

impl DmaLedger {
    /// A transfer begins. It is to be put out.
    pub(crate) fn start(&mut self, tag: u32, op: DmaOp) -> DmaRequest {
        let epoch = self.epoch;
        let request = DmaRequest {
            id: DmaId { epoch, tag },
            op,
        };
        self.outstanding.push_back(request.clone());
        request
    }

    /// Takes an outcome in. `None`: it belongs to an earlier life. Else whether it still counts.
    pub(crate) fn finish(&mut self, id: DmaId) -> Option<bool> {
        let at = self.outstanding.iter().position(|one| one.id == id)?;
        self.outstanding.remove(at);
        let counts = !self.aborting;
        if self.outstanding.is_empty() {
            self.aborting = false;
        }
        Some(counts)
    }

    pub(crate) fn pending(&self) -> bool {
        !self.outstanding.is_empty()
    }

    pub(crate) fn is_aborting(&self) -> bool {
        self.aborting
    }

    /// Whether a transfer may still touch memory.
    pub(crate) fn is_live(&self, id: DmaId) -> bool {
        id.epoch == self.epoch && self.pending() && !self.aborting
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

    pub(crate) fn save(&self) -> SavedLedger {
        let Self {
            epoch: _,
            outstanding,
            aborting,
        } = self;
        let transfer = |request: &DmaRequest| SavedTransfer {
            tag: request.id.tag,
            op: request.op.clone(),
        };
        SavedLedger {
            aborting: *aborting,
            outstanding: outstanding.iter().map(transfer).collect(),
        }
    }

    /// Takes back what [`Self::save`] gave, in a new life, and forgets what is under way. What is
    /// returned is to be put out again. `at` says where the ledger stands.
    pub(crate) fn restore(
        &mut self,
        at: &str,
        saved: SavedLedger,
    ) -> Result<Vec<DmaRequest>, RestoreError> {
        let SavedLedger {
            aborting,
            outstanding,
        } = saved;
        if aborting && outstanding.is_empty() {
            return Err(RestoreError::part(at, "there is nothing to be aborted"));
        }
        for SavedTransfer { op, .. } in &outstanding {
            if let DmaOp::Read { len, .. } = op
                && *len > MAX_RESTORED_READ
            {
                let reason = format!("a read of {len} bytes; at most {MAX_RESTORED_READ} fit");
                return Err(RestoreError::part(at, reason));
            }
        }
        self.forget();
        let transfers = outstanding.into_iter();
        let requests = transfers.map(|transfer| self.start(transfer.tag, transfer.op));
        let requests = requests.collect();
        self.aborting = aborting;
        Ok(requests)
    }
}
