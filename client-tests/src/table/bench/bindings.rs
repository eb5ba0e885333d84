//! The descriptors that a client gives to the server: eventfds and memory.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::Function;
use crate::control::Control;
use crate::os::{Event, Memory};
use crate::raw::wire::{dma_map, set_irqs};
use crate::raw::{RawClient, SetIrqs};
use crate::table::step::Signal;

impl Function {
    /// Goes on with the function that another server has restored. Its client binds the eventfds and
    /// maps the memory anew that the server before had.
    pub(in crate::table) fn go_on_at(&mut self, socket: PathBuf, control: Control) -> Result<()> {
        ensure!(self.second.is_none(), "the second client cannot go on");
        self.events.extend(self.control.events()?);
        self.socket = socket;
        self.control = control;
        self.control.command(&["subscribe"])?;
        if self.client.take().is_none() {
            return Ok(());
        }
        self.client = Some(RawClient::attach(&self.socket)?);
        for (index, events) in self.signals.by_index() {
            let fds: Vec<BorrowedFd<'_>> = events.iter().map(|event| event.as_fd()).collect();
            let client = self.client.as_mut().context("it connected just now")?;
            client
                .set_irqs(triggers(index, fds.len()), &fds)?
                .success()?;
        }
        if let Some(event) = &self.resample {
            let client = self.client.as_mut().context("it connected just now")?;
            client.set_irqs(resampling(), &[event.as_fd()])?.success()?;
        }
        let client = self.client.as_mut().context("it connected just now")?;
        for (address, memory) in &self.memory {
            let size = memory.size()?;
            let reply = client.dma_map(READ_WRITE, 0, *address, size, Some(memory.as_fd()))?;
            reply.success()?;
        }
        for region in self.shared.keys().copied().collect::<Vec<_>>() {
            self.share(region)?;
        }
        Ok(())
    }

    pub(super) fn bind(&mut self, index: u32, count: u32) -> Result<()> {
        let events: Vec<Event> = (0..count).map(|_| Event::new()).collect::<Result<_, _>>()?;
        let fds: Vec<BorrowedFd<'_>> = events.iter().map(Event::as_fd).collect();
        let request = triggers(index, fds.len());
        self.client()?.set_irqs(request, &fds)?.success()?;
        for (vector, event) in (0..).zip(events) {
            self.signals.add(Signal::Vector(index, vector), event)?;
        }
        Ok(())
    }

    pub(super) fn bind_resample(&mut self) -> Result<()> {
        let event = Event::new()?;
        let reply = self.client()?.set_irqs(resampling(), &[event.as_fd()])?;
        reply.success()?;
        self.resample = Some(event);
        Ok(())
    }

    pub(super) fn shared(&self, region: u32) -> Result<&Memory> {
        let shared = self.shared.get(&region);
        shared.context("the client has no file of this BAR; `share` it first")
    }

    /// Returns the memory that contains bus address `address`, and the offset in it.
    pub(super) fn memory(&self, address: u64) -> Result<(&Memory, u64)> {
        let below = self.memory.range(..=address).next_back();
        let (start, memory) = below.with_context(|| format!("nothing is mapped at {address:x}"))?;
        Ok((memory, address - start))
    }

    pub(super) fn share(&mut self, region: u32) -> Result<()> {
        let mut reply = self.client()?.get_region_info(region)?;
        let fd = reply.fds.pop().context("no file came with the reply")?;
        reply.success()?;
        self.shared.insert(region, fd.into());
        Ok(())
    }

    pub(super) fn map(&mut self, address: u64, size: u64) -> Result<()> {
        let memory = Memory::new(size)?;
        let fd = Some(memory.as_fd());
        let reply = self.client()?.dma_map(READ_WRITE, 0, address, size, fd)?;
        reply.success()?;
        self.memory.insert(address, memory);
        Ok(())
    }
}

/// The flags of memory that the device may read and write.
const READ_WRITE: u32 = dma_map::READ | dma_map::WRITE;

/// Returns the request that binds an eventfd to each of the first vectors.
fn triggers(index: u32, vectors: usize) -> SetIrqs<'static> {
    SetIrqs {
        flags: set_irqs::DATA_EVENTFD | set_irqs::ACTION_TRIGGER,
        index,
        count: vectors as u32,
        ..SetIrqs::default()
    }
}

/// Returns the request that binds the eventfd that unmasks INTx.
fn resampling() -> SetIrqs<'static> {
    SetIrqs {
        flags: set_irqs::DATA_EVENTFD | set_irqs::ACTION_UNMASK,
        count: 1,
        ..SetIrqs::default()
    }
}
