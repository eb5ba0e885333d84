//! The unfinished DMA transfers that a device has requested.
//!
//! The queue performs transfers in the order of their requests, a slice at a time, so that a long one
//! delays neither its own client's requests nor other functions. Before each slice it asks the device
//! whether the transfer may still access memory: a function that left D0 or was reset accesses nothing
//! any more.
//!
//! For memory without a file, the queue sends one command at a time to the client that mapped it. The
//! transfer waits for the reply, until the time is up, or the client or the map is gone. Nothing else
//! waits: the server serves the client's own requests meanwhile, which the client may need before it can
//! answer. The queue drops a late reply.
//!
//! For migration the queue can rest: the transfer that has begun continues to its end, others remain
//! requests of the device.

mod command;
mod held;

use std::collections::VecDeque;
use std::time::Duration;

use pci_device_models::dma::{DmaError, DmaOp, DmaRequest};
use pci_device_models::host::{DeviceMut, DeviceRef};
use pci_device_models::time::Time;
use vfio_user_protocol::Frame;

use crate::memory::{DmaTable, Reach, offset};
use crate::ratelimit::limited;
use crate::stats::ConnectionStats;
use command::{Asked, Direction};
use held::{BOUNCE, Held};

pub(crate) use held::BounceBuffer;

/// Bytes moved before others get a turn, and the larger limit between two mappings. Mapped pieces of that
/// size take no longer, and smaller ones would only evict the caches of others more often.
const SLICE: usize = 256 * 1024;
const MAPPED_PIECE: usize = 1024 * 1024;

/// The transfers of one function.
#[derive(Debug)]
pub(crate) struct DmaQueue {
    waiting: VecDeque<DmaRequest>,
    /// Progress of the first one.
    progress: Progress,
    /// Time limit for a client's reply.
    timeout: Duration,
    /// No transfer begins.
    rests: bool,
}

/// The progress of a transfer.
#[derive(Debug, Default)]
struct Progress {
    /// Bytes that are done.
    done: usize,
    /// The data read, if it is a read.
    data: Vec<u8>,
    /// The data read but not yet written, if it is a copy.
    held: Held,
    /// The outstanding command to a client.
    asked: Option<Asked>,
    /// It came to nothing.
    failed: Option<DmaError>,
    /// Message id of the last command.
    last_id: u16,
}

impl DmaQueue {
    /// No transfers. Clients are given `timeout` to answer a command.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            waiting: VecDeque::new(),
            progress: Progress::default(),
            timeout,
            rests: false,
        }
    }

    pub(crate) fn push(&mut self, request: DmaRequest) {
        self.waiting.push_back(request);
    }

    /// Returns whether [`Self::step`] has work to do.
    pub(crate) fn is_ready(&self, device: DeviceRef<'_>) -> bool {
        let first = self.waiting.front().filter(|_| !self.is_at_rest());
        first.is_some_and(|first| self.progress.asked.is_none() || !device.dma_is_live(first.id))
    }

    /// Sets whether no transfer begins from now on.
    pub(crate) fn set_rests(&mut self, rests: bool) {
        self.rests = rests;
    }

    /// Returns whether no transfer has to finish before the queue rests as requested.
    pub(crate) fn is_settled(&self) -> bool {
        !self.rests || self.is_at_rest()
    }

    fn is_at_rest(&self) -> bool {
        self.rests && !self.progress.has_begun()
    }

    /// Does one slice of the first transfer, and tells the device when that has come to its end.
    /// `memory` is what clients have mapped. Afterwards there may be a [command](Self::command) to
    /// be sent.
    pub(crate) fn step(
        &mut self,
        now: Time,
        device: &mut DeviceMut<'_>,
        memory: &mut DmaTable,
        bounce: &mut BounceBuffer,
        stats: &mut ConnectionStats,
    ) {
        let Some(request) = self.waiting.front() else {
            return;
        };
        let id = request.id;
        let step = if device.dma_is_live(id) {
            self.progress.slice(&request.op, memory, bounce)
        } else {
            Err(DmaError::Aborted)
        };
        match step {
            Ok(()) if self.progress.done < length(&request.op) => return,
            Ok(()) => device.dma_done(now, id, Ok(&self.progress.data)),
            Err(error) => {
                stats.dma_errors += 1;
                device.dma_done(now, id, Err(error));
            }
        }
        stats.dma_transfers += 1;
        self.waiting.pop_front();
        self.progress.begin(bounce);
    }

    /// Appends the command that has to be sent now, if there is one, to `out`. Returns the number of
    /// the client that it is for.
    pub(crate) fn command(&mut self, now: Time, out: &mut Vec<u8>) -> Option<u64> {
        let asked = self.progress.asked.as_mut();
        let asked = asked.filter(|asked| asked.deadline.is_none())?;
        asked.deadline = Some(now.after(self.timeout));
        let (asked, op) = (self.progress.asked.as_ref()?, &self.waiting.front()?.op);
        asked.encode(self.progress.source(op), out);
        Some(asked.client)
    }

    /// Takes a reply of `client`. Whether it was waited for. What it says was written is dirty; of
    /// what a command without a reply may have written the client alone knows.
    pub(crate) fn answer(&mut self, client: u64, frame: &Frame<'_>, memory: &mut DmaTable) -> bool {
        let progress = &mut self.progress;
        let answered = |asked: &mut Asked| asked.is_answered_by(client, frame);
        let (Some(asked), Some(request)) = (progress.asked.take_if(answered), self.waiting.front())
        else {
            return false;
        };
        progress.failed = progress.absorb(&asked, &request.op, frame, memory).err();
        true
    }

    /// When the reply that is waited for has to be there.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.progress.asked.as_ref()?.deadline
    }

    /// The client whose reply ought to be there.
    pub(crate) fn due_from(&self, now: Time) -> Option<u64> {
        let asked = self.progress.asked.as_ref()?;
        (asked.deadline? <= now).then_some(asked.client)
    }

    /// Gives up the reply whose time is up.
    pub(crate) fn expire(&mut self, now: Time) {
        if self.due_from(now).is_some() {
            self.progress.give_up(|_| true);
            limited!(
                warn,
                seconds = self.timeout.as_secs_f64(),
                "the client did not answer a DMA command in time"
            );
        }
    }

    /// A client is gone.
    pub(crate) fn client_gone(&mut self, client: u64) {
        self.progress.give_up(|asked| asked.client == client);
    }

    /// Maps are gone from `memory`.
    pub(crate) fn unmapped(&mut self, memory: &mut DmaTable) {
        self.progress.give_up(|asked| {
            let owner = memory.owner(asked.address);
            owner.is_none_or(|owner| owner.client != asked.client)
        });
    }
}

impl Progress {
    fn has_begun(&self) -> bool {
        self.done > 0 || self.asked.is_some() || self.failed.is_some() || !self.held.is_empty()
    }

    /// The next transfer's.
    fn begin(&mut self, bounce: &mut BounceBuffer) {
        self.held.release(bounce);
        self.data.clear();
        self.data.shrink_to(BOUNCE);
        *self = Self {
            data: std::mem::take(&mut self.data),
            last_id: self.last_id,
            ..Self::default()
        };
    }

    /// Does what can be done without a client's help, a slice at most.
    fn slice(
        &mut self,
        op: &DmaOp,
        memory: &mut DmaTable,
        bounce: &mut BounceBuffer,
    ) -> Result<(), DmaError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let end = length(op).min(self.done + SLICE);
        while self.done < end && self.asked.is_none() {
            match op {
                DmaOp::Read { address, .. } => self.read(*address, end, memory)?,
                DmaOp::Write { address, data } => self.write(*address, data, end, memory)?,
                DmaOp::Copy { from, to, .. } if self.held.is_empty() => {
                    let (source, target) = (offset(*from, self.done)?, offset(*to, self.done)?);
                    let piece = (length(op) - self.done).min(MAPPED_PIECE);
                    let copied = memory.copy_mapped(source, target, piece);
                    self.done += copied;
                    if copied == 0 {
                        self.read_held(*from, end, memory, bounce)?;
                    }
                }
                DmaOp::Copy { to, .. } => self.write_held(*to, memory)?,
            }
        }
        if self.asked.is_none() && self.held.is_empty() {
            self.held.release(bounce);
        }
        Ok(())
    }

    fn read(&mut self, address: u64, end: usize, memory: &mut DmaTable) -> Result<(), DmaError> {
        let at = offset(address, self.done)?;
        // Devices name the size as their driver wants it.
        let more = end.saturating_sub(self.data.len());
        if self.data.try_reserve(more).is_err() {
            limited!(
                warn,
                bytes = end,
                "there is no memory for the data of a transfer"
            );
            return Err(DmaError::Unmapped { address: at });
        }
        self.data.resize(end, 0);
        let data = self.data.get_mut(self.done..).unwrap_or_default();
        let reach = memory.read(at, data)?;
        self.done += reach.done(data.len());
        self.ask(reach, Direction::Read, at)
    }

    fn write(
        &mut self,
        address: u64,
        data: &[u8],
        end: usize,
        memory: &mut DmaTable,
    ) -> Result<(), DmaError> {
        let at = offset(address, self.done)?;
        let data = data.get(self.done..end).unwrap_or_default();
        let reach = memory.write(at, data)?;
        self.done += reach.done(data.len());
        self.ask(reach, Direction::Write, at)
    }

    /// The first half of a copy. What was read by file is written before a client is asked for more.
    /// A copy whose ranges overlap goes from low to high addresses, as a copy engine does.
    fn read_held(
        &mut self,
        from: u64,
        end: usize,
        memory: &mut DmaTable,
        bounce: &mut BounceBuffer,
    ) -> Result<(), DmaError> {
        let at = offset(from, self.done)?;
        let room = self.held.room(bounce, end - self.done);
        // As where the system has no page for client memory.
        let room = room.ok_or(DmaError::Unmapped { address: at })?;
        let reach = memory.read(at, room)?;
        match reach.done(room.len()) {
            0 => self.ask(reach, Direction::Read, at),
            read => {
                self.held.fill(read);
                Ok(())
            }
        }
    }

    /// The second half of a copy.
    fn write_held(&mut self, to: u64, memory: &mut DmaTable) -> Result<(), DmaError> {
        let at = offset(to, self.done)?;
        let bytes = self.held.bytes();
        let reach = memory.write(at, bytes)?;
        let written = reach.done(bytes.len());
        self.done += written;
        self.held.drop_first(written);
        self.ask(reach, Direction::Write, at)
    }

    /// If the access that began at `address` came to memory without a file, asks its owner.
    fn ask(&mut self, reach: Reach, direction: Direction, address: u64) -> Result<(), DmaError> {
        if let Reach::Ask { done, len, owner } = reach {
            self.last_id = self.last_id.wrapping_add(1);
            let address = offset(address, done)?;
            self.asked = Some(Asked::new(owner, direction, address, len, self.last_id));
        }
        Ok(())
    }

    /// Returns the data to write next.
    fn source<'a>(&'a self, op: &'a DmaOp) -> &'a [u8] {
        match op {
            DmaOp::Read { .. } => &[],
            DmaOp::Write { data, .. } => data.get(self.done..).unwrap_or_default(),
            DmaOp::Copy { .. } => self.held.bytes(),
        }
    }

    /// Takes in what the reply to `asked` says.
    fn absorb(
        &mut self,
        asked: &Asked,
        op: &DmaOp,
        frame: &Frame<'_>,
        memory: &mut DmaTable,
    ) -> Result<(), DmaError> {
        match asked.direction {
            Direction::Read => {
                let data = asked.data(frame)?;
                if let DmaOp::Copy { .. } = op {
                    self.held.hold(data);
                } else if let Some(place) = self.data.get_mut(self.done..self.done + data.len()) {
                    place.copy_from_slice(data);
                    self.done += data.len();
                }
            }
            Direction::Write => {
                let written = asked.written(self.source(op), frame)?;
                memory.log.mark(asked.address, written);
                self.held.drop_first(written);
                self.done += written;
            }
        }
        Ok(())
    }

    /// The command under way comes to nothing, if it is such a one.
    fn give_up(&mut self, hopeless: impl FnOnce(&mut Asked) -> bool) {
        if let Some(asked) = self.asked.take_if(hopeless) {
            self.failed = Some(asked.unmapped());
        }
    }
}

/// Bytes of a transfer.
fn length(op: &DmaOp) -> usize {
    match op {
        DmaOp::Read { len, .. } | DmaOp::Copy { len, .. } => *len as usize,
        DmaOp::Write { data, .. } => data.len(),
    }
}

#[cfg(test)]
mod tests;
