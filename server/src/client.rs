//! A blocking vfio-user client.
//!
//! A [`Client`] connects to a server, this project's or another, and asks it as a VMM does: device,
//! regions, interrupts, DMA, device features, migration, reset. It uses the server's codec
//! ([`crate::protocol`]), has one request outstanding at a time, and takes no more from the server than
//! it has announced.
//!
//! ```
//! use std::time::Duration;
//!
//! use dormouse::testing::Function;
//!
//! let served = Function::profile("testdev").start()?;
//! let mut client = served.client()?;
//! assert_eq!(client.device_info()?.num_regions, 9);
//! // Memory space on, then a register of BAR0.
//! client.write_u16(7, 0x04, 0x0002)?;
//! client.write_u32(0, 0x04, 0x5afe)?;
//! assert_eq!(client.read_u32(0, 0x04)?, 0x5afe);
//! // Beyond the end of BAR0.
//! let error = client.read_u32(0, 0x1000).unwrap_err();
//! assert_eq!(error.errno(), dormouse::protocol::Errno::EINVAL);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | what | methods |
//! |---|---|
//! | device | [`device_info`](Client::device_info), [`reset`](Client::reset) |
//! | regions | [`region`](Client::region), [`read`](Client::read), [`write`](Client::write), and one for each width |
//! | interrupts | [`irq_info`](Client::irq_info), [`bind_irqs`](Client::bind_irqs), [`mask_irqs`](Client::mask_irqs) … |
//! | DMA | [`map`](Client::map), [`map_file`](Client::map_file), [`unmap`](Client::unmap), [`serve_dma`](Client::serve_dma) |
//! | device features | [`low_power_entry`](Client::low_power_entry) …, [`feature_get`](Client::feature_get) … |
//! | migration | [`device_state`](Client::device_state), [`read_migration_data`](Client::read_migration_data) … |
//!
//! Memory that is mapped without a file is reached by DMA_READ and DMA_WRITE. The client answers these
//! from its [`Memory`] while it waits for a reply, and in [`Client::serve_dma`].

mod channel;
mod dma;
mod error;
mod exchange;
mod feature;
mod irq;
mod memory;
mod migration;
mod options;
mod region;

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use vfio_user_protocol::Command;
use vfio_user_protocol::messages::device_info;
use vfio_user_protocol::messages::version::{PeerLimits, Proposal, Reply};

pub use error::ClientError;
pub use memory::{Memory, NoMemory, Ram};
pub use options::Options;
pub use region::Region;

use channel::Channel;

/// A connection to a vfio-user server that has agreed on a version.
///
/// The server closes the device when the client is dropped.
#[derive(Debug)]
pub struct Client<M = NoMemory> {
    main: Channel,
    /// The second socket, for commands of the server, if both sides wanted one.
    twin: Option<Channel>,
    options: Options,
    next_id: u16,
    agreed: Reply,
    memory: M,
}

impl Client {
    /// Connects to the server at `path`, with the default [`Options`].
    ///
    /// # Errors
    /// Nothing listens there, or the server does not accept the version.
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(ClientError::Socket)?;
        Self::over(stream, Options::default())
    }

    /// Agrees on a version over a connected socket.
    ///
    /// # Errors
    /// The server does not accept the version, or the socket fails.
    pub fn over(stream: UnixStream, options: Options) -> Result<Self, ClientError> {
        let (major, minor) = options.version;
        let proposal = Proposal::new(major, minor, options.capabilities.clone());
        let mut client = Self {
            main: Channel::new(stream.into(), &options)?,
            twin: None,
            next_id: 0,
            agreed: Reply {
                major,
                minor,
                capabilities: None,
            },
            options,
            memory: NoMemory,
        };
        let answer = client.request(Command::Version, &[], |body| proposal.encode(body))?;
        client.agreed = Reply::parse(&answer.payload)?;
        let twin = (client.agreed.capabilities.as_ref()).and_then(|agreed| agreed.twin_socket);
        if let Some(index) = twin.and_then(|twin| twin.fd_index) {
            let mut files = answer.files.into_iter();
            let socket = files.nth(index as usize).ok_or(ClientError::Descriptors)?;
            client.twin = Some(Channel::new(socket, &client.options)?);
        }
        Ok(client)
    }

    /// Sets the memory from which DMA_READ and DMA_WRITE are answered.
    #[must_use]
    pub fn with_memory<M: Memory>(self, memory: M) -> Client<M> {
        Client {
            main: self.main,
            twin: self.twin,
            options: self.options,
            next_id: self.next_id,
            agreed: self.agreed,
            memory,
        }
    }
}

impl<M: Memory> Client<M> {
    /// Returns the version and capabilities that hold.
    #[must_use]
    pub const fn agreed(&self) -> &Reply {
        &self.agreed
    }

    /// Returns the limits of the server, defaults filled in.
    #[must_use]
    pub fn limits(&self) -> PeerLimits {
        self.agreed.limits()
    }

    /// Returns the largest number of bytes in one access: the server's limit or the client's own.
    #[must_use]
    pub fn max_transfer(&self) -> u32 {
        let server = self.limits().max_data_xfer_size;
        server.min(self.options.max_transfer()).max(1)
    }

    /// Returns the memory from which DMA_READ and DMA_WRITE are answered.
    #[must_use]
    pub const fn memory(&self) -> &M {
        &self.memory
    }

    /// Returns the memory from which DMA_READ and DMA_WRITE are answered, for changes.
    pub const fn memory_mut(&mut self) -> &mut M {
        &mut self.memory
    }

    /// Returns the socket, to wait on until the server has sent something.
    #[must_use]
    pub fn socket(&self) -> impl AsFd + '_ {
        self.main.socket()
    }

    /// Returns the second socket, on which the server sends its commands, if there is one.
    #[must_use]
    pub fn twin_socket(&self) -> Option<impl AsFd + '_> {
        self.twin.as_ref().map(Channel::socket)
    }

    /// Returns the device's properties and its numbers of regions and interrupt types.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn device_info(&mut self) -> Result<device_info::Reply, ClientError> {
        let request = device_info::Request { argsz: 16 };
        let answer = self.request(Command::DeviceGetInfo, &[], |body| request.encode(body))?;
        Ok(device_info::Reply::parse(&answer.payload)?)
    }

    /// Resets the device.
    ///
    /// # Errors
    /// The device cannot be reset, or another [`ClientError`].
    pub fn reset(&mut self) -> Result<(), ClientError> {
        self.request(Command::DeviceReset, &[], |_| {}).map(drop)
    }
}
