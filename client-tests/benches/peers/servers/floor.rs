//! What the socket costs by itself: one receive and one send for each request, which nobody looks at.

use std::io::IoSliceMut;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use anyhow::Result;
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, SendFlags, recvmsg, send};

use crate::link::{FLOOR_REPLY, FLOOR_REQUEST};

/// Serves one client after the other.
pub fn serve(socket: &Path, spin: bool) -> Result<()> {
    for stream in UnixListener::bind(socket)?.incoming() {
        // A client that goes in the middle is as good as one that goes at the end.
        let _ = answer(&stream?, spin);
    }
    Ok(())
}

fn answer(stream: &UnixStream, spin: bool) -> rustix::io::Result<()> {
    let mut flags = RecvFlags::empty();
    flags.set(RecvFlags::DONTWAIT, spin);
    let mut request = [0; FLOOR_REQUEST];
    loop {
        let mut control = RecvAncillaryBuffer::default();
        let into = &mut [IoSliceMut::new(&mut request)];
        match recvmsg(stream.as_fd(), into, &mut control, flags) {
            Err(Errno::AGAIN) => std::hint::spin_loop(),
            Err(error) => return Err(error),
            Ok(message) if message.bytes == 0 => return Ok(()),
            Ok(_) => {
                send(stream, &[0; FLOOR_REPLY], SendFlags::NOSIGNAL)?;
            }
        }
    }
}
