//! DMA as requests: a function requests a transfer, and the owner of the memory performs it.
//!
//! ```
//! use pci_device_models::bench::Bench;
//! use pci_device_models::dma::DmaOp;
//! use pci_device_models::model::Registry;
//! use pci_device_models::profile::Profile;
//!
//! let text = Profile::builtin("testdev").expect("it is built in");
//! let mut bench = Bench::of(&Profile::parse("testdev", text, &[])?, &Registry::builtin())?;
//! for (register, value) in [(0x20, 0), (0x28, 0x1000), (0x30, 4), (0x34, 1), (0x38, 1)] {
//!     bench.write(0, register, value);
//! }
//! let request = bench.take_dma().expect("the model asks for a copy");
//! assert!(matches!(request.op, DmaOp::Copy { from: 0, to: 0x1000, len: 4 }));
//! bench.complete_dma(request.id, Ok(&[]));
//! assert_eq!(bench.read(0, 0x3c) & 1, 0, "it is not busy any more");
//! # Ok::<(), pci_device_models::profile::ProfileError>(())
//! ```

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::snapshot::{self, RestoreError};

/// Maximum size in bytes of a read that is restored. No model requests more at once, since all data
/// is in memory together.
const MAX_RESTORED_READ: u32 = 64 << 20;

/// A transfer that a device model requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum DmaOp {
    /// Read memory. The outcome carries the data.
    Read {
        /// Bus address.
        address: u64,
        /// Number of bytes.
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
        /// Number of bytes.
        len: u32,
    },
}

impl DmaOp {
    /// Moves the transfer to an address that is `offset` higher, modulo 2^64: a copy at its destination.
    pub(crate) const fn misdirect(&mut self, offset: u64) {
        let (Self::Read { address, .. }
        | Self::Write { address, .. }
        | Self::Copy { to: address, .. }) = self;
        *address = address.wrapping_add(offset);
    }
}

/// A transfer in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmaRequest {
    /// Identifier that the outcome carries back.
    pub id: DmaId,
    /// The requested operation.
    pub op: DmaOp,
}

/// Identifies a transfer: the model's own tag and the epoch of the function in which it began. A
/// reset begins a new epoch. An outcome that arrives later belongs to an earlier epoch and is
/// dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DmaId {
    pub(crate) epoch: u32,
    pub(crate) tag: u32,
}

/// The outcome of a transfer: the data of a [`DmaOp::Read`], nothing for the others.
pub type DmaOutcome<'a> = Result<&'a [u8], DmaError>;

/// Reasons for which a transfer did not happen, or not completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DmaError {
    /// Nothing is mapped at an address, or the mapped memory has gone.
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

/// The transfers of a function that are in progress.
#[derive(Debug, Default)]
pub(crate) struct DmaLedger {
    epoch: u32,
    /// The transfers in the order in which they began.
    outstanding: VecDeque<DmaRequest>,
    /// The function has left D0: outcomes of transfers in progress become [`DmaError::Aborted`].
    aborting: bool,
}

/// The saved state of [`DmaLedger`].
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
    /// Begins a transfer and returns the request to emit.
    pub(crate) fn start(&mut self, tag: u32, op: DmaOp) -> DmaRequest {
        let epoch = self.epoch;
        let request = DmaRequest {
            id: DmaId { epoch, tag },
            op,
        };
        self.outstanding.push_back(request.clone());
        request
    }

    /// Ends a transfer. Returns `None` for one of an earlier epoch, else whether its outcome still
    /// counts.
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

    /// Returns whether a transfer may still touch memory.
    pub(crate) fn is_live(&self, id: DmaId) -> bool {
        id.epoch == self.epoch && self.pending() && !self.aborting
    }

    /// Aborts the transfers in progress: until they have drained, no outcome counts.
    pub(crate) fn abort(&mut self) {
        self.aborting = self.pending();
    }

    /// Forgets all transfers: their outcomes are dropped.
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

    /// Restores the state that [`Self::save`] returned, in a new epoch, and forgets the transfers
    /// in progress. Returns the requests to emit again. `at` is the ledger's place in the tree.
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
