//! Packets and blocks of small models, through a function that is served.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, symlink};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use pci_device_models::model;
use pci_device_models::model::backend::{
    self as side, BlockDevice, BlockOp, BlockOutcome, BlockRequest, MAX_BLOCK_TRANSFER, MAX_PACKET,
    PacketPort,
};
use pci_device_models::model::prelude::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;
use crate::client::Client;
use crate::testing::{self, Function, Options, Served, TestingError};

const PROFILE: &str = r#"
name = "on-a-back-end"
model = "none"
[identity]
vendor-id = 0x1234
device-id = 1
class = 0xff0000
[[bar]]
index = 0
kind = "memory32"
size = 0x1000
[capabilities.pm]
"#;

/// A network interface that counts what comes, as long as there is room.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Port {
    link: bool,
    room: u32,
    packets: u32,
    bytes: u32,
    to_send: VecDeque<Vec<u8>>,
}

/// Registers: 1 if the link is up; room for more packets; packets and bytes that have come; the length of a
/// packet to send.
const LINK: u64 = 0x00;
const ROOM: u64 = 0x04;
const PACKETS: u64 = 0x08;
const BYTES: u64 = 0x0c;
const SEND: u64 = 0x10;
/// Packets that wait to be sent.
const WAITING: u64 = 0x14;

impl Model for Port {
    fn read(&mut self, _: &mut Context<'_>, _: u8, offset: u64, _: Lanes) -> u32 {
        match offset {
            LINK => self.link.into(),
            ROOM => self.room,
            PACKETS => self.packets,
            BYTES => self.bytes,
            WAITING => self.to_send.len() as u32,
            _ => 0,
        }
    }

    fn write(&mut self, _: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        match offset {
            ROOM => self.room = write.value(),
            SEND => {
                let packet = (0..write.value()).map(|byte| byte as u8);
                self.to_send.push_back(packet.collect());
            }
            _ => {}
        }
    }

    fn backend(&mut self) -> Option<side::Backend<'_>> {
        Some(side::Backend::Packet(self))
    }

    fn reset(&mut self, _: &mut Context<'_>, _: ResetKind) {}
}

impl PacketPort for Port {
    fn receive(&mut self, _: &mut Context<'_>, packet: &[u8]) -> bool {
        if self.room == 0 {
            return false;
        }
        self.room -= 1;
        self.packets += 1;
        self.bytes += packet.len() as u32;
        true
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Vec<u8>> {
        self.to_send.pop_front()
    }

    fn set_link(&mut self, _: &mut Context<'_>, up: bool) {
        self.link = up;
    }
}

/// A disk with a buffer and one request at a time.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Disk {
    capacity: u64,
    offset: u32,
    len: u32,
    /// Requests to make, and those that succeeded and failed.
    asked: VecDeque<u32>,
    done: u32,
    failed: u32,
    data: Vec<u8>,
}

const CAPACITY: u64 = 0x00;
const OFFSET: u64 = 0x04;
const LEN: u64 = 0x08;
/// Write: what to do, and how often.
const GO: u64 = 0x0c;
const DONE: u64 = 0x10;
const FAILED: u64 = 0x14;
/// The first bytes that were read, or the byte to write.
const DATA: u64 = 0x18;
const READ: u32 = 0;
const WRITE: u32 = 1;
const FLUSH: u32 = 2;

impl Model for Disk {
    fn read(&mut self, _: &mut Context<'_>, _: u8, offset: u64, _: Lanes) -> u32 {
        match offset {
            CAPACITY => self.capacity as u32,
            DONE => self.done,
            FAILED => self.failed,
            DATA => {
                let first = self.data.first_chunk();
                first.map_or(0, |bytes| u32::from_le_bytes(*bytes))
            }
            _ => 0,
        }
    }

    fn write(&mut self, _: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        let value = write.value();
        match offset {
            OFFSET => self.offset = value,
            LEN => self.len = value,
            DATA => self.data = value.to_le_bytes().to_vec(),
            GO => {
                let what = std::iter::repeat_n(value & 0xff, (value >> 8) as usize);
                self.asked.extend(what);
            }
            _ => {}
        }
    }

    fn backend(&mut self) -> Option<side::Backend<'_>> {
        Some(side::Backend::Block(self))
    }

    fn reset(&mut self, _: &mut Context<'_>, _: ResetKind) {}
}

impl BlockDevice for Disk {
    fn set_capacity(&mut self, _: &mut Context<'_>, bytes: u64) {
        self.capacity = bytes;
    }

    fn next_request(&mut self, _: &mut Context<'_>) -> Option<BlockRequest> {
        let tag = self.asked.pop_front()?;
        let offset = self.offset.into();
        let op = match tag {
            READ => BlockOp::Read {
                offset,
                len: self.len,
            },
            WRITE => BlockOp::Write {
                offset,
                data: self
                    .data
                    .iter()
                    .copied()
                    .cycle()
                    .take(self.len as usize)
                    .collect(),
            },
            _ => BlockOp::Flush,
        };
        Some(BlockRequest { tag, op })
    }

    fn complete(&mut self, _: &mut Context<'_>, tag: u32, outcome: BlockOutcome<'_>) {
        match outcome {
            Ok(data) => {
                self.done += 1;
                if tag == READ {
                    assert_eq!(data.len(), self.len as usize);
                    self.data = data.to_vec();
                }
            }
            Err(_) => self.failed += 1,
        }
    }
}

fn registry() -> model::Registry {
    let mut registry = model::Registry::builtin();
    registry.register("port", || Box::<Port>::default());
    registry.register("disk", || Box::<Disk>::default());
    registry
}

fn start(model: &str, place: &str) -> Result<Served, TestingError> {
    let model = format!("{{ name = {model:?}, backend = {place:?} }}");
    let function = Function::toml("test", PROFILE)
        .registry(registry())
        .set("model", model);
    let options = Options {
        #[cfg(feature = "sandbox")]
        sandboxed: true,
        ..Options::default()
    };
    Ok(testing::start(options, [function])?.remove(0))
}

fn client(served: &Served) -> Client {
    let mut client = served.client().unwrap();
    client.write_all(7, 4, &[0x06, 0]).unwrap();
    client
}

fn get(client: &mut Client, register: u64) -> u32 {
    client.read_u32(0, register).unwrap()
}

fn set(client: &mut Client, register: u64, value: u32) {
    client.write_u32(0, register, value).unwrap();
}

/// Asks until a register says this.
fn becomes(client: &mut Client, register: u64, expected: u32) {
    let begun = Instant::now();
    loop {
        let found = get(client, register);
        if found == expected {
            return;
        }
        let patient = begun.elapsed() < Duration::from_secs(20);
        assert!(patient, "{register:#x} is {found}, never {expected}");
    }
}

fn frame(packet: &[u8]) -> Vec<u8> {
    [&(packet.len() as u32).to_be_bytes(), packet].concat()
}

fn read_packet(peer: &mut UnixStream) -> Vec<u8> {
    let mut length = [0; 4];
    peer.read_exact(&mut length).unwrap();
    let mut packet = vec![0; u32::from_be_bytes(length) as usize];
    peer.read_exact(&mut packet).unwrap();
    packet
}

/// A port whose back end listens, with a folder for its socket.
fn listening() -> (tempfile::TempDir, std::path::PathBuf, Served) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.sock");
    let served = start("port", &format!("unix:{}", path.display())).unwrap();
    (folder, path, served)
}

#[test]
fn packets_cross_a_socket_with_their_lengths_before_them() {
    let (_folder, path, served) = listening();
    let mut client = client(&served);
    assert_eq!(get(&mut client, LINK), 0);
    let mut peer = UnixStream::connect(&path).unwrap();
    becomes(&mut client, LINK, 1);
    for length in [1, 60, 1514, MAX_PACKET as u32] {
        set(&mut client, SEND, length);
        let expected: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
        assert!(read_packet(&mut peer) == expected, "{length}");
    }
    // In pieces as small as may be, and several at once; those of no bytes are none.
    set(&mut client, ROOM, 10);
    for byte in frame(&[7; 60]) {
        peer.write_all(&[byte]).unwrap();
    }
    becomes(&mut client, PACKETS, 1);
    let many = [
        frame(&[1; 1514]),
        frame(&[]),
        frame(&[2; 99]),
        frame(&[3; MAX_PACKET]),
    ];
    peer.write_all(&many.concat()).unwrap();
    becomes(&mut client, PACKETS, 4);
    assert_eq!(get(&mut client, BYTES), 60 + 1514 + 99 + MAX_PACKET as u32);
}

#[test]
fn the_server_may_be_the_one_that_connects() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passt.sock");
    let place = format!("unix-connect:{}", path.display());
    let error = start("port", &place).unwrap_err();
    assert!(error.to_string().contains(&place), "{error}");
    let listener = UnixListener::bind(&path).unwrap();
    let served = start("port", &place).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    let mut client = client(&served);
    becomes(&mut client, LINK, 1);
    set(&mut client, SEND, 64);
    assert_eq!(read_packet(&mut peer).len(), 64);
    drop(peer);
    becomes(&mut client, LINK, 0);
    // Nobody is there to get it.
    set(&mut client, SEND, 64);
    becomes(&mut client, WAITING, 0);
}

#[test]
fn packets_wait_outside_until_the_device_has_room() {
    let (_folder, path, served) = listening();
    let mut client = client(&served);
    let mut peer = UnixStream::connect(&path).unwrap();
    peer.set_nonblocking(true).unwrap();
    let packet = frame(&[5; 1000]);
    let mut sent = 0;
    // Until the socket is full: nothing is read on without room.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(200) {
        match peer.write(&packet[sent % packet.len()..]) {
            Ok(count) => sent += count,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        assert!(sent < 4 << 20, "the server takes everything in");
    }
    assert_eq!(get(&mut client, PACKETS), 0);
    let whole = (sent / packet.len()) as u32;
    set(&mut client, ROOM, 3);
    becomes(&mut client, PACKETS, 3);
    assert_eq!(get(&mut client, PACKETS), 3);
    set(&mut client, ROOM, u32::MAX);
    becomes(&mut client, PACKETS, whole);
}

#[test]
fn a_peer_that_does_not_read_holds_the_device_back() {
    let (_folder, path, served) = listening();
    let mut client = client(&served);
    let mut peer = UnixStream::connect(&path).unwrap();
    becomes(&mut client, LINK, 1);
    let mut sent = 0;
    while get(&mut client, WAITING) == 0 {
        set(&mut client, SEND, 60_000);
        sent += 1;
        assert!(sent < 1000, "packets are lost");
    }
    for _ in 0..sent {
        assert_eq!(read_packet(&mut peer).len(), 60_000);
    }
    becomes(&mut client, WAITING, 0);
}

#[test]
fn a_peer_that_breaks_the_framing_is_sent_away_and_the_next_one_is_welcome() {
    let (_folder, path, served) = listening();
    let mut client = client(&served);
    set(&mut client, ROOM, 10);
    for bytes in [
        (MAX_PACKET as u32 + 1).to_be_bytes().to_vec(),
        [frame(b"whole"), u32::MAX.to_be_bytes().to_vec()].concat(),
    ] {
        let mut peer = UnixStream::connect(&path).unwrap();
        peer.write_all(&bytes).unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        becomes(&mut client, LINK, 0);
    }
    assert_eq!(get(&mut client, PACKETS), 1);
    // What the last one left unfinished is forgotten.
    let mut peer = UnixStream::connect(&path).unwrap();
    becomes(&mut client, LINK, 1);
    peer.write_all(&frame(&[1; 100])[..50]).unwrap();
    drop(peer);
    becomes(&mut client, LINK, 0);
    let mut peer = UnixStream::connect(&path).unwrap();
    peer.write_all(&frame(b"new")).unwrap();
    becomes(&mut client, PACKETS, 2);
    assert_eq!(get(&mut client, BYTES), 8);
    let mut second = UnixStream::connect(&path).unwrap();
    assert_eq!(second.read(&mut [0]).unwrap(), 0, "one at a time");
}

#[test]
fn a_disk_reads_and_writes_its_file_within_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.img");
    let size = 3 * MAX_BLOCK_TRANSFER;
    fs::write(&path, vec![0x11; size as usize]).unwrap();
    let place = format!("file:{}", path.display());
    let served = start("disk", &place).unwrap();
    let error = start("disk", &place).unwrap_err();
    assert!(error.to_string().contains(&place), "in use: {error}");
    let mut client = client(&served);
    assert_eq!(get(&mut client, CAPACITY), size);

    let once = |what: u32| 1 << 8 | what;
    set(&mut client, DATA, 0x6463_6261);
    set(&mut client, OFFSET, 511);
    set(&mut client, LEN, 8);
    set(&mut client, GO, once(WRITE));
    set(&mut client, GO, once(FLUSH));
    set(&mut client, OFFSET, 513);
    set(&mut client, LEN, 4);
    set(&mut client, GO, once(READ));
    assert_eq!(get(&mut client, DONE), 3);
    assert_eq!(get(&mut client, DATA), u32::from_le_bytes(*b"cdab"));
    let mut found = [0; 10];
    let file = fs::File::open(&path).unwrap();
    file.read_exact_at(&mut found, 510).unwrap();
    assert_eq!(found, *b"\x11abcdabcd\x11");

    for (offset, len, succeeds) in [
        (size - 4, 4, true),
        (size - 4, 5, false),
        (size, 0, true),
        (u32::MAX, 1, false),
        (0, MAX_BLOCK_TRANSFER, true),
        (0, MAX_BLOCK_TRANSFER + 1, false),
    ] {
        let before = get(&mut client, FAILED);
        set(&mut client, OFFSET, offset);
        set(&mut client, LEN, len);
        set(&mut client, GO, once(READ));
        let failed = get(&mut client, FAILED) - before;
        assert_eq!(failed == 0, succeeds, "{len} bytes at {offset:#x}");
    }
    // More than fits in a turn is done all the same.
    set(&mut client, OFFSET, 0);
    set(&mut client, LEN, 512);
    let before = get(&mut client, DONE);
    set(&mut client, GO, 1000 << 8 | READ);
    becomes(&mut client, DONE, before + 1000);
    assert_eq!(fs::metadata(&path).unwrap().len(), u64::from(size));
}

#[test]
fn a_file_that_shrinks_fails_the_request_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.img");
    fs::write(&path, [0; 1024]).unwrap();
    let served = start("disk", &format!("file:{}", path.display())).unwrap();
    let mut client = client(&served);
    fs::write(&path, [0; 512]).unwrap();
    set(&mut client, LEN, 512);
    set(&mut client, OFFSET, 512);
    set(&mut client, GO, 1 << 8 | READ);
    assert_eq!((get(&mut client, DONE), get(&mut client, FAILED)), (0, 1));
    set(&mut client, OFFSET, 0);
    set(&mut client, GO, 1 << 8 | READ);
    assert_eq!((get(&mut client, DONE), get(&mut client, FAILED)), (1, 1));
}

#[test]
fn back_ends_that_lead_nowhere_answer() {
    let served = start("disk", "none").unwrap();
    let mut disk = client(&served);
    assert_eq!(get(&mut disk, CAPACITY), 0);
    set(&mut disk, LEN, 1);
    set(&mut disk, GO, 1 << 8 | READ);
    assert_eq!(get(&mut disk, FAILED), 1);
    let served = start("port", "none").unwrap();
    let mut port = client(&served);
    set(&mut port, SEND, 64);
    assert_eq!((get(&mut port, LINK), get(&mut port, WAITING)), (0, 0));
}

#[test]
fn places_of_another_kind_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (model, place) in [
        ("disk", "pty".to_owned()),
        ("disk", format!("file:{}", folder.path().display())),
        (
            "disk",
            format!("file:{}", folder.path().join("none").display()),
        ),
        ("port", "file:x".to_owned()),
        (
            "port",
            format!("unix-connect:{}", folder.path().join("none").display()),
        ),
    ] {
        let error = start(model, &place).unwrap_err();
        assert!(error.to_string().contains(&place), "{error}");
    }
    let opened = open(
        BackendKind::Block,
        &BackendPlace::Pty(None),
        Access::default(),
    );
    assert!(matches!(opened, Err(OpenError::Place { .. })));
}

/// Files that a back end is led to by mistake, or by another user who can write in the folder.
#[test]
fn what_is_no_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let fifo = at("fifo");
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, &fifo, FileType::Fifo, mode, 0).unwrap();
    symlink(at("nothing"), at("dangling")).unwrap();
    symlink(at("there"), at("link")).unwrap();
    fs::write(at("there"), "there").unwrap();
    for (serial, block, path) in [
        (false, false, fifo.as_path()),
        (false, false, folder.path()),
        (false, false, &at("dangling")),
        (true, false, Path::new("/dev/null")),
        (true, true, &at("there")),
        (true, true, &at("link")),
        (true, true, &at("new")),
    ] {
        assert_eq!(SerialBackend::file(path).is_ok(), serial, "{path:?}");
        assert_eq!(BlockBackend::file(path).is_ok(), block, "{path:?}");
    }
    assert!(!at("nothing").exists(), "a link is followed to make a file");
}
