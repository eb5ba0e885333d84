//! The cost of the socket by itself: one receive and one send for each request, whose bytes nobody
//! parses.
//! Descriptors that come along are closed. What a server does besides can be added.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::event::epoll;
use rustix::fs::{fcntl_getfl, fstat};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};

/// Bytes of a request to the floor server, as many as a read has.
pub const FLOOR_REQUEST: usize = 32;
/// Bytes of its reply.
pub const FLOOR_REPLY: usize = 48;

/// The additional work of a floor, beside receive and send.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Manner {
    /// Look for the next request without sleeping
    #[arg(long)]
    spin: bool,
    /// Nanoseconds of work for each request
    #[arg(long, default_value_t = 0)]
    work: u64,
    /// Make the system calls of a server with many clients that is told of files: wait for any of its
    /// sockets, find out which file a descriptor is and what it allows, and whether anything follows
    #[arg(long)]
    files: bool,
}

/// Serves one client after the other.
pub fn serve(socket: &Path, manner: Manner) -> Result<()> {
    for stream in UnixListener::bind(socket)?.incoming() {
        // A client that goes in the middle is as good as one that goes at the end.
        let _ = answer(&stream?, manner);
    }
    Ok(())
}

fn answer(stream: &UnixStream, manner: Manner) -> rustix::io::Result<()> {
    // To be watched costs something even if nobody looks.
    let sockets = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    if manner.files {
        let readable = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&sockets, stream, epoll::EventData::new_u64(0), readable)?;
    }
    let mut flags = RecvFlags::empty();
    flags.set(RecvFlags::DONTWAIT, manner.spin || manner.files);
    let mut request = [0; FLOOR_REQUEST];
    let mut waits = manner.files;
    loop {
        if waits {
            // In vain when it was stopped meanwhile, which the next look finds out.
            let _ = epoll::wait(&sockets, &mut [MaybeUninit::uninit(); 1], None);
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let into = &mut [IoSliceMut::new(&mut request)];
        match recvmsg(stream.as_fd(), into, &mut control, flags) {
            Err(Errno::AGAIN) => {
                waits = manner.files;
                std::hint::spin_loop();
            }
            Err(error) => return Err(error),
            Ok(message) if message.bytes == 0 => return Ok(()),
            Ok(_) => {
                pass(Duration::from_nanos(manner.work));
                if manner.files {
                    waits = true;
                    for file in control.drain().filter_map(descriptors).flatten() {
                        fstat(&file)?;
                        fcntl_getfl(&file)?;
                        waits = false;
                    }
                }
                send(stream, &[0; FLOOR_REPLY], SendFlags::NOSIGNAL)?;
            }
        }
    }
}

fn descriptors(message: RecvAncillaryMessage<'_>) -> Option<impl Iterator<Item = OwnedFd>> {
    match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    }
}

/// Keeps the CPU busy so long.
fn pass(work: Duration) {
    if work.is_zero() {
        return;
    }
    let begun = Instant::now();
    while begun.elapsed() < work {
        std::hint::spin_loop();
    }
}
