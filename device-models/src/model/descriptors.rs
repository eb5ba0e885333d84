//! Processing of descriptors in memory: rings and chains.
//!
//! A device whose work is described by descriptors in memory performs three transfers for each of
//! them: it fetches the descriptor, moves the data, and writes the completion back. [`Descriptors`]
//! performs these transfers one at a time, tells the model which of them has ended, and is saved
//! and restored with the model. The model itself finds the next descriptor, in a ring or through a
//! pointer.
//!
//! # Examples
//!
//! A device that copies eight bytes for each descriptor, and writes a one behind it:
//!
//! ```
//! use pci_device_models::bench::Bench;
//! use pci_device_models::dma::{DmaOp, DmaOutcome};
//! use pci_device_models::model::descriptors::{Descriptors, Progress};
//! use pci_device_models::model::prelude::*;
//!
//! /// Bus address of a descriptor: source and destination, and the word that says it is done.
//! #[derive(Debug, Default, Serialize, Deserialize)]
//! struct Copier {
//!     at: u32,
//!     work: Descriptors<[u64; 2], ()>,
//! }
//!
//! impl Model for Copier {
//!     fn read(&mut self, _: &mut Context<'_>, _: u8, _: u64, _: Lanes) -> u32 {
//!         u32::from(!self.work.is_idle())
//!     }
//!
//!     fn write(&mut self, cx: &mut Context<'_>, _: u8, _: u64, write: DwordWrite) {
//!         if self.work.is_idle() {
//!             self.at = write.value();
//!             // Without bus mastering nothing begins.
//!             let _ = self.work.fetch(cx, 0, self.at.into(), 16);
//!         }
//!     }
//!
//!     fn dma_done(&mut self, cx: &mut Context<'_>, _: u32, outcome: DmaOutcome<'_>) {
//!         match self.work.done(outcome) {
//!             Progress::Fetched(Ok(bytes)) => {
//!                 let (words, _) = bytes.as_chunks();
//!                 let descriptor = [0, 1].map(|word| u64::from_le_bytes(words[word]));
//!                 let [from, to] = descriptor;
//!                 let copy = DmaOp::Copy { from, to, len: 8 };
//!                 let _ = self.work.transfer(cx, 0, descriptor, copy);
//!             }
//!             Progress::Transferred(_, Ok(())) => {
//!                 let done = u64::from(self.at) + 16;
//!                 let _ = self.work.write_back(cx, 0, done, vec![1], ());
//!             }
//!             Progress::WrittenBack((), Ok(())) => cx.interrupt(0),
//!             _ => {}
//!         }
//!     }
//!
//!     fn reset(&mut self, _: &mut Context<'_>, _: ResetKind) {
//!         *self = Self::default();
//!     }
//! }
//!
//! let mut bench = Bench::new(Box::<Copier>::default())?;
//! let descriptor = [0x20_u64, 0x28].map(u64::to_le_bytes).concat();
//! bench.memory_mut()[0x100..0x110].copy_from_slice(&descriptor);
//! bench.memory_mut()[0x20..0x28].copy_from_slice(b"a string");
//! bench.write(0, 0, 0x100);
//! bench.run_dma();
//! assert_eq!(&bench.memory()[0x28..0x30], b"a string");
//! assert_eq!((bench.memory()[0x110], bench.intx()), (1, true));
//! # Ok::<(), pci_device_models::profile::ProfileError>(())
//! ```

use serde::{Deserialize, Serialize};

use super::Context;
use crate::dma::{DmaError, DmaOp, DmaOutcome};

/// The processing of one descriptor after the other. `D` is the model's data about a descriptor
/// while its data moves, and `C` its data during the write-back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Descriptors<D, C>(Work<D, C>);

/// The transfer in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Work<D, C> {
    Nothing,
    Fetch,
    Copy(D),
    Complete(C),
}

/// The end of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a, D, C> {
    /// The descriptor was fetched, or the fetch failed.
    Fetched(Result<&'a [u8], DmaError>),
    /// The data was moved, or the transfer failed.
    Transferred(D, Result<(), DmaError>),
    /// The descriptor was written back, or the write failed.
    WrittenBack(C, Result<(), DmaError>),
    /// The function left D0, was reset, or may not use the bus. The descriptor has no error.
    Stopped,
    /// No transfer was in progress.
    Idle,
}

impl<D, C> Default for Descriptors<D, C> {
    fn default() -> Self {
        Self(Work::Nothing)
    }
}

impl<D, C> Descriptors<D, C> {
    /// Returns whether no transfer is in progress.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        matches!(self.0, Work::Nothing)
    }

    /// Fetches a descriptor of `len` bytes.
    ///
    /// # Errors
    /// Those of [`Context::dma`], also for the other transfers. No transfer is in progress then.
    pub fn fetch(
        &mut self,
        cx: &mut Context<'_>,
        tag: u32,
        address: u64,
        len: u32,
    ) -> Result<(), DmaError> {
        self.start(cx, tag, Work::Fetch, DmaOp::Read { address, len })
    }

    /// Moves the data of a descriptor.
    ///
    /// # Errors
    /// Those of [`Self::fetch`].
    pub fn transfer(
        &mut self,
        cx: &mut Context<'_>,
        tag: u32,
        descriptor: D,
        op: DmaOp,
    ) -> Result<(), DmaError> {
        self.start(cx, tag, Work::Copy(descriptor), op)
    }

    /// Writes the completion of a descriptor to memory.
    ///
    /// # Errors
    /// Those of [`Self::fetch`].
    pub fn write_back(
        &mut self,
        cx: &mut Context<'_>,
        tag: u32,
        address: u64,
        data: Vec<u8>,
        completion: C,
    ) -> Result<(), DmaError> {
        let write = DmaOp::Write { address, data };
        self.start(cx, tag, Work::Complete(completion), write)
    }

    fn start(
        &mut self,
        cx: &mut Context<'_>,
        tag: u32,
        work: Work<D, C>,
        op: DmaOp,
    ) -> Result<(), DmaError> {
        cx.dma(tag, op)?;
        self.0 = work;
        Ok(())
    }

    /// Handles the outcome that [`Model::dma_done`](super::Model::dma_done) received under the tag.
    /// No transfer is in progress afterwards.
    pub fn done<'a>(&mut self, outcome: DmaOutcome<'a>) -> Progress<'a, D, C> {
        let work = std::mem::take(self).0;
        if let Err(DmaError::Aborted | DmaError::BusMasterOff) = outcome {
            return Progress::Stopped;
        }
        match work {
            Work::Nothing => Progress::Idle,
            Work::Fetch => Progress::Fetched(outcome),
            Work::Copy(descriptor) => Progress::Transferred(descriptor, outcome.map(drop)),
            Work::Complete(completion) => Progress::WrittenBack(completion, outcome.map(drop)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_transfer_under_way_has_a_saved_form() {
        type Of = Descriptors<[u64; 2], bool>;
        for (work, saved) in [
            (Work::Nothing, r#""Nothing""#),
            (Work::Fetch, r#""Fetch""#),
            (Work::Copy([1, 2]), r#"{"Copy":[1,2]}"#),
            (Work::Complete(true), r#"{"Complete":true}"#),
        ] {
            let work: Of = Descriptors(work);
            assert_eq!(serde_json::to_string(&work).unwrap(), saved);
            assert_eq!(serde_json::from_str::<Of>(saved).unwrap(), work);
        }
    }

    #[test]
    fn an_outcome_tells_of_the_transfer_that_was_under_way() {
        let unmapped = Err(DmaError::Unmapped { address: 5 });
        let done = |work, outcome| Descriptors::<u8, u8>(work).done(outcome);
        assert_eq!(done(Work::Fetch, Ok(b"x")), Progress::Fetched(Ok(b"x")));
        let moved = done(Work::Copy(3), unmapped);
        assert_eq!(moved, Progress::Transferred(3, unmapped.map(drop)));
        let written = done(Work::Complete(4), Ok(&[]));
        assert_eq!(written, Progress::WrittenBack(4, Ok(())));
        assert_eq!(done(Work::Nothing, Ok(&[])), Progress::Idle);
        for error in [DmaError::Aborted, DmaError::BusMasterOff] {
            assert_eq!(done(Work::Nothing, Err(error)), Progress::Stopped);
            assert_eq!(done(Work::Copy(3), Err(error)), Progress::Stopped);
        }
    }
}
