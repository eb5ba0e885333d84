//! The server under test.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
};
use serde_json::Value;

use super::{Outcome, holds};
use crate::raw::wire::{self, Bytes, EINVAL, command, region};
use crate::raw::{IrqInfo, Message, RawClient, RegionInfo};

/// The capabilities that the suite's clients offer, unless a check is about them.
pub(super) const OFFER: &str =
    r#"{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576}}"#;
/// The specification's limit for servers that do not name one.
const DEFAULT_TRANSFER: u64 = 1 << 20;
/// Interval between attempts to connect to a server that is busy with the previous client.
const PAUSE: Duration = Duration::from_millis(5);

/// A server: its socket, the time to wait for it, and its features.
#[derive(Debug)]
pub struct Subject {
    socket: PathBuf,
    patience: Duration,
    pub(super) found: Found,
}

/// The features of a server.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The `capabilities` object of the reply to [`OFFER`].
    pub(super) capabilities: Value,
    /// Flags of DEVICE_GET_INFO.
    pub(super) flags: u32,
    /// Numbers of regions and of irq indexes.
    pub(super) num_regions: u32,
    pub(super) num_irqs: u32,
    /// Regions that the server describes, those without a size included.
    pub(super) regions: Vec<RegionInfo>,
    /// Irq indexes, those without vectors included.
    pub(super) irqs: Vec<IrqInfo>,
}

impl Subject {
    /// Probes the server behind `socket`, waiting `patience` for each reply.
    ///
    /// # Errors
    /// No server listens, or it does not answer the first requests of every client.
    pub fn discover(socket: &Path, patience: Duration) -> Result<Self> {
        let mut subject = Self {
            socket: socket.to_owned(),
            patience,
            found: Found::default(),
        };
        subject.found = subject.look()?;
        Ok(subject)
    }

    fn look(&self) -> Result<Found> {
        let (mut client, reply) = self.agree(OFFER)?;
        let (_, _, text) = RawClient::version_reply(reply).context("VERSION")?;
        let capabilities = match text {
            Some(text) => serde_json::from_str::<Value>(&text)?["capabilities"].take(),
            None => Value::Null,
        };
        let (flags, num_regions, num_irqs) = client.device_info().context("DEVICE_GET_INFO")?;
        // More than any device has; a wrong answer must not make this endless.
        let regions = (0..num_regions.min(100)).filter_map(|index| client.region_info(index).ok());
        let regions = regions.collect();
        let irqs = (0..num_irqs.min(50)).filter_map(|index| client.irq_info(index).ok());
        let irqs = irqs.collect();
        Ok(Found {
            capabilities,
            flags,
            num_regions,
            num_irqs,
            regions,
            irqs,
        })
    }

    /// Returns the time that a check waits for an event.
    pub(super) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Connects without sending anything, after the server has noticed that the previous client has
    /// gone. Until then it may refuse another, and a connection that sends nothing cannot tell.
    ///
    /// # Errors
    /// No server listens, or it does not accept a client in time.
    pub fn connect(&self) -> Result<RawClient> {
        let before = self.attach()?;
        rustix::net::shutdown(before.as_fd(), Shutdown::Write)?;
        before.closed().context("a client that leaves")?;
        self.open()
    }

    /// Connects at once.
    pub(super) fn open(&self) -> Result<RawClient> {
        let until = Instant::now() + self.patience;
        loop {
            match try_connect(&self.socket) {
                Ok(stream) => return Ok(RawClient::waiting(stream, self.patience)?),
                Err(Errno::AGAIN | Errno::CONNREFUSED | Errno::NOENT) if Instant::now() < until => {
                    std::thread::sleep(PAUSE);
                }
                Err(error) => {
                    let socket = self.socket.display();
                    return Err(io::Error::from(error))
                        .with_context(|| format!("cannot connect to {socket}"));
                }
            }
        }
    }

    /// Connects and sends VERSION. It repeats this while the server hangs up because it has not
    /// noticed yet that the previous client has gone.
    fn agree(&self, text: &str) -> Result<(RawClient, Message)> {
        let until = Instant::now() + self.patience;
        loop {
            let mut client = self.open()?;
            match client.version(0, 0, Some(text)) {
                Ok(reply) => return Ok((client, reply)),
                Err(error) if hung_up(&error) && Instant::now() < until => {
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(error.context("VERSION")),
            }
        }
    }

    /// Connects and agrees on a version.
    ///
    /// # Errors
    /// Those of [`Self::connect`], or the server does not agree.
    pub fn attach(&self) -> Result<RawClient> {
        self.attach_offering(OFFER)
    }

    /// Connects and agrees on a version, with other capabilities; see [`Self::attach`].
    pub(super) fn attach_offering(&self, text: &str) -> Result<RawClient> {
        let (client, reply) = self.agree(text)?;
        reply.success().context("VERSION")?;
        Ok(client)
    }

    /// Checks that a command is refused with EINVAL.
    pub(super) fn refused(&self, command: u16, payload: &[u8]) -> Outcome {
        self.refused_with(command, payload, &[], EINVAL)
    }

    /// Checks that a command is refused, after which the connection continues.
    pub(super) fn refused_with(
        &self,
        command: u16,
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
        errno: u32,
    ) -> Outcome {
        let mut client = self.attach()?;
        refused_on(&mut client, command, payload, fds, errno)?;
        goes_on(&mut client)?;
        holds()
    }

    /// Returns the region of this index, if it has a size.
    pub(super) fn region(&self, index: u32) -> Option<RegionInfo> {
        let mut regions = self.found.regions.iter();
        regions
            .find(|region| region.index == index && region.size > 0)
            .copied()
    }

    /// Returns the regions with a size.
    pub(super) fn present_regions(&self) -> impl Iterator<Item = &RegionInfo> {
        self.found.regions.iter().filter(|region| region.size > 0)
    }

    /// Returns the BARs with a size.
    pub(super) fn bars(&self) -> impl Iterator<Item = &RegionInfo> {
        self.present_regions()
            .filter(|region| region.index < region::ROM)
    }

    /// Returns a region that is described as absent.
    pub(super) fn absent_region(&self) -> Option<u32> {
        let mut regions = self.found.regions.iter();
        regions
            .find(|region| region.size == 0)
            .map(|region| region.index)
    }

    /// Returns the largest BAR.
    pub(super) fn largest_bar(&self) -> Option<RegionInfo> {
        self.bars().max_by_key(|bar| bar.size).copied()
    }

    /// Returns the irq index with the most vectors.
    pub(super) fn widest_irq(&self) -> Option<IrqInfo> {
        let irqs = self.found.irqs.iter().filter(|irq| irq.count > 0);
        irqs.max_by_key(|irq| irq.count).copied()
    }

    /// Returns the irq index of this number.
    pub(super) fn irq(&self, index: u32) -> Option<IrqInfo> {
        self.found
            .irqs
            .iter()
            .find(|irq| irq.index == index)
            .copied()
    }

    /// Returns the maximum number of bytes of one access to a region.
    pub(super) fn largest_transfer(&self) -> u64 {
        let named = self.found.capabilities["max_data_xfer_size"].as_u64();
        named.unwrap_or(DEFAULT_TRANSFER)
    }

    /// Reads all of config space.
    pub(super) fn config_space(&self, client: &mut RawClient) -> Result<Vec<u8>> {
        let size = self.region(region::CONFIG).map_or(0, |config| config.size);
        ensure!(size == 256 || size == 4096, "config space has {size} bytes");
        client.read(region::CONFIG, 0, size as u32)
    }
}

/// Checks that a command on a connection is refused with this errno in a reply of 16 bytes.
pub(super) fn refused_on(
    client: &mut RawClient,
    command: u16,
    payload: &[u8],
    fds: &[BorrowedFd<'_>],
    errno: u32,
) -> Result<()> {
    let seen = client.request(command, payload, fds)?.failure()?;
    ensure!(
        seen == errno,
        "refused with {}, not with {}",
        wire::name(seen),
        wire::name(errno)
    );
    Ok(())
}

/// Checks that a well-formed request is answered, and that its answer is the next message.
pub(super) fn goes_on(client: &mut RawClient) -> Result<()> {
    let info = client.device_info();
    info.context("afterwards, DEVICE_GET_INFO on the same connection")?;
    Ok(())
}

/// A file descriptor for a message, and the means to see that the server has closed it.
#[derive(Debug)]
pub(super) struct Witness {
    kept: UnixStream,
    sent: OwnedFd,
}

impl Witness {
    pub(super) fn new() -> Result<Self> {
        let (kept, sent) = UnixStream::pair()?;
        Ok(Self {
            kept,
            sent: sent.into(),
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.sent.as_fd()
    }

    /// Checks that no process holds the other end any more, including this one.
    pub(super) fn closed(self, subject: &Subject) -> Result<()> {
        drop(self.sent);
        ensure!(
            crate::os::readable(self.kept.as_fd(), subject.patience())?,
            "the server still holds the descriptor"
        );
        Ok(())
    }
}

/// Returns DEVICE_GET_INFO as a request, for checks that need any well-formed one.
pub(super) fn get_info() -> (u16, Bytes) {
    (command::DEVICE_GET_INFO, super::payload::info(16, 0))
}

/// Returns whether the other side ended the connection.
fn hung_up(error: &anyhow::Error) -> bool {
    let ends = [
        io::ErrorKind::UnexpectedEof,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::BrokenPipe,
    ];
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| ends.contains(&cause.kind()))
}

/// Attempts to connect once without waiting, since a blocking connect(2) has no time-out.
fn try_connect(path: &Path) -> Result<UnixStream, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false).map_err(|_| Errno::IO)?;
    Ok(stream)
}
