//! Bytes and file descriptors over a UNIX socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// File descriptors in one message at most; tests send more than a server says that it takes.
const MOST_FDS: usize = 64;

/// Sends all of `bytes`. File descriptors go with the first of them.
pub(super) fn send(to: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut sent = 0;
    while sent < bytes.len() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if sent == 0 && !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            let what = format!("{} fds in one message; {MOST_FDS} are possible", fds.len());
            return Err(io::Error::other(what));
        }
        let rest = [IoSlice::new(&bytes[sent..])];
        sent += sendmsg(to, &rest, &mut control, SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

/// Receives exactly as many bytes as `into` has room for, or gives up at `until`, however many came.
pub(super) fn receive(
    from: BorrowedFd<'_>,
    into: &mut [u8],
    fds: &mut Vec<OwnedFd>,
    until: Instant,
) -> io::Result<()> {
    let mut received = 0;
    while received < into.len() {
        let left = until.saturating_duration_since(Instant::now());
        if !crate::os::readable(from, left)? {
            let what = format!("{received} of {} bytes came in time", into.len());
            return Err(io::Error::new(io::ErrorKind::TimedOut, what));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut rest = [IoSliceMut::new(&mut into[received..])];
        let message = recvmsg(from, &mut rest, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for ancillary in control.drain() {
            if let RecvAncillaryMessage::ScmRights(came) = ancillary {
                fds.extend(came);
            }
        }
        if message.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        received += message.bytes;
    }
    Ok(())
}
