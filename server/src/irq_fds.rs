//! The eventfds that a function's clients have bound. They are the function's, whichever client they
//! came from, as they are the device's in the kernel.

use std::io;
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use vfio_user_protocol::vfio::IrqIndex;

use crate::eventfd::EventFd;

/// The eventfds of a function: triggers of the vectors, the wake-up notice, and the resample eventfd of
/// INTx.
#[derive(Debug, Default)]
pub(crate) struct IrqFds {
    triggers: [Vec<Option<EventFd>>; IrqIndex::ALL.len()],
    resample: Option<EventFd>,
    wakeup: Option<EventFd>,
}

impl IrqFds {
    /// Binds a vector that the index is known to have.
    pub(crate) fn bind(&mut self, index: IrqIndex, vector: u32, fd: EventFd) {
        let (triggers, vector) = (self.triggers(index), vector as usize);
        if triggers.len() <= vector {
            triggers.resize_with(vector + 1, || None);
        }
        if let Some(trigger) = triggers.get_mut(vector) {
            *trigger = Some(fd);
        }
    }

    /// Unbinds a vector.
    pub(crate) fn unbind(&mut self, index: IrqIndex, vector: u32) {
        if let Some(trigger) = self.triggers(index).get_mut(vector as usize) {
            *trigger = None;
        }
    }

    /// Unbinds all vectors of an index.
    pub(crate) fn unbind_all(&mut self, index: IrqIndex) {
        *self.triggers(index) = Vec::new();
    }

    /// Returns whether an eventfd for INTx that is to be set, the resample eventfd or else the trigger, is
    /// the other one. Each interrupt would cause the next without end.
    pub(crate) fn feeds_itself(&self, fd: &EventFd, is_resample: bool) -> bool {
        let triggers = &self.triggers[IrqIndex::Intx as usize];
        let other = if is_resample {
            triggers.first().and_then(Option::as_ref)
        } else {
            self.resample.as_ref()
        };
        other.is_some_and(|other| fd.is(other))
    }

    /// Signals the eventfd that is bound to the vector. Returns `false` if none is.
    pub(crate) fn signal(&mut self, index: IrqIndex, vector: u32) -> bool {
        match self.triggers(index).get(vector as usize) {
            Some(Some(fd)) => {
                fd.signal();
                true
            }
            _ => false,
        }
    }

    /// Withdraws the signal of the eventfd that is bound to the vector. Returns `false` if the client has
    /// read it already, or no eventfd is bound.
    pub(crate) fn withdraw(&mut self, index: IrqIndex, vector: u32) -> bool {
        let trigger = self.triggers(index).get(vector as usize);
        matches!(trigger, Some(Some(fd)) if fd.drain())
    }

    /// Sets or removes the resample eventfd and has it watched.
    ///
    /// # Errors
    /// It cannot be watched; none is set then.
    pub(crate) fn set_resample(
        &mut self,
        registry: &Registry,
        token: Token,
        fd: Option<EventFd>,
    ) -> io::Result<()> {
        if let Some(old) = self.resample.take() {
            // The client has the file open, too, so closing it would not end the watch.
            registry.deregister(&mut SourceFd(&old.as_raw_fd()))?;
        }
        if let Some(fd) = fd {
            registry.register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
            self.resample = Some(fd);
        }
        Ok(())
    }

    /// Keeps the eventfd that is to be signalled, once, when the device wakes.
    pub(crate) fn arm_wakeup(&mut self, fd: EventFd) {
        self.wakeup = Some(fd);
    }

    /// Lets go of the wake-up eventfd, after telling its owner if `signal`.
    pub(crate) fn end_low_power(&mut self, signal: bool) {
        if let Some(fd) = self.wakeup.take().filter(|_| signal) {
            fd.signal();
        }
    }

    /// Lets go of everything and ends the watch over the resample eventfd.
    ///
    /// # Errors
    /// The watch could not be ended.
    pub(crate) fn drop_all(&mut self, registry: &Registry, resample: Token) -> io::Result<()> {
        let unwatched = self.set_resample(registry, resample, None);
        *self = Self::default();
        unwatched
    }

    /// Returns whether a client has signalled the resample eventfd since the last call.
    pub(crate) fn resampled(&self) -> bool {
        self.resample.as_ref().is_some_and(EventFd::drain)
    }

    fn triggers(&mut self, index: IrqIndex) -> &mut Vec<Option<EventFd>> {
        // One element for each index of the enumeration.
        &mut self.triggers[index as usize]
    }
}
