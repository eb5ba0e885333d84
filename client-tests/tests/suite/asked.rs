//! A client that shares no memory: it serves the server's DMA commands while it waits for replies.

use std::time::Instant;

use anyhow::{Result, ensure};
use client_tests::raw::wire::dma_map::{READ, WRITE};
use client_tests::raw::wire::{Bytes, HEADER, command, field_u64, flag, header, message, region};
use client_tests::raw::{Message, PATIENCE, RawClient};

/// Address at which the memory begins.
pub const BASE: u64 = 0x10_0000;
/// Its size in bytes.
pub const SIZE: u64 = 0x10_0000;

const BUSY: u32 = 1;

/// Returns the bytes that are sent in place of the right answer to a command, perhaps none.
pub type Answer = Box<dyn FnMut(&Message) -> Vec<u8>>;

/// A client with memory that only it reaches.
pub struct Asked {
    pub client: RawClient,
    /// From [`BASE`] on.
    pub memory: Vec<u8>,
    /// Command, address and count of what was asked so far.
    pub commands: Vec<(u16, u64, u64)>,
    /// Answers the next command if there is one.
    pub odd: Option<Answer>,
    /// The most bytes of a command that are done.
    pub most: u64,
}

impl Asked {
    /// Takes a client over whose function may do DMA. Nothing is mapped yet.
    pub fn new(mut client: RawClient) -> Self {
        client.write(region::CONFIG, 4, &[6, 0]).unwrap();
        Self {
            client,
            memory: (0..SIZE).map(|at| (at * 7 % 251) as u8).collect(),
            commands: Vec::new(),
            odd: None,
            most: u64::MAX,
        }
    }

    /// Maps a range without a file.
    pub fn map(&mut self, address: u64, size: u64) {
        let reply = self.client.dma_map(READ | WRITE, 0, address, size, None);
        reply.unwrap().success().unwrap();
    }

    /// Sends a command and serves the server's until the reply is there.
    pub fn request(&mut self, number: u16, payload: &[u8]) -> Result<Message> {
        let id = self.client.post(number, flag::COMMAND, payload, &[])?;
        self.reply(id)
    }

    /// Serves the server's commands until the reply to the client's is there.
    pub fn reply(&mut self, id: u16) -> Result<Message> {
        loop {
            let message = self.client.receive()?;
            if message.flags & flag::TYPE == flag::REPLY {
                ensure!(
                    message.id == id,
                    "expected reply {id}, received {message:?}"
                );
                return Ok(message);
            }
            self.serve(&message)?;
        }
    }

    /// Answers a command of the server's.
    pub fn serve(&mut self, message: &Message) -> Result<()> {
        let answer = match self.odd.take() {
            Some(mut answer) => answer(message),
            None => self.answer(message)?,
        };
        Ok(self.client.send(&answer, &[])?)
    }

    /// The right answer to a command.
    pub fn answer(&mut self, asked: &Message) -> Result<Vec<u8>> {
        let payload = &asked.payload;
        let (address, count) = (field_u64(payload, 0), field_u64(payload, 8));
        let size = match asked.command {
            command::DMA_READ => 16,
            _ => 16 + count,
        };
        ensure!(asked.flags == flag::COMMAND, "{asked:?} is no command");
        ensure!(payload.len() as u64 == size, "{asked:?} has another size");
        self.commands.push((asked.command, address, count));
        let count = count.min(self.most);
        let at = (address - BASE) as usize;
        let place = self.memory.get_mut(at..at + count as usize);
        let reply = Bytes::new().u64(address).u64(count);
        let reply = match (asked.command, place) {
            (_, None) => return Ok(error(asked, EFAULT)),
            (command::DMA_READ, Some(place)) => reply.bytes(place),
            (_, Some(place)) => {
                place.copy_from_slice(&payload[16..16 + count as usize]);
                reply
            }
        };
        Ok(message(asked.id, asked.command, flag::REPLY, &reply))
    }

    /// Writes to a register of the copy engine.
    pub fn register(&mut self, offset: u64, value: u64, width: usize) {
        let value = &value.to_le_bytes()[..width];
        let access = Bytes::new().u64(offset).u32(0).u32(width as u32);
        let reply = self.request(command::REGION_WRITE, &access.bytes(value));
        reply.unwrap().success().unwrap();
    }

    /// Reads a region.
    pub fn read(&mut self, region: u32, offset: u64, count: u32) -> Vec<u8> {
        let access = Bytes::new().u64(offset).u32(region).u32(count);
        let reply = self.request(command::REGION_READ, &access);
        reply.unwrap().success().unwrap().split_off(16)
    }

    /// Starts copies. No command of the server's comes before they are started.
    pub fn start(&mut self, from: u64, to: u64, len: u32, count: u32) {
        self.register(0x20, from, 8);
        self.register(0x28, to, 8);
        self.register(0x30, len.into(), 4);
        self.register(0x34, count.into(), 4);
        let access = Bytes::new().u64(0x38).u32(0).u32(4).u32(1);
        // The reply comes first: nothing is asked for before the device was told to begin.
        let reply = self.client.request(command::REGION_WRITE, &access, &[]);
        reply.unwrap().success().unwrap();
    }

    /// The copy engine's status.
    pub fn status(&mut self) -> u32 {
        u32::from_le_bytes(self.read(0, 0x3c, 4).try_into().unwrap())
    }

    /// Waits until the copies are over. Their error code, 0 for none.
    pub fn outcome(&mut self) -> u32 {
        let begun = Instant::now();
        loop {
            let status = self.status();
            if status & BUSY == 0 {
                return status >> 8 & 0xff;
            }
            assert!(begun.elapsed() < 4 * PATIENCE, "busy still: {status:#x}");
        }
    }

    /// One copy from its start to its end.
    pub fn copy(&mut self, from: u64, to: u64, len: u32) -> u32 {
        self.start(from, to, len, 1);
        self.outcome()
    }
}

/// The address is not mapped.
pub const EFAULT: u32 = 14;
/// There is no such command.
pub const ENOSYS: u32 = 38;

/// An error reply.
pub fn error(asked: &Message, errno: u32) -> Vec<u8> {
    let flags = flag::REPLY | flag::ERROR;
    header(asked.id, asked.command, HEADER as u32, flags, errno).into()
}
