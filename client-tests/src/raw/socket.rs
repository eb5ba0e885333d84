//! Bytes and file descriptors over a UNIX socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Maximum number of file descriptors in one message. Tests send more than a server accepts.
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

/// Sends as much as there is room for now. File descriptors go with the first byte.
///
/// # Errors
/// The connection has gone.
pub fn send_now(to: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    match sendmsg(to, &[IoSlice::new(bytes)], &mut control, flags) {
        Err(Errno::AGAIN) => Ok(0),
        sent => Ok(sent?),
    }
}

/// Receives the available bytes. Returns `None` if there are none, 0 bytes at the end of the
/// stream.
///
/// # Errors
/// The connection has gone.
pub fn receive_now(
    from: BorrowedFd<'_>,
    into: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> io::Result<Option<usize>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(from, &mut [IoSliceMut::new(into)], &mut control, flags);
    let count = match received {
        Err(Errno::AGAIN) => return Ok(None),
        received => received?.bytes,
    };
    keep(&mut control, fds);
    Ok(Some(count))
}

fn keep(control: &mut RecvAncillaryBuffer<'_>, fds: &mut Vec<OwnedFd>) {
    for ancillary in control.drain() {
        if let RecvAncillaryMessage::ScmRights(came) = ancillary {
            fds.extend(came);
        }
    }
}

/// Receives exactly as many bytes as `into` has room for, or gives up at `until`.
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
        keep(&mut control, fds);
        if message.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        received += message.bytes;
    }
    Ok(())
}
