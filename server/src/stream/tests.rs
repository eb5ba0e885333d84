//! Streams in memory: their costs, counted, and what is refused.

use pci_device_models::host::DeviceSet;
use pci_device_models::model::Registry;
use pci_device_models::profile::Profile;
use pci_device_models::time::Time;
use vfio_user_protocol::Errno;

use super::record::{self, HEAD, LABEL, MAX_MEMORY, STATE};
use super::*;

const RAM: u8 = 2;
const KIB: usize = 1 << 10;
const MIB: u64 = 1 << 20;
const NOW: Time = Time::ZERO;

fn devices(ram: u64) -> DeviceSet {
    let text = Profile::builtin("testdev").unwrap();
    let set = [("bar.2.size".to_owned(), ram.to_string())];
    let profile = Profile::parse("testdev", text, &set).unwrap();
    profile.device_set(&Registry::builtin()).unwrap()
}

fn put(devices: &mut DeviceSet, offset: u64, bytes: &[u8]) {
    let mut device = devices.first_mut();
    device.bar_memory_mut(RAM).unwrap().write(offset, bytes);
}

fn filled(ram: u64) -> DeviceSet {
    let mut devices = devices(ram);
    for offset in (0..ram).step_by(4096) {
        put(&mut devices, offset, &[offset as u8 | 1; 4096]);
    }
    devices
}

/// Reads on to the end, and returns the number of steps that took as well.
fn read(stream: &mut Outgoing, devices: &DeviceSet, most: usize) -> (Vec<u8>, usize) {
    let mut all = Vec::new();
    for steps in 1.. {
        match stream.read(devices.first(), most) {
            Piece::Waits => {}
            Piece::Bytes(bytes) => {
                all.extend_from_slice(bytes);
                if bytes.len() < most {
                    return (all, steps);
                }
            }
        }
        assert!(
            stream.held() <= most + HEAD + MAX_MEMORY,
            "{}",
            stream.held()
        );
    }
    unreachable!()
}

fn whole(devices: &DeviceSet) -> Vec<u8> {
    read(
        &mut Outgoing::of_stopped(devices.first(), NOW),
        devices,
        KIB,
    )
    .0
}

fn label(devices: &DeviceSet) -> Vec<u8> {
    let stream = whole(devices);
    let (kind, length) = record::head(&stream).unwrap();
    assert_eq!(kind, LABEL);
    stream[..HEAD + length].to_vec()
}

#[test]
fn a_stream_is_made_as_it_is_read_and_taken_as_it_comes() {
    let from = filled(4 * MIB);
    let mut stream = Outgoing::of_stopped(from.first(), NOW);
    let (bytes, _) = read(&mut stream, &from, 64 * KIB);
    for piece in [KIB, 64 * KIB + 1, bytes.len()] {
        let mut to = devices(4 * MIB);
        let mut incoming = Incoming::new(to.first());
        for piece in bytes.chunks(piece) {
            incoming.write(to.first(), piece).unwrap();
        }
        let Restored { state, image } = incoming.finish_all().unwrap();
        let mut device = to.first_mut();
        device.restore_state(NOW, &state, image).unwrap();
        assert!(device.fill_memory(0), "nothing is copied");
        assert_eq!(to.save(NOW), from.save(NOW));
    }
}

#[test]
fn blank_memory_takes_no_steps() {
    let devices = devices(1024 * MIB);
    let mut stream = Outgoing::of_stopped(devices.first(), NOW);
    let (_, steps) = read(&mut stream, &devices, 64 * KIB);
    assert_eq!(steps, 1);
}

#[test]
fn much_memory_that_has_not_changed_is_passed_over_in_steps() {
    let devices = filled(8 * MIB);
    let mut stream = Outgoing::new(devices.first());
    stream.copy_ahead();
    read(&mut stream, &devices, 64 * KIB);
    stream.complete(devices.first(), NOW);
    let (rest, steps) = read(&mut stream, &devices, 64 * KIB);
    assert!(rest.len() < 16 * KIB, "the state alone: {}", rest.len());
    assert!(steps >= 4, "2048 pages in {steps} steps");
}

/// With little memory the figure is exact; with much it comes near as it is asked for again.
#[test]
fn what_is_left_is_never_less_than_what_comes() {
    for ram in [MIB, 16 * MIB] {
        let mut devices = filled(ram);
        let mut stream = Outgoing::new(devices.first());
        let before = stream.left(devices.first(), NOW);
        assert!(before >= whole(&devices).len() as u64);
        stream.copy_ahead();
        let half = stream.left(devices.first(), NOW);
        assert!(half >= whole(&devices).len() as u64);
        read(&mut stream, &devices, 64 * KIB);
        put(&mut devices, 0x3000, b"changed");
        put(&mut devices, 0x5000, &[0; 4096]);
        let mut figures = Vec::new();
        for _ in 0..=ram / (2 * MIB) {
            figures.push(stream.left(devices.first(), NOW));
        }
        // A query reads 512 pages at most: the others count as a whole until it is their turn.
        let pages = ram / 4096;
        for (queries, figure) in (1..).zip(&figures) {
            let unread = pages.saturating_sub(queries * 512);
            assert!(*figure >= unread * 4096, "{figures:?}");
        }
        stream.complete(devices.first(), NOW);
        let stopped = stream.left(devices.first(), NOW);
        let (rest, _) = read(&mut stream, &devices, 64 * KIB);
        let rest = rest.len() as u64;
        assert!(
            figures.iter().all(|figure| *figure >= rest),
            "{figures:?}: {rest}"
        );
        // A page that was written with zeros may count as one that has not been sent.
        let most = rest + (HEAD + MAX_MEMORY) as u64;
        assert!(figures.last().unwrap() <= &most, "{figures:?}: {rest}");
        assert!((rest..=most).contains(&stopped), "{stopped}: {rest}");
        assert_eq!(stream.left(devices.first(), NOW), 0);
    }
}

#[test]
fn a_page_is_held_once_however_often_it_comes() {
    let devices = devices(64 * 4096);
    let mut incoming = Incoming::new(devices.first());
    incoming.write(devices.first(), &label(&devices)).unwrap();
    let mut records = Vec::new();
    for round in 0..40_u64 {
        for page in 0..32 {
            let offset = page * 4096 + round;
            record::put(
                1,
                &[&[2, 0, 0, 0], &offset.to_le_bytes()[..], &[7]].concat(),
                &mut records,
            );
        }
    }
    for piece in records.chunks(1000) {
        incoming.write(devices.first(), piece).unwrap();
        let held = incoming.held();
        assert!(held <= 32 * 4096 + 1000 + HEAD + MAX_MEMORY, "{held} bytes");
    }
}

#[test]
fn what_costs_too_much_is_refused_before_it_is_held() {
    let devices = devices(MIB);
    let label = label(&devices);
    let refused = |kind: u32, payload: &[u8], announced: usize| {
        let mut incoming = Incoming::new(devices.first());
        incoming.write(devices.first(), &label).unwrap();
        let mut bytes = [kind, announced as u32].map(u32::to_le_bytes).concat();
        bytes.extend_from_slice(payload);
        let error = incoming.write(devices.first(), &bytes).unwrap_err();
        (error.errno(), error.to_string())
    };
    // A state that is too long is refused by its head.
    let (errno, text) = refused(STATE, &[], 64 << 20);
    assert_eq!(errno, Errno::EFBIG, "{text}");
    assert!(
        text.contains("67108864 bytes; it may have 262144 at most"),
        "{text}"
    );
    let (errno, _) = refused(1, &[], MAX_MEMORY + 1);
    assert_eq!(errno, Errno::EINVAL);
    // One that is short, but has many values, is refused by its text.
    for text in [
        "[0,".repeat(20_000),
        "{\"\":[".repeat(20_000),
        "0,".repeat(60_000),
    ] {
        let (errno, text) = refused(STATE, text.as_bytes(), text.len());
        assert_eq!(errno, Errno::EFBIG, "{text}");
        assert!(text.contains("JSON values or more"), "{text}");
    }
    // Pages beyond the memory have no place.
    for (bar, offset) in [(0, 0), (2, MIB), (2, u64::MAX), (9, 0)] {
        let payload = [&u32::to_le_bytes(bar), &u64::to_le_bytes(offset)[..], &[1]].concat();
        let (errno, text) = refused(1, &payload, payload.len());
        assert_eq!(errno, Errno::EINVAL, "{text}");
        assert!(text.contains("function.core.ram"), "{text}");
    }
}

#[test]
fn the_longest_stream_is_that_of_the_device() {
    for ram in [MIB, 16 * MIB] {
        let devices = devices(ram);
        let limits = StreamLimits::of(devices.first());
        let records = 2 * ram / 4096 * (HEAD + MAX_MEMORY) as u64;
        limits.check(records + 256 * 1024).unwrap();
        let refused = limits.check(records + 300 * 1024).unwrap_err();
        assert_eq!(refused.errno(), Errno::EFBIG);
        limits.check(whole(&filled(ram)).len() as u64).unwrap();
    }
}

#[test]
fn a_record_that_comes_in_small_pieces_stays_in_its_place() {
    let devices = devices(MIB);
    let mut incoming = Incoming::new(devices.first());
    incoming.write(devices.first(), &label(&devices)).unwrap();
    let mut record = Vec::new();
    record::put(STATE, &vec![b' '; 100 * KIB], &mut record);
    let (head, payload) = record.split_at(HEAD);
    incoming.write(devices.first(), head).unwrap();
    let place = incoming.place();
    for piece in payload[1..].chunks(100) {
        incoming.write(devices.first(), piece).unwrap();
        assert_eq!(incoming.place(), place);
    }
}
