//! Interrupts, with eventfds.

use std::os::fd::{AsFd, BorrowedFd};

use vfio_user_protocol::Command;
use vfio_user_protocol::messages::irq_info;
use vfio_user_protocol::messages::set_irqs::{Action, Data, Request};

use super::{Client, ClientError, Memory};

impl<M: Memory> Client<M> {
    /// Returns the number and the properties of an interrupt type's vectors.
    ///
    /// # Errors
    /// There is no such type, or another [`ClientError`].
    pub fn irq_info(&mut self, index: u32) -> Result<irq_info::Reply, ClientError> {
        let command = Command::DeviceGetIrqInfo;
        let request = irq_info::Request { argsz: 16, index };
        let answer = self.request(command, &[], |body| request.encode(body))?;
        let reply = irq_info::Reply::parse(&answer.payload)?;
        if reply.index != index {
            return Err(ClientError::Mismatch { command });
        }
        Ok(reply)
    }

    /// Binds an eventfd to each vector from `start` on, which is signalled when the vector fires.
    ///
    /// ```
    /// # use dormouse::testing::Function;
    /// # use rustix::event::{EventfdFlags, eventfd};
    /// let served = Function::profile("testdev").start()?;
    /// let mut client = served.client()?;
    /// let fd = eventfd(0, EventfdFlags::NONBLOCK)?;
    /// // MSI-X, vector 0; then the device is asked for an interrupt.
    /// client.bind_irqs(2, 0, &[&fd])?;
    /// client.trigger_irqs(2, 0, 1)?;
    /// let mut counter = [0; 8];
    /// rustix::io::read(&fd, &mut counter)?;
    /// assert_eq!(u64::from_ne_bytes(counter), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The server refuses the vectors or the descriptors, or another [`ClientError`].
    pub fn bind_irqs(
        &mut self,
        index: u32,
        start: u32,
        eventfds: &[impl AsFd],
    ) -> Result<(), ClientError> {
        let files: Vec<BorrowedFd<'_>> = eventfds.iter().map(AsFd::as_fd).collect();
        let request = Request {
            action: Action::Trigger,
            data: Data::Eventfd,
            index,
            start,
            count: files.len() as u32,
        };
        self.set_irqs(&request, &files)
    }

    /// Removes the eventfds of vectors.
    ///
    /// # Errors
    /// The server refuses the vectors, or another [`ClientError`].
    pub fn unbind_irqs(&mut self, index: u32, start: u32, count: u32) -> Result<(), ClientError> {
        self.vectors(Action::Trigger, Data::Eventfd, index, start, count)
    }

    /// Switches an interrupt type off and removes all its eventfds.
    ///
    /// # Errors
    /// The server refuses the type, or another [`ClientError`].
    pub fn disable_irqs(&mut self, index: u32) -> Result<(), ClientError> {
        self.vectors(Action::Trigger, Data::None, index, 0, 0)
    }

    /// Fires vectors, as the device would.
    ///
    /// # Errors
    /// The server refuses the vectors, or another [`ClientError`].
    pub fn trigger_irqs(&mut self, index: u32, start: u32, count: u32) -> Result<(), ClientError> {
        self.vectors(Action::Trigger, Data::None, index, start, count)
    }

    /// Masks vectors.
    ///
    /// # Errors
    /// The server refuses the vectors, or another [`ClientError`].
    pub fn mask_irqs(&mut self, index: u32, start: u32, count: u32) -> Result<(), ClientError> {
        self.vectors(Action::Mask, Data::None, index, start, count)
    }

    /// Unmasks vectors.
    ///
    /// # Errors
    /// The server refuses the vectors, or another [`ClientError`].
    pub fn unmask_irqs(&mut self, index: u32, start: u32, count: u32) -> Result<(), ClientError> {
        self.vectors(Action::Unmask, Data::None, index, start, count)
    }

    /// Binds the eventfd of an interrupt type's first vector that unmasks it when it is signalled, or
    /// removes it.
    ///
    /// # Errors
    /// The server refuses the descriptor, or another [`ClientError`].
    pub fn set_resample(
        &mut self,
        index: u32,
        eventfd: Option<BorrowedFd<'_>>,
    ) -> Result<(), ClientError> {
        let request = Request {
            action: Action::Unmask,
            data: Data::Eventfd,
            index,
            start: 0,
            count: 1,
        };
        self.set_irqs(&request, eventfd.as_slice())
    }

    /// Sends DEVICE_SET_IRQS in any of its forms.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn set_irqs(
        &mut self,
        request: &Request<'_>,
        eventfds: &[BorrowedFd<'_>],
    ) -> Result<(), ClientError> {
        self.request(Command::DeviceSetIrqs, eventfds, |body| {
            request.encode(body);
        })
        .map(drop)
    }

    fn vectors(
        &mut self,
        action: Action,
        data: Data<'_>,
        index: u32,
        start: u32,
        count: u32,
    ) -> Result<(), ClientError> {
        let request = Request {
            action,
            data,
            index,
            start,
            count,
        };
        self.set_irqs(&request, &[])
    }
}
