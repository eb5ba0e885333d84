//! The measuring client: messages that are packed beforehand, and nothing but the system calls.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use anyhow::{Result, bail, ensure};
use client_tests::raw::wire::{Bytes, HEADER, command, field_u32, flag, message, region};
use client_tests::raw::{RawClient, SmallWrite, write_multi};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::servers::floor::{FLOOR_REPLY, FLOOR_REQUEST};
use crate::servers::{Server, Subject};

/// More than the largest reply.
const BUFFER: usize = (1 << 20) + 4096;
/// The test function's register that only stores.
pub const SCRATCH: u64 = 4;

/// A connection to a server.
#[derive(Debug)]
pub struct Link {
    pub client: RawClient,
    /// Look for replies without sleeping.
    pub spin: bool,
    buffer: Vec<u8>,
}

impl Link {
    /// Connects to one of a server's sockets, and agrees on a version with all but the floor.
    pub fn new(subject: Subject, socket: &Path) -> Result<Self> {
        let mut client = RawClient::connect(socket)?;
        if subject != Subject::Floor {
            let json = r#"{"capabilities":{"max_msg_fds":16,"write_multiple":true}}"#;
            client.version(0, 1, Some(json))?.success()?;
            // Memory space and bus mastering.
            client.write(region::CONFIG, 4, &[6, 0])?;
        }
        Ok(Self {
            client,
            spin: false,
            buffer: vec![0; BUFFER],
        })
    }

    /// One for each socket.
    pub fn all(subject: Subject, server: &Server) -> Result<Vec<Self>> {
        let sockets = server.sockets().iter();
        sockets.map(|socket| Self::new(subject, socket)).collect()
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.client.as_fd()
    }

    /// Sends messages by one system call for as long as the socket has room.
    pub fn send(&self, bytes: &[u8]) -> Result<()> {
        let mut sent = 0;
        while sent < bytes.len() {
            sent += send(self.fd(), &bytes[sent..], SendFlags::NOSIGNAL)?;
        }
        Ok(())
    }

    /// Receives so many bytes of replies, the first of which has to report success.
    pub fn receive(&mut self, len: usize) -> Result<()> {
        let mut flags = RecvFlags::empty();
        flags.set(RecvFlags::DONTWAIT, self.spin);
        let mut received = 0;
        while received < len {
            let room = &mut self.buffer[received..];
            match recv(self.client.as_fd(), room, flags) {
                Err(Errno::AGAIN) => std::hint::spin_loop(),
                Err(error) => return Err(error.into()),
                Ok((_, 0)) => bail!("the server closed the connection"),
                Ok((_, count)) => received += count,
            }
            if received >= HEADER && field_u32(&self.buffer, 8) & flag::ERROR != 0 {
                bail!("the server refuses: errno {}", field_u32(&self.buffer, 12));
            }
        }
        ensure!(received == len, "{received} bytes came in place of {len}");
        Ok(())
    }

    /// Sends a request and receives its reply.
    pub fn exchange(&mut self, request: &Request) -> Result<()> {
        self.send(&request.bytes)?;
        self.receive(request.reply)
    }
}

/// Messages to be sent, and how many bytes answer them.
#[derive(Clone, Debug)]
pub struct Request {
    pub bytes: Vec<u8>,
    pub reply: usize,
}

impl Request {
    /// Returns the request to the floor server, in place of any other.
    pub fn floor() -> Self {
        Self {
            bytes: vec![0; FLOOR_REQUEST],
            reply: FLOOR_REPLY,
        }
    }

    pub fn read(region: u32, offset: u64, count: usize) -> Self {
        Self {
            bytes: command_bytes(command::REGION_READ, 0, &access(region, offset, count)),
            reply: HEADER + 16 + count,
        }
    }

    pub fn write(region: u32, offset: u64, count: usize) -> Self {
        let payload = access(region, offset, count).bytes(&vec![0; count]);
        Self {
            bytes: command_bytes(command::REGION_WRITE, 0, &payload),
            reply: HEADER + 16,
        }
    }

    /// A write of 4 bytes that is not answered.
    pub fn silent_write(region: u32, offset: u64) -> Self {
        let payload = access(region, offset, 4).bytes(&[0; 4]);
        Self {
            bytes: command_bytes(command::REGION_WRITE, flag::NO_REPLY, &payload),
            reply: 0,
        }
    }

    /// As many writes of 4 bytes in one message.
    pub fn write_multi(region: u32, offset: u64, count: usize) -> Self {
        let data = [0; 4];
        let write = SmallWrite {
            region,
            offset,
            data: &data,
        };
        let payload = write_multi(&vec![write; count]);
        Self {
            bytes: command_bytes(command::REGION_WRITE_MULTI, 0, &payload),
            reply: HEADER + 8,
        }
    }

    /// DEVICE_FEATURE with nothing but its flags.
    pub fn feature(flags: u32) -> Self {
        let payload = Bytes::new().u32(8).u32(flags);
        Self {
            bytes: command_bytes(command::DEVICE_FEATURE, 0, &payload),
            reply: HEADER + 8,
        }
    }

    /// It, so many times.
    pub fn times(&self, count: usize) -> Self {
        Self {
            bytes: self.bytes.repeat(count),
            reply: self.reply * count,
        }
    }
}

fn access(region: u32, offset: u64, count: usize) -> Bytes {
    Bytes::new().u64(offset).u32(region).u32(count as u32)
}

fn command_bytes(command: u16, flags: u32, payload: &[u8]) -> Vec<u8> {
    message(1, command, flag::COMMAND | flags, payload)
}
