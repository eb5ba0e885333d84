//! The commands of a client, with a module per family of commands.
//!
//! | module | commands |
//! |---|---|
//! | [`version`] | VERSION |
//! | [`info`] | DEVICE_GET_INFO, DEVICE_GET_REGION_INFO, DEVICE_GET_IRQ_INFO |
//! | [`io_fds`] | DEVICE_GET_REGION_IO_FDS |
//! | [`region`] | REGION_READ, REGION_WRITE |
//! | [`write_multi`] | REGION_WRITE_MULTI |
//! | [`irqs`] | DEVICE_SET_IRQS |
//! | [`dma`] | DMA_MAP, DMA_UNMAP |
//! | [`feature`], [`dma_logging`], [`migration`] | DEVICE_FEATURE |
//! | [`migration`] | MIG_DATA_READ, MIG_DATA_WRITE |
//!
//! DEVICE_RESET needs none; it ends migration, whatever its state is.
//!
//! A request that concerns the device wakes it before anything in it is looked at, as an ioctl on a
//! vfio-pci device does, and keeps it awake until it is served. Accesses to regions and features see
//! to that in the device, which knows more about them; VERSION and the DMA maps have no business
//! with it.
//!
//! Replies to DMA commands go to the transfer that waits for them. One that nothing waits for is
//! dropped without a word: it may just be late.
//!
//! A device that is stopped for migration is not woken, and takes what it can as it is.
//!
//! VERSION comes first, exactly once; after it commands may come in any order. Commands that are
//! not served get an error reply, and the connection goes on.

mod cost;
mod dma;
mod dma_logging;
mod error;
mod feature;
mod info;
mod io_fds;
mod irqs;
mod migration;
mod region;
mod unfinished;
mod version;
mod write_multi;

use std::io;
use std::os::fd::OwnedFd;

use mio::{Registry, Token};
use pci_device_models::host::{DeviceMut, HostError, Usage};
use pci_device_models::time::Time;
use vfio_user_protocol::{Command, Direction, Frame, FrameError, Invalid, Limits, encoder};

use crate::budget::{Budget, DEAR};
use crate::connection::{MAX_MESSAGE_FDS, Message, TooManyDescriptors};
use crate::doorbells::Doorbells;
use crate::memory::{DmaTable, Owner};
use crate::migration::{Migration, SlotTime, Subject};
use crate::outputs::Outputs;
use crate::ratelimit::limited;
use crate::settings::ClientLimits;
use crate::stats::ConnectionStats;
use error::RequestError;
use unfinished::Progress;

pub(crate) use unfinished::Unfinished;

/// A client's conversation, from its connection to its end.
#[derive(Debug)]
pub(crate) struct Session {
    /// VERSION has been agreed on.
    negotiated: bool,
    /// The client as one that is asked for memory.
    owner: Owner,
    /// Descriptors that the client takes in one message.
    max_msg_fds: u32,
    /// The client understands areas with a descriptor each.
    sparse_mmap_fds: bool,
    /// It is asked over a socket of its own.
    has_twin: bool,
    /// The progress of the request that is not finished.
    progress: Progress,
}

/// The context of a request.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) device: DeviceMut<'a>,
    pub(crate) limits: ClientLimits,
    pub(crate) now: Time,
    pub(crate) stats: &'a mut ConnectionStats,
    /// The memory that clients have mapped for the device.
    pub(crate) memory: &'a mut DmaTable,
    pub(crate) outputs: &'a mut Outputs,
    /// Bytes of BAR memory that may still be moved in this turn.
    pub(crate) bar_budget: u64,
    /// Descriptors that travel with the reply, at most [`crate::connection::MAX_MESSAGE_FDS`].
    pub(crate) reply_fds: Vec<OwnedFd>,
    /// The end of a twin socket that the server keeps, if the reply carries the other one.
    pub(crate) twin: Option<OwnedFd>,
    /// Registers that clients write by eventfd.
    pub(crate) doorbells: &'a mut Doorbells,
    /// Registry for eventfds, and the token of the resample eventfd.
    pub(crate) registry: &'a Registry,
    pub(crate) resample: Token,
    pub(crate) migration: &'a mut Migration,
    /// The source of `now`.
    pub(crate) time: &'a mut SlotTime,
    /// The request is not finished and has to be tried again; see [`unfinished`]. There is no reply to it
    /// yet.
    pub(crate) unfinished: Option<Unfinished>,
    /// The time of the client's turn.
    pub(crate) budget: Budget,
}

impl Context<'_> {
    /// Performs what the device has put out.
    pub(crate) fn perform(&mut self) {
        self.outputs.perform(self.now, &mut self.device, self.stats);
    }

    /// The same when a request is over and its reply on its way: the device may go to sleep.
    pub(crate) fn settle(&mut self) {
        self.outputs.settle(self.now, &mut self.device, self.stats);
    }

    /// Has clients that have BAR memory mapped find what the request made of it. Returns whether
    /// they do; otherwise replies have to wait.
    pub(crate) fn settle_bars(&mut self) -> bool {
        if self.device.bars_are_settled() {
            return true;
        }
        self.device.advance_bars(&mut self.bar_budget);
        self.budget.spend(DEAR);
        self.device.bars_are_settled()
    }

    /// Wakes the device for a request and keeps it awake as long as what comes back is held.
    fn keep_awake(&mut self) -> Result<Option<Usage>, RequestError> {
        let usage = self.device.keep_awake(self.now)?;
        // What waking up causes goes to who was bound before the request.
        self.perform();
        Ok(usage)
    }

    /// Migration, and the function that is migrated.
    fn migration(&mut self) -> (&mut Migration, Subject<'_>) {
        let subject = Subject {
            device: self.device.reborrow(),
            outputs: self.outputs,
            time: self.time,
            now: self.now,
        };
        (self.migration, subject)
    }

    /// Does the writes that doorbells have been rung for.
    pub(crate) fn answer_doorbells(&mut self) {
        if self.device.is_frozen() {
            return;
        }
        let answered = self.doorbells.answer(self.now, &mut self.device);
        if answered > 0 {
            self.stats.doorbells += answered;
            self.settle();
        }
    }
}

impl Session {
    /// With the client of that number, which no other client of the function has or had.
    pub(crate) const fn new(client: u64) -> Self {
        Self {
            negotiated: false,
            // Nobody is asked for memory before VERSION.
            owner: Owner {
                client,
                max_transfer: 0,
            },
            max_msg_fds: 0,
            sparse_mmap_fds: false,
            has_twin: false,
            progress: Progress::None,
        }
    }

    /// The sizes of messages that are taken from the client if they may carry `transfer` bytes: before
    /// VERSION none that VERSION cannot have.
    pub(crate) const fn limits(&self, transfer: u32) -> Limits {
        Limits::for_transfers(if self.negotiated { transfer } else { 0 })
    }

    /// The client's number.
    pub(crate) const fn client(&self) -> u64 {
        self.owner.client
    }

    /// Descriptors that may travel with one reply.
    fn max_reply_fds(&self) -> usize {
        MAX_MESSAGE_FDS.min(self.max_msg_fds as usize)
    }

    /// Serves one message. What is owed to the client for it is appended to `out`.
    pub(crate) fn handle(&mut self, cx: &mut Context<'_>, message: Message<'_>, out: &mut Vec<u8>) {
        let Message { frame, fds } = message;
        if answers_dma(&frame) {
            let waited_for =
                !self.has_twin && cx.outputs.dma.answer(self.client(), &frame, cx.memory);
            cx.stats.dma_replies_dropped += u64::from(!waited_for);
            return;
        }
        cx.stats.requests += 1;
        let before = out.len();
        let mut failed = false;
        encoder::respond(out, &frame.header, |reply| {
            let served = fds
                .and_then(|fds| match fds.len() {
                    count if count > cx.limits.message_fds => Err(TooManyDescriptors),
                    _ => Ok(fds),
                })
                .map_err(RequestError::from)
                .and_then(|fds| self.dispatch(cx, &frame, fds, reply));
            served.map_err(|error| {
                failed = true;
                let command = frame.header.command;
                if let RequestError::Host(HostError::NotAwake { cause }) = &error {
                    // The reply says no more than EIO.
                    limited!(warn, command, %cause, "the device did not resume for a request");
                } else {
                    limited!(warn, command, %error, "request refused");
                }
                error.errno()
            })
        });
        cx.budget.spend(cost::of(&frame));
        if cx.unfinished.is_some() {
            cx.stats.requests -= 1;
            out.truncate(before);
        } else {
            self.progress = Progress::None;
        }
        if out.len() > before {
            cx.stats.replies += 1;
            cx.stats.error_replies += u64::from(failed);
        }
    }

    /// From now on the client is asked over its twin socket only.
    pub(crate) fn use_twin(&mut self) {
        self.has_twin = true;
    }

    /// Takes what came over the twin socket, where only replies have a place.
    ///
    /// # Errors
    /// The message is larger than any may be.
    pub(crate) fn handle_twin(
        &self,
        cx: &mut Context<'_>,
        message: Result<Message<'_>, Invalid>,
    ) -> io::Result<()> {
        match message {
            Ok(Message { frame, .. }) if frame.is_reply() => {
                let waited_for = cx.outputs.dma.answer(self.client(), &frame, cx.memory);
                cx.stats.dma_replies_dropped += u64::from(!waited_for);
                return Ok(());
            }
            Ok(Message { frame, .. }) => {
                let command = frame.header.command;
                limited!(
                    warn,
                    command,
                    "a command came over the twin socket; dropped"
                );
            }
            Err(Invalid {
                error: error @ FrameError::SizeAboveLimit { .. },
                ..
            }) => return Err(io::Error::other(error)),
            Err(Invalid { error, .. }) => {
                limited!(warn, %error, "message on the twin socket dropped");
            }
        }
        cx.stats.messages_invalid += 1;
        Ok(())
    }

    /// Answers a message with an invalid header.
    pub(crate) fn refuse(cx: &mut Context<'_>, invalid: &Invalid, out: &mut Vec<u8>) {
        limited!(warn, error = %invalid.error, "message refused");
        cx.stats.messages_invalid += 1;
        if invalid.header.wants_reply() {
            cx.stats.replies += 1;
            cx.stats.error_replies += 1;
            encoder::error_reply(out, &invalid.header, invalid.error.errno());
        }
    }

    fn dispatch(
        &mut self,
        cx: &mut Context<'_>,
        frame: &Frame<'_>,
        fds: Vec<OwnedFd>,
        reply: &mut Vec<u8>,
    ) -> Result<(), RequestError> {
        if frame.is_reply() {
            return Err(RequestError::UnexpectedReply);
        }
        let command = Command::try_from(frame.header.command)?;
        if self.negotiated == (command == Command::Version) {
            return Err(RequestError::VersionFirstAndOnce);
        }
        if command == Command::DeviceReset {
            let (migration, mut subject) = cx.migration();
            migration.end(&mut subject);
        }
        let _usage = wakes(command).then(|| cx.keep_awake()).transpose()?;
        match command {
            Command::DmaMap => dma::map(self, cx, frame.payload, fds),
            Command::DeviceSetIrqs => irqs::set(cx, frame.payload, fds),
            Command::DeviceFeature => feature::handle(cx, frame.payload, fds, reply),
            _ if !fds.is_empty() => Err(RequestError::NoDescriptors(fds.len())),
            _ => self.dispatch_plain(cx, command, frame.payload, reply),
        }
    }

    /// The commands that take no descriptors.
    fn dispatch_plain(
        &mut self,
        cx: &mut Context<'_>,
        command: Command,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<(), RequestError> {
        match command {
            Command::RegionRead => region::read(cx, payload, reply),
            Command::RegionWrite => region::write(cx, payload, reply),
            Command::RegionWriteMulti => write_multi::write(self, cx, payload, reply),
            Command::MigDataRead => migration::read(self, cx, payload, reply),
            Command::MigDataWrite => migration::write(self, cx, payload),
            Command::DmaUnmap => dma::unmap(self, cx, payload, reply),
            Command::Version => version::negotiate(self, cx, payload, reply),
            Command::DeviceGetInfo => info::device(cx, payload, reply),
            Command::DeviceGetRegionInfo => info::region(self, cx, payload, reply),
            Command::DeviceGetRegionIoFds => io_fds::get(self, cx, payload, reply),
            Command::DeviceGetIrqInfo => info::irq(cx, payload, reply),
            Command::DeviceReset => Ok(cx.device.reset(cx.now)?),
            not_served => Err(RequestError::NotServed(not_served)),
        }
    }
}

/// Returns whether a message is a reply to a command that the server sends.
pub(crate) fn answers_dma(frame: &Frame<'_>) -> bool {
    let command = || Command::try_from(frame.header.command);
    frame.is_reply()
        && command().is_ok_and(|command| command.direction() == Direction::ServerToClient)
}

/// Returns whether a command wakes the device whatever its payload.
const fn wakes(command: Command) -> bool {
    matches!(
        command,
        Command::DeviceGetInfo
            | Command::DeviceGetRegionInfo
            | Command::DeviceGetRegionIoFds
            | Command::DeviceGetIrqInfo
            | Command::DeviceSetIrqs
            | Command::DeviceReset
    )
}
