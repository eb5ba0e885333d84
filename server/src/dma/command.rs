//! One DMA_READ or DMA_WRITE to a client, and what its reply says.

use pci_device_models::dma::DmaError;
use pci_device_models::time::Time;
use vfio_user_protocol::encoder::Encoder;
use vfio_user_protocol::messages::dma_access::{ReadReply, ReadRequest, WriteReply, WriteRequest};
use vfio_user_protocol::{Command, Errno, Frame, MessageError};

use crate::memory::Owner;
use crate::ratelimit::limited;

/// Which way the data go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// DMA_READ.
    Read,
    /// DMA_WRITE.
    Write,
}

/// A command that a client has not answered.
#[derive(Debug)]
pub(super) struct Asked {
    /// Number of the client.
    pub(super) client: u64,
    pub(super) direction: Direction,
    pub(super) address: u64,
    /// Bytes.
    pub(super) count: usize,
    /// Until when the reply has to be there. `None`: the command has not left.
    pub(super) deadline: Option<Time>,
    id: u16,
}

impl Asked {
    /// A command about the first of `len` bytes at `address`, as many as `owner` takes.
    pub(super) fn new(
        owner: Owner,
        direction: Direction,
        address: u64,
        len: usize,
        id: u16,
    ) -> Self {
        Self {
            client: owner.client,
            direction,
            address,
            count: len.min(owner.max_transfer as usize),
            deadline: None,
            id,
        }
    }

    const fn command(&self) -> Command {
        match self.direction {
            Direction::Read => Command::DmaRead,
            Direction::Write => Command::DmaWrite,
        }
    }

    /// Appends the command to `out`. `data` begins with what is to be written.
    pub(super) fn encode(&self, data: &[u8], out: &mut Vec<u8>) {
        let mut message = Encoder::command(out, self.id, self.command());
        match self.direction {
            Direction::Read => ReadRequest {
                address: self.address,
                count: self.count as u64,
            }
            .encode(message.body()),
            Direction::Write => self.write_request(data).encode(message.body()),
        }
        if let Err(error) = message.finish() {
            limited!(error, %error, "a DMA command cannot be sent");
        }
    }

    fn write_request<'a>(&self, data: &'a [u8]) -> WriteRequest<'a> {
        WriteRequest {
            address: self.address,
            data: data.get(..self.count).unwrap_or_default(),
        }
    }

    /// Returns whether a message of `client` is the reply.
    pub(super) fn is_answered_by(&self, client: u64, frame: &Frame<'_>) -> bool {
        self.deadline.is_some()
            && self.client == client
            && self.id == frame.header.message_id
            && self.command().number() == frame.header.command
    }

    /// The data that a reply to DMA_READ brings: one byte at least, but perhaps fewer than were
    /// asked for.
    pub(super) fn data<'a>(&self, frame: &Frame<'a>) -> Result<&'a [u8], DmaError> {
        self.check_success(frame)?;
        let reply = ReadReply::parse(frame.payload);
        let reply = reply.map_err(|error| self.malformed(&error))?;
        self.check_extent(reply.address, reply.data.len() as u64)?;
        Ok(reply.data)
    }

    /// The number of bytes that a reply to DMA_WRITE says were written: one at least, but perhaps
    /// fewer than were sent. `data` is as for [`Self::encode`].
    pub(super) fn written(&self, data: &[u8], frame: &Frame<'_>) -> Result<usize, DmaError> {
        self.check_success(frame)?;
        let reply = WriteReply::parse_for(&self.write_request(data), frame.payload);
        let reply = reply.map_err(|error| self.malformed(&error))?;
        self.check_extent(reply.address, reply.count)?;
        Ok(usize::try_from(reply.count).unwrap_or(self.count))
    }

    /// Returns the result of the transfer if there is no reply.
    pub(super) const fn unmapped(&self) -> DmaError {
        DmaError::Unmapped {
            address: self.address,
        }
    }

    fn check_success(&self, frame: &Frame<'_>) -> Result<(), DmaError> {
        let Some(errno) = frame.header.failure() else {
            return Ok(());
        };
        match errno {
            Errno::EPERM | Errno::EACCES | Errno::EROFS => Err(DmaError::NotPermitted {
                address: self.address,
                write: self.direction == Direction::Write,
            }),
            Errno::ENOSYS | Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::EINVAL => {
                limited!(
                    warn,
                    command = %self.command(),
                    address = format_args!("{:#x}", self.address),
                    %errno,
                    "the client does not serve DMA messages, so it has to share its memory; with \
                     QEMU use -object memory-backend-memfd,share=on,… as the machine's \
                     memory-backend"
                );
                Err(self.unmapped())
            }
            _ => Err(self.unmapped()),
        }
    }

    fn check_extent(&self, address: u64, count: u64) -> Result<(), DmaError> {
        if address == self.address && (1..=self.count as u64).contains(&count) {
            return Ok(());
        }
        limited!(
            warn,
            command = %self.command(),
            "the client answered for {count} bytes at {address:#x}, it was asked for {} at {:#x}",
            self.count,
            self.address
        );
        Err(self.unmapped())
    }

    fn malformed(&self, error: &MessageError) -> DmaError {
        limited!(warn, %error, "malformed reply to a DMA command");
        self.unmapped()
    }
}
