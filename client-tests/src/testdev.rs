//! A driver of the test function `testdev`: its registers, its copy engine and its messages.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use anyhow::{Result, ensure};

use crate::os::Event;
use crate::raw::wire::device_feature::SET;
use crate::raw::wire::set_irqs::{ACTION_TRIGGER, DATA_EVENTFD};
use crate::raw::wire::{irq, region};
use crate::raw::{PATIENCE, RawClient, SetIrqs};

/// Registers of BAR 0.
pub mod register {
    #![expect(missing_docs, reason = "the names are the test function's")]
    pub const SCRATCH: u64 = 0x04;
    pub const IRQ_TRIGGER: u64 = 0x08;
    pub const RESETS: u64 = 0x18;
    pub const IRQ_ACK: u64 = 0x1c;
    pub const DMA_SRC: u64 = 0x20;
    pub const DMA_DST: u64 = 0x28;
    pub const DMA_LEN: u64 = 0x30;
    pub const DMA_COUNT: u64 = 0x34;
    pub const DMA_CTRL: u64 = 0x38;
    pub const DMA_STATUS: u64 = 0x3c;
}

/// Number of its MSI-X vectors.
pub const VECTORS: u32 = 16;
/// Capability id of Power Management.
pub const PM: u8 = 0x01;
/// Capability id of MSI-X.
pub const MSIX: u8 = 0x11;
/// Capability id of PCI Express.
pub const PCIE: u8 = 0x10;
/// Upper byte of MSI-X Message Control, from the capability's start: MSI-X Enable is its bit 7.
const MESSAGE_CONTROL_HIGH: u64 = 3;

/// A client that drives the test function.
#[derive(Debug)]
pub struct Driver {
    /// Its connection.
    pub client: RawClient,
    config: Vec<u8>,
}

impl Driver {
    /// Connects, and enables memory and bus mastering.
    ///
    /// # Errors
    /// The server refuses something or does not answer.
    pub fn attach(socket: &Path) -> Result<Self> {
        let mut client = RawClient::attach(socket)?;
        let config = client.read(region::CONFIG, 0, 256)?;
        let mut driver = Self { client, config };
        driver.enable()?;
        Ok(driver)
    }

    /// Enables memory and bus mastering.
    ///
    /// # Errors
    /// The server refuses something or does not answer.
    pub fn enable(&mut self) -> Result<()> {
        self.client.write(region::CONFIG, 4, &[6, 0])
    }

    /// Returns the offset of a capability.
    ///
    /// # Errors
    /// The capability does not exist.
    pub fn capability(&self, id: u8) -> Result<u64> {
        let byte = |at: usize| self.config.get(at).copied().unwrap_or(0);
        let mut at = usize::from(byte(0x34));
        while at != 0 && byte(at) != id {
            at = usize::from(byte(at + 1));
        }
        ensure!(at != 0, "there is no capability {id:#x}");
        Ok(at as u64)
    }

    /// Binds an eventfd to each vector of an index.
    ///
    /// # Errors
    /// The server refuses something or does not answer.
    pub fn bind(&mut self, index: u32, count: u32) -> Result<Vec<Event>> {
        let events: Vec<Event> = (0..count).map(|_| Event::new()).collect::<Result<_, _>>()?;
        let fds: Vec<BorrowedFd<'_>> = events.iter().map(Event::as_fd).collect();
        let request = SetIrqs {
            flags: DATA_EVENTFD | ACTION_TRIGGER,
            index,
            count,
            ..SetIrqs::default()
        };
        self.client.set_irqs(request, &fds)?.success()?;
        Ok(events)
    }

    /// Turns MSI-X on or off.
    ///
    /// # Errors
    /// The server refuses something or does not answer.
    pub fn enable_msix(&mut self, on: bool) -> Result<()> {
        let control = self.capability(MSIX)? + MESSAGE_CONTROL_HIGH;
        self.client
            .write(region::CONFIG, control, &[u8::from(on) << 7])
    }

    /// Connects, enables MSI-X and binds all its vectors.
    ///
    /// # Errors
    /// The server refuses something or does not answer.
    pub fn with_messages(socket: &Path) -> Result<(Self, Vec<Event>)> {
        let mut driver = Self::attach(socket)?;
        let events = driver.bind(irq::MSIX, VECTORS)?;
        driver.enable_msix(true)?;
        Ok((driver, events))
    }

    /// Reads a register.
    ///
    /// # Errors
    /// The server refuses something or does not answer.
    pub fn register(&mut self, offset: u64) -> Result<u32> {
        let bytes = self.client.read(0, offset, 4)?;
        Ok(u32::from_le_bytes(bytes.try_into().unwrap_or_default()))
    }

    /// Writes a register.
    ///
    /// # Errors
    /// The server refuses something or does not answer.
    pub fn set_register(&mut self, offset: u64, value: u32) -> Result<()> {
        self.client.write(0, offset, &value.to_le_bytes())
    }

    /// Programs the copy engine, with a message at the end of the job. The job does not start yet.
    ///
    /// # Errors
    /// The server refuses something or does not answer.
    pub fn prepare_copy(&mut self, from: u64, to: u64, len: u32, count: u32) -> Result<()> {
        self.client
            .write(0, register::DMA_SRC, &from.to_le_bytes())?;
        self.client.write(0, register::DMA_DST, &to.to_le_bytes())?;
        self.set_register(register::DMA_LEN, len)?;
        self.set_register(register::DMA_COUNT, count)
    }

    /// Sets a device feature without data.
    ///
    /// # Errors
    /// The server refuses something or does not answer.
    pub fn set_feature(&mut self, feature: u32, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let data: &[u8] = if fds.is_empty() { &[] } else { &[0; 8] };
        let argsz = 8 + data.len() as u32;
        let reply = self
            .client
            .device_feature(argsz, SET | feature, data, fds)?;
        reply.success().map(drop)
    }
}

/// Returns the value of `DMA_CTRL` that starts a job, with a message of that vector at the end.
#[must_use]
pub const fn go(vector: u32) -> u32 {
    1 | 2 | vector << 8
}

/// Returns the number of signals of `event`, after the first has come or the time for it is over.
///
/// # Errors
/// The eventfd cannot be read.
pub fn signals(event: &Event) -> Result<u64> {
    Ok(event.take_within(PATIENCE)?)
}
