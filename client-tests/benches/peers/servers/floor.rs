//! What the socket costs by itself: one receive and one send for each request, which nobody looks at.
//! Descriptors that come along are closed.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, SendFlags, recvmsg, send};

use crate::link::{FLOOR_REPLY, FLOOR_REQUEST};

/// Serves one client after the other, and does nothing for so long with each request.
pub fn serve(socket: &Path, spin: bool, work: Duration) -> Result<()> {
    for stream in UnixListener::bind(socket)?.incoming() {
        // A client that goes in the middle is as good as one that goes at the end.
        let _ = answer(&stream?, spin, work);
    }
    Ok(())
}

fn answer(stream: &UnixStream, spin: bool, work: Duration) -> rustix::io::Result<()> {
    let mut flags = RecvFlags::empty();
    flags.set(RecvFlags::DONTWAIT, spin);
    let mut request = [0; FLOOR_REQUEST];
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let into = &mut [IoSliceMut::new(&mut request)];
        match recvmsg(stream.as_fd(), into, &mut control, flags) {
            Err(Errno::AGAIN) => std::hint::spin_loop(),
            Err(error) => return Err(error),
            Ok(message) if message.bytes == 0 => return Ok(()),
            Ok(_) => {
                pass(work);
                send(stream, &[0; FLOOR_REPLY], SendFlags::NOSIGNAL)?;
            }
        }
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
