//! The loop, turned by hand.

mod states;

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use pci_device_models::model::Registry as Models;
use pci_device_models::profile::Profile;
use tempfile::TempDir;
use vfio_user_protocol::Command;

use super::*;
use crate::endpoint::Endpoint;

const CONFIG: u32 = 7;

/// A loop that serves test functions, and a client of each.
fn served(functions: usize) -> (Reactor, Vec<UnixStream>) {
    let (reactor, clients, _) = served_with_control(functions);
    (reactor, clients)
}

/// The same with the folder of a control socket, `control`, of the first function.
fn served_with_control(functions: usize) -> (Reactor, Vec<UnixStream>, TempDir) {
    served_with(functions, &[])
}

/// The same with keys of the profile set.
fn served_with(functions: usize, set: &[(&str, &str)]) -> (Reactor, Vec<UnixStream>, TempDir) {
    let set = set
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()));
    let set: Vec<(String, String)> = set.collect();
    let folder = tempfile::tempdir().unwrap();
    let control = UnixListener::bind(folder.path().join("control")).unwrap();
    let mut control = Some(control);
    let settings = Settings {
        clock: Clock::manual(),
        ..Settings::default()
    };
    let mut reactor = Reactor::new(settings, Arc::default()).unwrap();
    let clients = (0..functions).map(|_| {
        let (client, server) = UnixStream::pair().unwrap();
        let text = Profile::builtin("testdev").unwrap();
        let profile = Profile::parse("testdev", text, &set).unwrap();
        let devices = profile.device_set(&Models::builtin()).unwrap();
        let mut function = ServedFunction::new("testdev", Endpoint::Connected(server));
        function.control = control.take();
        let slot = ServedSlot::new(devices).with_function(function);
        reactor.add(slot).unwrap();
        send(&client, Command::Version, &[0, 0, 1, 0]);
        while received(&client).is_empty() {
            turn(&mut reactor);
        }
        client
    });
    let clients = clients.collect();
    (reactor, clients, folder)
}

fn turn(reactor: &mut Reactor) {
    reactor.turn(Some(Duration::ZERO)).unwrap();
}

fn send(mut client: &UnixStream, command: Command, payload: &[u8]) {
    client.write_all(&message(command, payload)).unwrap();
}

fn message(command: Command, payload: &[u8]) -> Vec<u8> {
    let mut message = [1_u16.to_ne_bytes(), command.number().to_ne_bytes()].concat();
    let size = 16 + payload.len() as u32;
    message.extend([size, 0, 0].into_iter().flat_map(u32::to_ne_bytes));
    message.extend(payload);
    message
}

/// Returns the bytes that are there to receive.
fn received(mut client: &UnixStream) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    client.set_nonblocking(true).unwrap();
    let received = client.read(&mut bytes);
    client.set_nonblocking(false).unwrap();
    match received {
        Ok(count) => bytes.truncate(count),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            bytes.clear();
        }
    }
    bytes
}

/// The fixed part of an access, and data.
fn access(region: u32, offset: u64, count: u32, data: &[u8]) -> Vec<u8> {
    let mut access = offset.to_ne_bytes().to_vec();
    access.extend(region.to_ne_bytes());
    access.extend(count.to_ne_bytes());
    access.extend(data);
    access
}

/// REGION_WRITE_MULTI of so many writes to Command.
fn write_multi(writes: u64) -> Vec<u8> {
    let mut payload = writes.to_ne_bytes().to_vec();
    for number in 0..writes {
        let command = [2 * (number % 2) as u8, 0];
        payload.extend(access(CONFIG, 4, 2, &command));
        payload.extend([0; 6]);
    }
    payload
}

#[test]
fn many_writes_in_one_message_are_done_in_turns_with_others() {
    const WRITES: u64 = 2000;
    let (mut reactor, clients) = served(2);
    let [long, other] = <[UnixStream; 2]>::try_from(clients).unwrap();
    let receiver = long.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        send(&long, Command::RegionWriteMulti, &write_multi(WRITES));
        // What follows waits for it.
        send(&long, Command::RegionRead, &access(CONFIG, 4, 2, &[]));
    });
    let (mut replies, mut answered) = (Vec::new(), 0);
    while replies.len() < 24 + 34 {
        send(&other, Command::RegionRead, &access(CONFIG, 0, 4, &[]));
        for _ in 0..3 {
            turn(&mut reactor);
            replies.extend(received(&receiver));
        }
        assert_eq!(received(&other).len(), 36, "after {answered} others");
        answered += 1;
    }
    sender.join().unwrap();
    assert_eq!(
        replies[2..4],
        Command::RegionWriteMulti.number().to_ne_bytes()
    );
    assert_eq!(replies[16..24], WRITES.to_ne_bytes(), "all are done");
    assert_eq!(replies[24 + 32..], [2, 0], "the last one before the read");
    // Writes to config space are dear, so there are fewer than 240 in a turn.
    assert!(
        answered >= WRITES / 240 / 3,
        "{answered} others were served"
    );
}

#[test]
fn many_maps_are_removed_in_turns_with_others() {
    const MAPS: u64 = 10_000;
    const PAGE: u64 = 4096;
    let (mut reactor, clients) = served(2);
    let [long, other] = <[UnixStream; 2]>::try_from(clients).unwrap();
    let fields = |words: [u32; 2], longs: &[u64]| {
        let mut payload: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        payload.extend(longs.iter().flat_map(|long| long.to_ne_bytes()));
        payload
    };
    let mut replies = 0;
    for map in 0..MAPS {
        send(
            &long,
            Command::DmaMap,
            &fields([32, 3], &[0, map * PAGE, PAGE]),
        );
        if map % 100 == 99 {
            while replies < 16 * (map + 1) {
                turn(&mut reactor);
                replies += received(&long).len() as u64;
            }
        }
    }
    let maps = |reactor: &Reactor| reactor.functions().next().unwrap().1.dma_maps;
    assert_eq!(maps(&reactor), MAPS);
    // One map stays, so this is not all of them.
    let range = fields([24, 0], &[0, (MAPS - 1) * PAGE]);
    send(&long, Command::DmaUnmap, &range);
    let mut answered = 0;
    while received(&long).is_empty() {
        send(&other, Command::RegionRead, &access(CONFIG, 0, 4, &[]));
        while received(&other).is_empty() {
            turn(&mut reactor);
        }
        answered += 1;
    }
    assert_eq!(maps(&reactor), 1);
    assert!(answered >= 2, "{answered} others were served");
}

/// Each has many lines to be carried out when the loop first hears of it.
#[test]
fn many_control_clients_are_served_in_turns_with_others() {
    const CLIENTS: usize = 50;
    let (mut reactor, clients, folder) = served_with_control(1);
    let connect = |_| UnixStream::connect(folder.path().join("control")).unwrap();
    let controls: Vec<UnixStream> = (0..CLIENTS).map(connect).collect();
    for _ in 0..2 * CLIENTS / 16 {
        turn(&mut reactor);
    }
    for mut control in &controls {
        control
            .write_all(&b"{\"verb\":\"inspect\"}\n".repeat(20))
            .unwrap();
    }
    let mut left: Vec<(&UnixStream, usize)> = controls.iter().map(|client| (client, 20)).collect();
    let mut rounds = 0;
    while !left.is_empty() {
        send(&clients[0], Command::RegionRead, &access(CONFIG, 0, 4, &[]));
        for _ in 0..3 {
            turn(&mut reactor);
            for (control, lines) in &mut left {
                loop {
                    let bytes = received(control);
                    if bytes.is_empty() {
                        break;
                    }
                    *lines -= bytes.iter().filter(|&&byte| byte == b'\n').count();
                }
            }
            left.retain(|&(_, lines)| lines > 0);
        }
        assert_eq!(received(&clients[0]).len(), 36, "after {rounds} rounds");
        rounds += 1;
    }
    assert!(rounds > 2, "a thousand lines in {rounds} rounds");
}
