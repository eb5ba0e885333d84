//! Sending: replies leave at once, or wait here until the socket takes them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::{MaybeUninit, swap, take};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg};

use super::descriptors::MAX_MESSAGE_FDS;

/// Bytes that have gone and are kept at most.
const MAX_GONE: usize = 1 << 20;
/// Messages with descriptors that may wait before the client is not listened to any more.
const MAX_UNSENT_WITH_FDS: usize = 16;
/// A buffer that is no larger than this stays with its client.
const SMALL: usize = 256;

/// Data that the socket has not accepted yet.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    unsent: Vec<u8>,
    /// Bytes at the front of `unsent` that have gone.
    gone: usize,
    /// Descriptors that travel with the byte at this place of `unsent`.
    fds: VecDeque<(usize, Vec<OwnedFd>)>,
}

impl Outgoing {
    /// Sends what waits and then `bytes`, which are taken in any case.
    ///
    /// # Errors
    /// The client is gone.
    pub(crate) fn send(&mut self, socket: impl AsFd, bytes: &mut Vec<u8>) -> io::Result<()> {
        if bytes.is_empty() {
            return self.resume(socket);
        }
        if self.is_blocked() {
            self.resume(&socket)?;
        }
        let taken = if self.is_blocked() {
            0
        } else {
            offer(&socket, bytes)?
        };
        if taken < bytes.len() {
            if self.is_blocked() {
                self.add(bytes.get(taken..).unwrap_or_default());
            } else {
                swap(&mut self.unsent, bytes);
                self.gone = taken;
            }
        }
        bytes.clear();
        Ok(())
    }

    /// Has a few `bytes` wait until [`Self::resume`], unless others do already. Whether they do now.
    pub(crate) fn hold(&mut self, bytes: &mut Vec<u8>) -> bool {
        let few = (1..=SMALL).contains(&bytes.len());
        let held = few && !self.is_blocked();
        if held {
            self.add(bytes);
            bytes.clear();
        }
        held
    }

    /// Has bytes wait. Those that have gone make room for them now and then: a client that always
    /// leaves something unread must not have what it did read kept for ever.
    fn add(&mut self, bytes: &[u8]) {
        if self.gone > MAX_GONE {
            self.unsent.drain(..self.gone);
            for (at, _) in &mut self.fds {
                *at -= self.gone;
            }
            self.gone = 0;
        }
        self.unsent.extend_from_slice(bytes);
    }

    /// As [`Self::send`] for one message that descriptors travel with, at most
    /// [`MAX_MESSAGE_FDS`].
    ///
    /// # Errors
    /// The client is gone.
    pub(crate) fn send_with_fds(
        &mut self,
        socket: impl AsFd,
        message: &[u8],
        fds: Vec<OwnedFd>,
    ) -> io::Result<()> {
        self.add(message);
        self.fds.push_back((self.unsent.len() - message.len(), fds));
        self.resume(socket)
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// The client is gone.
    pub(crate) fn resume(&mut self, socket: impl AsFd) -> io::Result<()> {
        while self.is_blocked() {
            let is_due = self.fds.front().is_some_and(|(at, _)| *at == self.gone);
            let goes_now = if is_due { self.fds.pop_front() } else { None };
            let end = self.fds.front().map_or(self.unsent.len(), |(at, _)| *at);
            let bytes = self.unsent.get(self.gone..end).unwrap_or_default();
            let taken = match &goes_now {
                Some((_, fds)) => offer_with_fds(&socket, bytes, fds)?,
                None => offer(&socket, bytes)?,
            };
            if taken == 0 {
                if let Some(waiting) = goes_now {
                    self.fds.push_front(waiting);
                }
                return Ok(());
            }
            self.gone += taken;
            if self.gone == self.unsent.len() {
                self.unsent.clear();
                self.gone = 0;
            }
        }
        Ok(())
    }

    /// Gives memory away that nothing waits in: for the replies to come, whichever client they are
    /// for, if these have less.
    pub(crate) fn settle(&mut self, replies: &mut Vec<u8>) {
        if self.unsent.capacity() <= SMALL || self.is_blocked() {
            return;
        }
        let spare = take(&mut self.unsent);
        if replies.is_empty() && replies.capacity() < spare.capacity() {
            *replies = spare;
        }
    }

    /// Returns whether data waits for the socket to become writable.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Returns whether more than `most` bytes, or the maximum number of messages with descriptors, wait.
    pub(crate) fn is_full(&self, most: usize) -> bool {
        self.unsent.len() - self.gone > most || self.fds.len() >= MAX_UNSENT_WITH_FDS
    }
}

/// Sends as much as the socket takes.
fn offer(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
        match send(&socket, rest, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(count) => taken += count,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(taken)
}

/// Sends bytes of which the first carries descriptors, as many as the socket takes.
fn offer_with_fds(socket: impl AsFd, bytes: &[u8], fds: &[OwnedFd]) -> io::Result<usize> {
    let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_MESSAGE_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    loop {
        match sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, flags) {
            Ok(count) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(0),
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{IoSliceMut, Read};
    use std::os::unix::net::UnixStream;

    use rustix::net::{RecvAncillaryBuffer, RecvFlags, recvmsg};

    use super::*;

    const MOST: usize = 1 << 20;

    #[test]
    fn what_the_socket_does_not_take_waits_in_order() {
        let (socket, mut peer) = UnixStream::pair().unwrap();
        let mut outgoing = Outgoing::default();
        let mut sent = Vec::new();
        for round in 0_u8.. {
            let mut bytes = vec![round; 100_000];
            sent.extend_from_slice(&bytes);
            outgoing.send(&socket, &mut bytes).unwrap();
            assert!(bytes.is_empty());
            if outgoing.is_full(MOST) {
                break;
            }
        }
        let mut received = vec![0; sent.len()];
        let mut at = 0;
        while at < received.len() {
            at += peer.read(&mut received[at..]).unwrap();
            outgoing.resume(&socket).unwrap();
        }
        assert!(!outgoing.is_blocked());
        assert_eq!(received, sent);
    }

    #[test]
    fn what_is_held_leaves_before_what_comes_later() {
        let (socket, mut peer) = UnixStream::pair().unwrap();
        let mut outgoing = Outgoing::default();
        assert!(!outgoing.hold(&mut Vec::new()), "nothing");
        assert!(!outgoing.hold(&mut vec![0; SMALL + 1]), "much");
        let mut bytes = vec![1; SMALL];
        assert!(outgoing.hold(&mut bytes));
        assert!(bytes.is_empty() && outgoing.is_blocked());
        bytes.push(2);
        assert!(!outgoing.hold(&mut bytes), "something waits already");
        let mut received = [0; SMALL + 1];
        peer.set_nonblocking(true).unwrap();
        peer.read(&mut received).unwrap_err();
        outgoing.send(&socket, &mut bytes).unwrap();
        peer.read_exact(&mut received).unwrap();
        assert_eq!((received[SMALL - 1], received[SMALL]), (1, 2));
        // The next one takes the same buffer.
        outgoing.settle(&mut bytes);
        assert_eq!(outgoing.unsent.capacity(), SMALL);
    }

    /// Always something is left unread, so it never starts anew.
    #[test]
    fn what_has_gone_is_forgotten() {
        let (socket, mut peer) = UnixStream::pair().unwrap();
        let mut outgoing = Outgoing::default();
        let (mut sent, mut received) = (0_u32, 0_u32);
        let mut piece = [0; 4096];
        while received < 16 << 20 {
            while !outgoing.is_full(MOST) {
                let words = (0..1024).map(|word| sent / 4 + word);
                let mut bytes: Vec<u8> = words.flat_map(u32::to_ne_bytes).collect();
                sent += bytes.len() as u32;
                outgoing.send(&socket, &mut bytes).unwrap();
            }
            peer.read_exact(&mut piece).unwrap();
            let first = u32::from_ne_bytes(*piece.first_chunk().unwrap());
            assert_eq!(first, received / 4, "in order");
            received += piece.len() as u32;
            outgoing.resume(&socket).unwrap();
            assert!(outgoing.is_blocked());
            assert!(outgoing.unsent.len() <= MAX_GONE + MOST + 2 * piece.len());
        }
    }

    #[test]
    fn descriptors_that_wait_are_few_and_stay_with_their_messages() {
        let (socket, peer) = UnixStream::pair().unwrap();
        let mut outgoing = Outgoing::default();
        // Fills the socket, so that all else waits.
        while !outgoing.is_blocked() {
            outgoing.send(&socket, &mut vec![0; 1 << 16]).unwrap();
        }
        let mut messages = 0_u8;
        while !outgoing.is_full(MOST) {
            messages += 1;
            let fd = OwnedFd::from(tempfile::tempfile().unwrap());
            outgoing
                .send_with_fds(&socket, &[messages], vec![fd])
                .unwrap();
        }
        assert_eq!(usize::from(messages), MAX_UNSENT_WITH_FDS);
        let mut came = Vec::new();
        while came.len() < usize::from(messages) {
            let mut bytes = vec![0; 1 << 16];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let room = &mut [IoSliceMut::new(&mut bytes)];
            let count = recvmsg(&peer, room, &mut control, RecvFlags::empty())
                .unwrap()
                .bytes;
            if control.drain().next().is_some() {
                came.push(bytes[count - 1]);
            }
            outgoing.resume(&socket).unwrap();
        }
        assert_eq!(came, (1..=messages).collect::<Vec<_>>());
    }

    #[test]
    fn a_client_that_is_gone_is_an_error_and_no_signal() {
        let (socket, peer) = UnixStream::pair().unwrap();
        drop(peer);
        let error = Outgoing::default().send(&socket, &mut vec![1]);
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
