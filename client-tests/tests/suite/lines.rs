//! Character lines: what is at the other end, and that no byte is lost on the way.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Instant;

use client_tests::raw::wire::region;
use client_tests::raw::{PATIENCE, RawClient};
use dormouse::backend::SerialBackend;
use dormouse::listen::SocketFile;
use dormouse::sandbox::Sandbox;
use dormouse::{Endpoint, Handle, ServedFunction, ServedSlot, Server, Settings};
use pci_device_models::model::Registry;
use pci_device_models::profile::Profile;
use tempfile::TempDir;

/// Registers of the UART.
const DATA: u64 = 0;
const FCR: u64 = 2;
const MCR: u64 = 4;
const LSR: u64 = 5;
const MSR: u64 = 6;
const DATA_READY: u8 = 0x01;
const EMPTY: u8 = 0x20;
const FIFO: usize = 16;
/// DCD, DSR and CTS on, and off.
const CONNECTED: u8 = 0xb0;
const ALONE: u8 = 0x00;

/// A serial port with its line, opened by a driver.
struct Port {
    driver: RawClient,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
    folder: TempDir,
    /// The link to a terminal, which the server may not remove.
    link: Option<SocketFile>,
}

impl Port {
    fn new(backend: impl FnOnce(&TempDir) -> SerialBackend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("device.sock");
        let text = Profile::builtin("serial").unwrap();
        let profile = Profile::parse("serial", text, &[]).unwrap();
        let mut server = Server::new(Settings::default()).unwrap();
        let endpoint = Endpoint::Listener(UnixListener::bind(&socket).unwrap());
        let mut line = backend(&folder);
        let link = line.take_link();
        let function = ServedFunction::new("serial", endpoint).with_backend(line);
        let devices = profile.device_set(&Registry::builtin()).unwrap();
        server
            .add(ServedSlot::new(devices).with_function(function))
            .unwrap();
        let handle = server.handle();
        let thread = std::thread::spawn(move || {
            Sandbox::default().enter().unwrap();
            server.run().unwrap();
        });
        let mut driver = RawClient::attach(&socket).unwrap();
        driver.write(region::CONFIG, 4, &[1, 0]).unwrap();
        let mut port = Self {
            driver,
            handle,
            thread: Some(thread),
            folder,
            link,
        };
        port.put(FCR, 0x01);
        port.put(MCR, 0x03);
        port
    }

    fn on_a_terminal() -> (Self, PathBuf) {
        let mut terminal = PathBuf::new();
        let port = Self::new(|folder| {
            let link = folder.path().join("terminal");
            let (line, path) = SerialBackend::pty(Some(link.clone())).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), path);
            terminal = path;
            line
        });
        (port, terminal)
    }

    fn on_a_socket() -> (Self, PathBuf) {
        let place = |folder: &TempDir| folder.path().join("line.sock");
        let port =
            Self::new(|folder| SerialBackend::socket(UnixListener::bind(place(folder)).unwrap()));
        let socket = place(&port.folder);
        (port, socket)
    }

    fn get(&mut self, register: u64) -> u8 {
        self.driver.read(0, register, 1).unwrap()[0]
    }

    fn put(&mut self, register: u64, value: u8) {
        self.driver.write(0, register, &[value]).unwrap();
    }

    /// Sends and receives as much as is possible now, as a driver does it.
    fn turn(&mut self, to_send: &mut &[u8], received: &mut Vec<u8>) {
        let status = self.get(LSR);
        if status & DATA_READY != 0 {
            received.push(self.get(DATA));
        }
        if status & EMPTY != 0 {
            let (now, later) = to_send.split_at(to_send.len().min(FIFO));
            for byte in now {
                self.put(DATA, *byte);
            }
            *to_send = later;
        }
    }

    fn modem_status(&mut self, expected: u8) {
        let begun = Instant::now();
        while self.get(MSR) & 0xf0 != expected {
            assert!(begun.elapsed() < PATIENCE, "never {expected:#x}");
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.handle.shutdown();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
            self.link = None;
            let link = self.folder.path().join("terminal");
            assert!(fs::symlink_metadata(link).is_err(), "the link is gone");
        }
    }
}

fn bytes(count: usize, salt: usize) -> Vec<u8> {
    (0..count).map(|n| (n * salt / 7 + n) as u8).collect()
}

/// Sends and receives at once at the other end.
fn converse(
    mut reader: impl Read + Send + 'static,
    mut writer: impl Write + Send + 'static,
    to_send: Vec<u8>,
    count: usize,
) -> JoinHandle<Vec<u8>> {
    let sender = std::thread::spawn(move || writer.write_all(&to_send).unwrap());
    std::thread::spawn(move || {
        let mut received = vec![0; count];
        reader.read_exact(&mut received).unwrap();
        sender.join().unwrap();
        received
    })
}

#[test]
fn every_byte_goes_both_ways_at_once_and_in_order() {
    const COUNT: usize = 20_000;
    let (down, up) = (bytes(COUNT, 3), bytes(COUNT, 5));
    let (on_terminal, terminal) = Port::on_a_terminal();
    let (on_socket, socket) = Port::on_a_socket();
    let open = |path| OpenOptions::new().read(true).write(true).open(path);
    let terminal = open(terminal).unwrap();
    let socket = UnixStream::connect(socket).unwrap();
    let (read, write) = (terminal.try_clone().unwrap(), socket.try_clone().unwrap());
    for (mut port, peer) in [
        (on_terminal, converse(read, terminal, down.clone(), COUNT)),
        (on_socket, converse(socket, write, down.clone(), COUNT)),
    ] {
        let (mut to_send, mut received) = (&up[..], Vec::new());
        while !to_send.is_empty() || received.len() < COUNT {
            port.turn(&mut to_send, &mut received);
        }
        assert!(received == down);
        assert!(peer.join().unwrap() == up);
    }
}

#[test]
fn a_terminal_that_nobody_reads_holds_the_device_back_and_loses_nothing() {
    let (mut port, terminal) = Port::on_a_terminal();
    let all = bytes(1 << 20, 3);
    let (mut to_send, mut nothing) = (&all[..], Vec::new());
    // Polls in a row that last longer than the time of a character.
    let mut full = 0;
    while full < 1000 {
        let before = to_send.len();
        port.turn(&mut to_send, &mut nothing);
        full = if to_send.len() == before { full + 1 } else { 0 };
    }
    let sent = all.len() - to_send.len();
    assert!(sent < all.len(), "a terminal's buffer is smaller");
    let mut received = vec![0; sent];
    File::open(terminal)
        .unwrap()
        .read_exact(&mut received)
        .unwrap();
    assert!(received == all[..sent]);
}

#[test]
fn a_socket_has_one_client_at_a_time_and_the_device_knows() {
    let (mut port, socket) = Port::on_a_socket();
    port.modem_status(ALONE);
    // Nobody is there to hear it.
    for _ in 0..3 {
        let (mut to_send, mut nothing) = (&b"lost in the air!"[..], Vec::new());
        while !to_send.is_empty() {
            port.turn(&mut to_send, &mut nothing);
        }
    }
    while port.get(LSR) & EMPTY == 0 {}
    let mut first = UnixStream::connect(&socket).unwrap();
    port.modem_status(CONNECTED);
    let mut second = UnixStream::connect(&socket).unwrap();
    assert_eq!(second.read(&mut [0]).unwrap(), 0, "sent away");
    port.put(DATA, b'!');
    let mut heard = [0; 1];
    first.read_exact(&mut heard).unwrap();
    assert_eq!(heard, *b"!");
    // The server still takes the bytes that came before the peer hung up.
    first.write_all(b"bye").unwrap();
    drop(first);
    port.modem_status(ALONE);
    let mut received = Vec::new();
    while received.len() < 3 {
        port.turn(&mut &[][..], &mut received);
    }
    assert_eq!(received, b"bye");
    let _third = UnixStream::connect(&socket).unwrap();
    port.modem_status(CONNECTED);
}

#[test]
fn a_file_gets_what_is_sent() {
    let place = |folder: &TempDir| folder.path().join("log");
    let mut port = Port::new(|folder| {
        fs::write(place(folder), "before\n").unwrap();
        SerialBackend::file(&place(folder)).unwrap()
    });
    port.modem_status(CONNECTED);
    let (mut to_send, mut nothing) = (&b"booting\n"[..], Vec::new());
    while !to_send.is_empty() || port.get(LSR) & EMPTY == 0 {
        port.turn(&mut to_send, &mut nothing);
    }
    let log = fs::read_to_string(place(&port.folder)).unwrap();
    assert_eq!((log.as_str(), nothing.len()), ("before\nbooting\n", 0));
}
