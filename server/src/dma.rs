//! The DMA transfers that a device has asked for and that are not finished.
//!
//! Transfers are done in the order in which they were asked for, a slice at a time, so that a long
//! one holds up neither its own client's requests nor other functions. Before each slice the device
//! is asked whether the transfer may still touch memory: a function that left D0 or was reset
//! reaches nothing any more.

use std::collections::VecDeque;

use pci_device_models::dma::{DmaError, DmaOp, DmaRequest};
use pci_device_models::host::Device;
use pci_device_models::time::Time;

use crate::memory::DmaTable;
use crate::stats::ConnectionStats;

/// Bytes moved before others get a turn.
const SLICE: usize = 256 * 1024;
/// Bytes of a copy that are in the server's hands at a time: few enough to stay in the cache.
const BOUNCE: usize = 64 * 1024;

/// Room for data on their way from one place in client memory to another.
#[derive(Debug, Default)]
pub(crate) struct BounceBuffer(Vec<u8>);

impl BounceBuffer {
    fn get(&mut self) -> &mut [u8] {
        if self.0.is_empty() {
            self.0.resize(BOUNCE, 0);
        }
        &mut self.0
    }
}

/// The transfers of one function.
#[derive(Debug, Default)]
pub(crate) struct DmaQueue {
    waiting: VecDeque<DmaRequest>,
    /// Bytes of the first one that are done.
    done: usize,
    /// What the first one has read, if it is a read.
    data: Vec<u8>,
}

impl DmaQueue {
    pub(crate) fn push(&mut self, request: DmaRequest) {
        self.waiting.push_back(request);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Does one slice of the first transfer, and tells the device when that has come to its end.
    /// `memory` is what clients have mapped.
    pub(crate) fn step(
        &mut self,
        now: Time,
        device: &mut Device,
        memory: &mut DmaTable,
        bounce: &mut BounceBuffer,
        stats: &mut ConnectionStats,
    ) {
        let Some(request) = self.waiting.front() else {
            return;
        };
        let id = request.id;
        let step = if device.dma_is_live(id) {
            slice(&request.op, self.done, &mut self.data, memory, bounce)
        } else {
            Err(DmaError::Aborted)
        };
        match step {
            Ok(moved) if self.done + moved < length(&request.op) => {
                self.done += moved;
                return;
            }
            Ok(_) => device.dma_done(now, id, Ok(&self.data)),
            Err(error) => {
                stats.dma_errors += 1;
                device.dma_done(now, id, Err(error));
            }
        }
        stats.dma_transfers += 1;
        self.waiting.pop_front();
        self.done = 0;
        self.data.clear();
        self.data.shrink_to(BOUNCE);
    }
}

/// Bytes of a transfer.
fn length(op: &DmaOp) -> usize {
    match op {
        DmaOp::Read { len, .. } | DmaOp::Copy { len, .. } => *len as usize,
        DmaOp::Write { data, .. } => data.len(),
    }
}

/// Moves the next bytes of a transfer and says how many. A copy whose ranges overlap goes from low
/// to high addresses, as a copy engine does.
fn slice(
    op: &DmaOp,
    done: usize,
    data_read: &mut Vec<u8>,
    memory: &mut DmaTable,
    bounce: &mut BounceBuffer,
) -> Result<usize, DmaError> {
    let count = length(op).saturating_sub(done).min(SLICE);
    match op {
        DmaOp::Read { address, .. } => {
            let address = offset(*address, done)?;
            data_read.resize(done + count, 0);
            memory.read(address, data_read.get_mut(done..).unwrap_or_default())?;
        }
        DmaOp::Write { address, data } => {
            let address = offset(*address, done)?;
            memory.write(address, data.get(done..done + count).unwrap_or_default())?;
        }
        DmaOp::Copy { from, to, .. } => {
            let mut moved = done;
            while moved < done + count {
                let bounce = bounce.get();
                let piece = bounce.len().min(done + count - moved);
                let bytes = bounce.get_mut(..piece).unwrap_or_default();
                memory.read(offset(*from, moved)?, bytes)?;
                memory.write(offset(*to, moved)?, bytes)?;
                moved += piece;
            }
        }
    }
    Ok(count)
}

/// The address `done` bytes into a transfer. Nothing is mapped beyond the last address.
fn offset(address: u64, done: usize) -> Result<u64, DmaError> {
    address
        .checked_add(done as u64)
        .ok_or(DmaError::Unmapped { address: 0 })
}
