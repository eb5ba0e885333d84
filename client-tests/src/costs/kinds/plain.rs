//! Accesses to regions.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;

use anyhow::Result;
use rustix::net::{Shutdown, shutdown};

use super::super::server::Places;
use super::super::{Answer, Ask};
use super::{answer, attach};
use crate::raw::RawClient;
use crate::raw::wire::{Bytes, command, flag, message, region};

/// RAM of the test function.
const RAM: u32 = 2;

/// Reads of a DWORD of config space, `size` at once, and the next as soon as there is room for them:
/// a thread of its own takes the replies.
pub(super) fn reads(places: &Places) -> Result<Ask> {
    let client = attach(places)?;
    let replies = client.as_fd().try_clone_to_owned()?;
    thread::spawn(move || {
        let mut replies = UnixStream::from(replies);
        // They end with the connection.
        let _ = io::copy(&mut replies, &mut io::sink());
    });
    let access = Bytes::new().u64(0).u32(region::CONFIG).u32(4);
    let read = message(1, command::REGION_READ, flag::COMMAND, &access);
    let client = Flood(client);
    Ok(Box::new(move |size| {
        client.0.send(&read.repeat(size as usize), &[])?;
        Ok(Answer::Served)
    }))
}

/// A client whose replies another thread takes as long as it exists.
struct Flood(RawClient);

impl Drop for Flood {
    fn drop(&mut self) {
        // The other thread has the socket, too. If the server is gone, it has ended already.
        let _ = shutdown(self.0.as_fd(), Shutdown::Both);
    }
}

/// A read of `size` bytes.
pub(super) fn large_reads(places: &Places) -> Result<Ask> {
    let mut client = attach(places)?;
    Ok(Box::new(move |size| {
        let reply = client.region_read(RAM, 0, u32::try_from(size)?)?;
        Ok(answer(&reply))
    }))
}

/// A write of `size` bytes. One that is too large ends the connection.
pub(super) fn large_writes(places: &Places) -> Result<Ask> {
    const EINVAL: u32 = 22;
    let places = places.clone();
    let mut client = attach(&places)?;
    Ok(Box::new(move |size| {
        let data = vec![1; usize::try_from(size)?];
        match client.region_write(RAM, 0, &data) {
            Ok(reply) if reply.errno().is_none() => Ok(Answer::Served),
            Ok(_) | Err(_) => {
                client = attach(&places)?;
                Ok(Answer::Refused(EINVAL))
            }
        }
    }))
}
