//! Accepting connections.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use crate::ratelimit::limited;

/// The next connection, if one is waiting.
pub(super) fn accept(listener: &impl AsFd) -> Option<OwnedFd> {
    loop {
        match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(socket) => return Some(socket),
            Err(Errno::AGAIN) => return None,
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(errno) => {
                limited!(warn, %errno, "cannot accept a connection");
                return None;
            }
        }
    }
}
