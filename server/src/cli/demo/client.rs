//! A vfio-user client, as small as the walk allows.

use std::io::{IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use vfio_user_protocol::messages::device_feature::{self, Feature};
use vfio_user_protocol::messages::region_access::{Access, ReadReply, ReadRequest, WriteRequest};
use vfio_user_protocol::messages::version::{MAJOR, MINOR, Proposal};
use vfio_user_protocol::{Command, Encoder, Errno, HEADER_SIZE, Header};

use super::PATIENCE;

/// What a request came to: the reply's payload, or the errno that the server gave.
pub type Answer<T> = Result<T, Errno>;

/// A connection with an agreed version.
pub struct Client {
    socket: UnixStream,
    next_id: u16,
}

impl Client {
    pub fn connect(path: &Path) -> anyhow::Result<Self> {
        let socket = UnixStream::connect(path)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut client = Self { socket, next_id: 0 };
        let proposal = Proposal::new(MAJOR, MINOR, None);
        client
            .request(Command::Version, None, |body| proposal.encode(body))?
            .map_err(|errno| anyhow!("the server refuses the version: {errno}"))?;
        Ok(client)
    }

    /// Reads `N` bytes of a region.
    pub fn read<const N: usize>(
        &mut self,
        region: u32,
        offset: u64,
    ) -> anyhow::Result<Answer<[u8; N]>> {
        let count = u32::try_from(N)?;
        let access = Access {
            offset,
            region,
            count,
        };
        let reply = self.request(Command::RegionRead, None, |body| {
            ReadRequest { access }.encode(body);
        })?;
        let payload = match reply {
            Ok(payload) => payload,
            Err(errno) => return Ok(Err(errno)),
        };
        Ok(Ok(ReadReply::parse(&payload)?.data.try_into()?))
    }

    pub fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> anyhow::Result<Answer<()>> {
        let reply = self.request(Command::RegionWrite, None, |body| {
            WriteRequest::new(region, offset, data).encode(body);
        })?;
        Ok(reply.map(drop))
    }

    /// A SET of a device feature, with a descriptor beside it if it wants one.
    pub fn set_feature(
        &mut self,
        feature: Feature,
        data: &[u8],
        fd: Option<BorrowedFd<'_>>,
    ) -> anyhow::Result<Answer<()>> {
        let request = device_feature::Request::set(feature.number(), data);
        let reply = self.request(Command::DeviceFeature, fd, |body| request.encode(body))?;
        Ok(reply.map(drop))
    }

    /// Sends a command and waits for its reply.
    fn request(
        &mut self,
        command: Command,
        fd: Option<BorrowedFd<'_>>,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> anyhow::Result<Answer<Vec<u8>>> {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        let mut message = Vec::new();
        let mut encoder = Encoder::command(&mut message, id, command);
        body(encoder.body());
        encoder.finish()?;
        self.send(&message, fd)?;
        self.reply_to(id)
    }

    fn send(&self, message: &[u8], fd: Option<BorrowedFd<'_>>) -> anyhow::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        let fds = fd.as_slice();
        if !fds.is_empty() {
            let has_room = beside.push(SendAncillaryMessage::ScmRights(fds));
            ensure!(has_room, "no room for a descriptor beside the message");
        }
        let sent = sendmsg(
            self.socket.as_fd(),
            &[IoSlice::new(message)],
            &mut beside,
            SendFlags::NOSIGNAL,
        )?;
        ensure!(sent == message.len(), "the message was sent in part only");
        Ok(())
    }

    fn reply_to(&mut self, id: u16) -> anyhow::Result<Answer<Vec<u8>>> {
        let mut header = [0; HEADER_SIZE];
        self.socket.read_exact(&mut header)?;
        let header = Header::parse(&header).context("a header has no header's form")?;
        if header.message_id != id {
            bail!("reply {} came where {id} was due", header.message_id);
        }
        let length = usize::try_from(header.message_size)?.saturating_sub(HEADER_SIZE);
        let mut payload = vec![0; length];
        self.socket.read_exact(&mut payload)?;
        Ok(match header.failure() {
            Some(errno) => Err(errno),
            None => Ok(payload),
        })
    }
}
