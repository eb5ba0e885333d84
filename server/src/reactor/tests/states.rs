//! Functions with much memory are saved and restored while others are served.

use pci_device_models::host::DeviceMut;
use serde_json::{Value, json};

use super::*;
use crate::stream::{Outgoing, Piece};

const RAM: u8 = 2;
const MIB: u64 = 1 << 20;
const MEMORY: u64 = 16 * MIB;

/// Two functions with memory, and the folder of the control socket of the first one.
fn pair(mappable: bool) -> (Reactor, Vec<UnixStream>, TempDir) {
    let mappable = if mappable { "true" } else { "false" };
    let set = [("bar.2.size", "0x1000000"), ("bar.2.mappable", mappable)];
    served_with(2, &set)
}

fn first(reactor: &mut Reactor) -> DeviceMut<'_> {
    reactor.slots[0].devices.first_mut()
}

/// Puts bytes that are not zero into the first `len` bytes of the memory.
fn fill(reactor: &mut Reactor, len: u64, byte: u8) {
    let mut device = first(reactor);
    let memory = device.bar_memory_mut(RAM).unwrap();
    for offset in (0..len).step_by(4096) {
        memory.write(offset, &[byte; 4096]);
    }
}

fn byte_at(reactor: &mut Reactor, offset: u64) -> u8 {
    let mut byte = [0];
    let mut device = first(reactor);
    device.bar_memory_mut(RAM).unwrap().read(offset, &mut byte);
    byte[0]
}

fn connect(reactor: &mut Reactor, folder: &TempDir) -> UnixStream {
    let control = UnixStream::connect(folder.path().join("control")).unwrap();
    turn(reactor);
    control
}

fn say(mut control: &UnixStream, line: &Value) {
    control.write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn reply(control: &UnixStream) -> Option<Value> {
    let bytes = received(control);
    (!bytes.is_empty()).then(|| serde_json::from_slice(&bytes).unwrap())
}

/// Turns the loop until the control client has its reply, and has others served meanwhile. Returns the
/// reply and the number of rounds.
fn rounds(
    reactor: &mut Reactor,
    folder: &TempDir,
    neighbour: &UnixStream,
    control: &UnixStream,
) -> (Value, u64) {
    let other = connect(reactor, folder);
    for rounds in 1.. {
        send(neighbour, Command::RegionRead, &access(CONFIG, 0, 4, &[]));
        say(&other, &json!({"verb": "status"}));
        let (mut answered, mut status, mut done) = (false, None, None);
        for _ in 0..4 {
            turn(reactor);
            answered |= received(neighbour).len() == 36;
            status = status.or_else(|| reply(&other));
            done = done.or_else(|| reply(control));
        }
        assert!(answered, "a neighbour in round {rounds}");
        assert!(status.is_some_and(|status| status["ok"].is_object()));
        if let Some(done) = done {
            return (done, rounds);
        }
        assert!(rounds < 1000, "it does not end");
    }
    unreachable!()
}

#[test]
fn a_function_is_saved_and_restored_in_steps_with_others() {
    for mappable in [false, true] {
        let (mut reactor, clients, folder) = pair(mappable);
        let [own, neighbour] = <[UnixStream; 2]>::try_from(clients).unwrap();
        fill(&mut reactor, MEMORY, 7);
        let control = connect(&mut reactor, &folder);
        let file = folder.path().join("state");
        say(&control, &json!({"verb": "save", "file": file}));
        turn(&mut reactor);
        // Requests of its own clients, and their time, wait for the end.
        send(&own, Command::RegionWrite, &access(RAM.into(), 0, 1, &[9]));
        let clock = reactor.clock.now();
        let (saved, taken) = rounds(&mut reactor, &folder, &neighbour, &control);
        assert!(saved["ok"].is_object(), "{saved}");
        assert!(taken > 2, "{taken} rounds for {MEMORY:#x} bytes");
        assert_eq!(reactor.clock.now(), clock);
        for _ in 0..4 {
            turn(&mut reactor);
        }
        assert!(!received(&own).is_empty(), "it is served again");
        drop(own);
        for _ in 0..4 {
            turn(&mut reactor);
        }
        fill(&mut reactor, MEMORY, 1);
        say(&control, &json!({"verb": "restore", "file": file}));
        let (restored, taken) = rounds(&mut reactor, &folder, &neighbour, &control);
        assert!(restored["ok"].is_object(), "{restored}");
        assert!(taken > 2, "{taken} rounds for {MEMORY:#x} bytes");
        for offset in [0, 4095, MEMORY / 2, MEMORY - 1] {
            assert_eq!(byte_at(&mut reactor, offset), 7, "{offset:#x}");
        }
    }
}

#[test]
fn a_message_of_many_records_is_taken_in_turns_with_others() {
    /// RESUMING, as DEVICE_FEATURE sets `VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE`.
    const RESUMING: [u32; 4] = [16, 2 | 1 << 17, 4, u32::MAX];
    const RECORDS: u64 = 30_000;
    let (mut reactor, clients) = served(2);
    let [own, neighbour] = <[UnixStream; 2]>::try_from(clients).unwrap();
    let resuming = RESUMING.map(u32::to_ne_bytes).concat();
    send(&own, Command::DeviceFeature, &resuming);
    turn(&mut reactor);
    assert!(!received(&own).is_empty());
    let device = first(&mut reactor);
    let mut stream = Outgoing::of_stopped(device.as_ref(), Time::ZERO);
    let Piece::Bytes(bytes) = stream.read(device.as_ref(), 1 << 10) else {
        panic!("a stream begins at once");
    };
    // The label alone, and bytes of memory one by one.
    let length = u32::from_le_bytes(*bytes[4..].first_chunk().unwrap());
    let mut data = bytes[..8 + length as usize].to_vec();
    for record in 0..RECORDS {
        let offset = (record % (64 << 10)).to_le_bytes();
        data.extend([1_u32, 13, RAM.into()].map(u32::to_le_bytes).as_flattened());
        data.extend(offset.iter().chain(&[7]));
    }
    let size = data.len() as u32;
    let payload = [&[8 + size, size].map(u32::to_ne_bytes).concat(), &data[..]].concat();
    let mut sent = 0;
    let message = message(Command::MigDataWrite, &payload);
    let mut answered = 0;
    loop {
        own.set_nonblocking(true).unwrap();
        while let Some(rest) = message.get(sent..).filter(|rest| !rest.is_empty())
            && let Ok(count) = (&own).write(rest)
        {
            sent += count;
        }
        send(&neighbour, Command::RegionRead, &access(CONFIG, 0, 4, &[]));
        while received(&neighbour).is_empty() {
            turn(&mut reactor);
        }
        if sent < message.len() {
            continue;
        }
        let reply = received(&own);
        if !reply.is_empty() {
            assert_eq!(reply.len(), 16, "a success");
            break;
        }
        answered += 1;
    }
    assert!(answered >= 5, "{answered} others were served");
}

#[test]
fn a_save_whose_client_goes_holds_nothing_for_ever() {
    let (mut reactor, clients, folder) = pair(false);
    fill(&mut reactor, MEMORY, 7);
    let control = connect(&mut reactor, &folder);
    let file = folder.path().join("state");
    say(&control, &json!({"verb": "save", "file": file}));
    // On a busy machine, the control clients' time of a turn may be over before it is their turn.
    for _ in 0..100 {
        turn(&mut reactor);
        if first(&mut reactor).is_held() {
            break;
        }
    }
    assert!(first(&mut reactor).is_held());
    let other = connect(&mut reactor, &folder);
    say(&other, &json!({"verb": "save", "file": file}));
    say(&other, &json!({"verb": "pme"}));
    let mut refused = String::new();
    while first(&mut reactor).is_held() && refused.matches("\"kind\":\"busy\"").count() < 2 {
        turn(&mut reactor);
        refused += std::str::from_utf8(&received(&other)).unwrap();
    }
    assert_eq!(refused.matches("\"kind\":\"busy\"").count(), 2, "{refused}");
    assert!(first(&mut reactor).is_held(), "the save is not over");
    drop(control);
    let mut turns = 0;
    while first(&mut reactor).is_held() {
        turn(&mut reactor);
        turns += 1;
        assert!(turns < 1000, "it is held");
    }
    assert!(!folder.path().join("state.part").exists(), "half a state");
    send(&clients[0], Command::RegionRead, &access(CONFIG, 0, 4, &[]));
    turn(&mut reactor);
    assert_eq!(received(&clients[0]).len(), 36);
}
