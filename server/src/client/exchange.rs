//! A request and its reply, and the commands of the server that come in between.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use vfio_user_protocol::messages::dma_access::{ReadReply, ReadRequest, WriteReply, WriteRequest};
use vfio_user_protocol::{Command, Encoder, Errno, MessageType, respond};

use super::channel::{Channel, Message, wait};
use super::{Client, ClientError, Memory};

/// A successful reply.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) payload: Vec<u8>,
    pub(super) files: Vec<OwnedFd>,
}

impl<M> Client<M> {
    /// Returns the id for the next command.
    const fn next_id(&mut self) -> u16 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }
}

impl<M: Memory> Client<M> {
    /// Sends a command and waits for its reply. Meanwhile the server's own commands are answered.
    pub(super) fn request(
        &mut self,
        command: Command,
        files: &[BorrowedFd<'_>],
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Answer, ClientError> {
        let deadline = self
            .options
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        let id = self.next_id();
        let mut message = Vec::new();
        let mut encoder = Encoder::command(&mut message, id, command);
        body(encoder.body());
        encoder.finish()?;
        self.main.send(&message, files)?;
        loop {
            while let Some(message) = self.main.next_message()? {
                if let Some(answer) = self.handle(message, id, command)? {
                    return Ok(answer);
                }
            }
            self.serve_twin()?;
            if !self.wait(deadline)? {
                return Err(ClientError::TimedOut { command });
            }
        }
    }

    /// Answers the server's DMA_READ and DMA_WRITE from the [memory](Self::memory), until none has come
    /// for `idle`. Returns the number that were answered.
    ///
    /// # Errors
    /// The server closed the connection, or another [`ClientError`].
    pub fn serve_dma(&mut self, idle: Duration) -> Result<usize, ClientError> {
        let mut served = 0;
        loop {
            while let Some(message) = self.main.next_message()? {
                // Nothing is waited for: a reply is one that came too late.
                if message.header.flags.message_type() == Some(MessageType::Command) {
                    answer_dma(
                        &self.main,
                        &message,
                        &mut self.memory,
                        self.options.max_transfer(),
                    )?;
                    served += 1;
                }
            }
            served += self.serve_twin()?;
            if !self.wait(Instant::now().checked_add(idle))? {
                return Ok(served);
            }
        }
    }

    /// Returns the answer in `message` if it is the reply to the command `id`, and otherwise deals with
    /// it: a command of the server is answered, a reply to a command that timed out is dropped.
    fn handle(
        &mut self,
        message: Message,
        id: u16,
        command: Command,
    ) -> Result<Option<Answer>, ClientError> {
        let header = &message.header;
        if header.flags.message_type() == Some(MessageType::Command) {
            let max_transfer = self.options.max_transfer();
            answer_dma(&self.main, &message, &mut self.memory, max_transfer)?;
            return Ok(None);
        }
        if header.message_id != id {
            return Ok(None);
        }
        if header.command != command.number() {
            return Err(ClientError::Mismatch { command });
        }
        match header.failure() {
            Some(errno) => Err(ClientError::Refused { command, errno }),
            None => Ok(Some(Answer {
                payload: message.payload,
                files: message.files,
            })),
        }
    }

    /// Answers the commands that have come on the second socket, and returns their number.
    fn serve_twin(&mut self) -> Result<usize, ClientError> {
        let mut served = 0;
        if let Some(twin) = &mut self.twin {
            while let Some(message) = twin.next_message()? {
                answer_dma(
                    twin,
                    &message,
                    &mut self.memory,
                    self.options.max_transfer(),
                )?;
                served += 1;
            }
        }
        Ok(served)
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Result<bool, ClientError> {
        match &mut self.twin {
            Some(twin) => wait(&mut [&mut self.main, twin], deadline),
            None => wait(&mut [&mut self.main], deadline),
        }
    }
}

/// Answers a command of the server on the socket that it came from.
fn answer_dma(
    channel: &Channel,
    message: &Message,
    memory: &mut impl Memory,
    max_transfer: u32,
) -> Result<(), ClientError> {
    let mut reply = Vec::new();
    respond(&mut reply, &message.header, |body| {
        match Command::try_from(message.header.command) {
            Ok(Command::DmaRead) => {
                let request = ReadRequest::parse(&message.payload).map_err(|e| e.errno())?;
                if request.count > u64::from(max_transfer) {
                    return Err(Errno::EINVAL);
                }
                // The count fits: it is at most a `u32`.
                let mut data = vec![0; request.count as usize];
                memory.read(request.address, &mut data)?;
                let reply = ReadReply {
                    address: request.address,
                    data: &data,
                };
                reply.encode(body);
                Ok(())
            }
            Ok(Command::DmaWrite) => {
                let request = WriteRequest::parse(&message.payload).map_err(|e| e.errno())?;
                memory.write(request.address, request.data)?;
                let reply = WriteReply {
                    address: request.address,
                    count: request.data.len() as u64,
                };
                reply.encode(body);
                Ok(())
            }
            _ => Err(Errno::EINVAL),
        }
    });
    if reply.is_empty() {
        return Ok(());
    }
    channel.send(&reply, &[])
}
