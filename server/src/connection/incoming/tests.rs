use std::fs::File;
use std::io::{IoSlice, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use proptest::collection::vec;
use proptest::prelude::*;
use rustix::fs::fstat;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use vfio_user_protocol::{Command, Header};

use super::*;

const LIMITS: Limits = Limits {
    max_message_size: 1 << 20,
};

/// A client and the receiving half that listens to it.
struct Pair {
    client: UnixStream,
    server: UnixStream,
    incoming: Incoming,
    pool: BufferPool,
}

/// A message and the files with it, by inode; `None` for too many.
type Seen = (u16, usize, Option<Vec<u64>>);

impl Pair {
    fn new() -> Self {
        let (client, server) = UnixStream::pair().unwrap();
        client.set_nonblocking(true).unwrap();
        Self {
            client,
            server,
            incoming: Incoming::new(LIMITS),
            pool: BufferPool::default(),
        }
    }

    fn send(&self, bytes: &[u8], files: &[&File]) {
        let fds: Vec<BorrowedFd<'_>> = files.iter().map(|file| file.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(20))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        }
        let iov = [IoSlice::new(bytes)];
        let sent = sendmsg(&self.client, &iov, &mut control, SendFlags::empty());
        assert_eq!(sent.unwrap(), bytes.len());
    }

    /// Receives until there is nothing more, and takes every message.
    fn receive(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        loop {
            let received = self.incoming.receive(&self.server, &mut self.pool);
            while let Some(message) = self.incoming.next_message() {
                let Ok(Message { frame, fds }) = message else {
                    continue;
                };
                let fds = fds.ok().map(|fds| fds.iter().map(inode).collect());
                seen.push((frame.header.command, frame.payload.len(), fds));
            }
            self.incoming.settle(&mut self.pool);
            if !matches!(received, Received::Bytes { .. }) {
                return seen;
            }
        }
    }
}

fn inode(fd: &OwnedFd) -> u64 {
    fstat(fd).unwrap().st_ino
}

fn of(file: &File) -> u64 {
    fstat(file).unwrap().st_ino
}

fn message(command: Command, payload: usize) -> Vec<u8> {
    let mut header = Header::command(7, command);
    header.message_size += payload as u32;
    let mut bytes = header.to_bytes().to_vec();
    bytes.resize(16 + payload, 0xa5);
    bytes
}

fn plain(command: Command, payload: usize) -> Seen {
    (command.number(), payload, Some(Vec::new()))
}

fn with(command: Command, payload: usize, files: &[&File]) -> Seen {
    let inodes = files.iter().map(|file| of(file)).collect();
    (command.number(), payload, Some(inodes))
}

fn files() -> [File; 3] {
    [(); 3].map(|()| tempfile::tempfile().unwrap())
}

#[test]
fn pipelined_messages_keep_their_own_descriptors() {
    let [a, b, c] = files();
    let mut pair = Pair::new();
    let map = message(Command::DmaMap, 32);
    pair.send(&message(Command::DeviceGetInfo, 16), &[]);
    pair.send(&map, &[&a]);
    pair.send(&map, &[&b]);
    pair.send(&message(Command::RegionRead, 16), &[]);
    pair.send(&map, &[]);
    pair.send(&map, &[&c]);
    assert_eq!(
        pair.receive(),
        [
            plain(Command::DeviceGetInfo, 16),
            with(Command::DmaMap, 32, &[&a]),
            with(Command::DmaMap, 32, &[&b]),
            plain(Command::RegionRead, 16),
            plain(Command::DmaMap, 32),
            with(Command::DmaMap, 32, &[&c]),
        ]
    );
}

#[test]
fn descriptors_that_come_with_any_part_of_a_message_are_the_messages() {
    let [a, b, _] = files();
    let bytes = message(Command::DeviceSetIrqs, 20);
    for split in 1..bytes.len() {
        for (with_head, with_tail) in [(vec![&a], vec![]), (vec![], vec![&b]), (vec![&a], vec![&b])]
        {
            let mut pair = Pair::new();
            pair.send(&message(Command::RegionWrite, 16), &[]);
            pair.send(&bytes[..split], &with_head);
            let mut seen = pair.receive();
            pair.send(&bytes[split..], &with_tail);
            pair.send(&message(Command::DmaMap, 32), &[&b]);
            seen.extend(pair.receive());
            let mine = [with_head, with_tail].concat();
            assert_eq!(
                seen,
                [
                    plain(Command::RegionWrite, 16),
                    with(Command::DeviceSetIrqs, 20, &mine),
                    with(Command::DmaMap, 32, &[&b]),
                ],
                "split at {split}"
            );
        }
    }
}

#[test]
fn of_several_messages_in_one_send_the_one_that_takes_descriptors_gets_them() {
    let [a, _, _] = files();
    let mut pair = Pair::new();
    pair.send(&message(Command::DmaMap, 32), &[]);
    let both = [
        message(Command::DmaMap, 32),
        message(Command::DeviceGetInfo, 16),
    ]
    .concat();
    pair.send(&both, &[&a]);
    assert_eq!(
        pair.receive(),
        [
            plain(Command::DmaMap, 32),
            with(Command::DmaMap, 32, &[&a]),
            plain(Command::DeviceGetInfo, 16),
        ]
    );
}

/// Only the entry with a wake-up eventfd competes for descriptors with what else takes them.
#[test]
fn of_features_one_takes_descriptors() {
    let feature = |flags: u32| {
        let mut bytes = message(Command::DeviceFeature, 16);
        bytes[16..20].copy_from_slice(&16_u32.to_ne_bytes());
        bytes[20..24].copy_from_slice(&flags.to_ne_bytes());
        bytes
    };
    let set = 1 << 17;
    for (flags, takes) in [(set | 3, false), (set | 4, true), (set | 5, false)] {
        let [a, _, _] = files();
        let mut pair = Pair::new();
        let map = message(Command::DmaMap, 32);
        let read = message(Command::RegionRead, 16);
        pair.send(&[map, feature(flags), read].concat(), &[&a]);
        let (of_map, of_feature) = if takes {
            (vec![], vec![&a])
        } else {
            (vec![&a], vec![])
        };
        assert_eq!(
            pair.receive(),
            [
                with(Command::DmaMap, 32, &of_map),
                with(Command::DeviceFeature, 16, &of_feature),
                plain(Command::RegionRead, 16),
            ],
            "{flags:#x}"
        );
    }
}

#[test]
fn descriptors_that_nobody_takes_are_the_last_messages() {
    let [a, _, _] = files();
    let mut pair = Pair::new();
    pair.send(&message(Command::RegionRead, 16), &[]);
    pair.send(&message(Command::DeviceReset, 0), &[&a]);
    assert_eq!(
        pair.receive(),
        [
            plain(Command::RegionRead, 16),
            with(Command::DeviceReset, 0, &[&a]),
        ]
    );
}

#[test]
fn too_many_descriptors_are_told() {
    let [a, _, _] = files();
    for (first, second, expected) in [
        (16, 0, Some(16)),
        (17, 0, None),
        (9, 8, None),
        (8, 8, Some(16)),
    ] {
        let mut pair = Pair::new();
        let bytes = message(Command::DeviceSetIrqs, 20);
        pair.send(&bytes[..20], &vec![&a; first]);
        pair.send(&bytes[20..], &vec![&a; second]);
        pair.send(&message(Command::DmaMap, 32), &[&a]);
        let counts: Vec<_> = pair
            .receive()
            .into_iter()
            .map(|seen| seen.2.map(|fds| fds.len()))
            .collect();
        assert_eq!(counts, [expected, Some(1)]);
    }
}

#[test]
fn a_message_larger_than_the_buffer_arrives_whole_and_the_buffer_goes_back() {
    let mut pair = Pair::new();
    let payload = (1 << 20) - 16;
    let bytes = message(Command::RegionWrite, payload);
    let mut seen = Vec::new();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        if let Ok(sent) = pair.client.write(rest) {
            rest = &rest[sent..];
        }
        seen.extend(pair.receive());
    }
    assert_eq!(seen, [plain(Command::RegionWrite, payload)]);
    assert!(pair.incoming.buffer.is_empty());
    assert!(!pair.pool.0.is_empty());
}

#[test]
fn the_end_of_the_stream_is_told_after_its_messages() {
    let pair = Pair::new();
    pair.send(&message(Command::DeviceReset, 0), &[]);
    let Pair {
        client,
        server,
        mut incoming,
        mut pool,
    } = pair;
    drop(client);
    let received = incoming.receive(&server, &mut pool);
    assert_eq!(received, Received::Bytes { more: false });
    assert!(incoming.next_message().is_some());
    assert_eq!(incoming.receive(&server, &mut pool), Received::Closed);
}

proptest! {
    /// However the stream is cut into sends, messages come out whole and in order.
    #[test]
    fn messages_survive_any_cut(
        payloads in vec(0_usize..600, 1..20),
        cuts in vec(1_usize..900, 1..40),
    ) {
        let messages: Vec<_> = payloads
            .iter()
            .map(|&payload| message(Command::RegionWrite, payload))
            .collect();
        let stream = messages.concat();
        let mut pair = Pair::new();
        let mut seen = Vec::new();
        let (mut rest, mut cuts) = (stream.as_slice(), cuts.into_iter().cycle());
        while !rest.is_empty() {
            let cut = cuts.next().unwrap_or(1).min(rest.len());
            pair.send(&rest[..cut], &[]);
            rest = &rest[cut..];
            seen.extend(pair.receive());
        }
        let expected: Vec<_> = payloads
            .iter()
            .map(|&payload| plain(Command::RegionWrite, payload))
            .collect();
        prop_assert_eq!(seen, expected);
        prop_assert!(pair.incoming.buffer.is_empty());
    }
}
