//! BARs of which a client may map areas: how it is told, and what else is in such a BAR.
//!
//! The tests read the file that the server handed out, as in `mapped_bars`.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};

use client_tests::daemon::{Daemon, Spec};
use client_tests::raw::wire::{Bytes, command, field_u16, field_u32, field_u64, region};
use client_tests::raw::{Message, RawClient};

const BAR: u32 = 0;
const SIZE: u64 = 0x8000;
/// Offset and size of what can be mapped.
const AREAS: [(u64, u64); 2] = [(0x2000, 0x1000), (0x4000, 0x3000)];
/// The end of the last area, and of the file.
const END: u64 = 0x7000;
/// A register of the test function that holds what is written to it.
const SCRATCH: u64 = 4;

const READ_WRITE: u32 = 0b11;
const MMAP: u32 = 1 << 2;
const CAPS: u32 = 1 << 3;
const SPARSE_MMAP: u16 = 1;
const SPARSE_MMAP_FDS: u16 = 0x8001;

const PMCSR: u64 = 0x44;
const MEMORY_ON: [u8; 2] = [2, 0];

/// Areas beside the test function's registers, the second one named first.
fn daemon(set: &[&str]) -> Daemon {
    let areas =
        "bar.0.mappable=[{ offset = 0x4000, size = 0x3000 }, { offset = 0x2000, size = 0x1000 }]";
    let spec = Spec::named("testdev").unwrap();
    let spec = spec.set(&["bar.0.size=0x8000", areas]).set(set);
    Daemon::start(&[spec]).unwrap()
}

/// A client that offers these capabilities, if any, and the server's answer.
fn attach(daemon: &Daemon, offer: Option<&str>) -> (RawClient, String) {
    let mut client = RawClient::connect(&daemon.socket(0)).unwrap();
    // Blanks leave room for the answer, which may not be longer.
    let offer = offer.map(|members| format!(r#"{{"capabilities":{{{members}}}}}        "#));
    let reply = client.version(0, 1, offer.as_deref()).unwrap();
    let (_, _, text) = RawClient::version_reply(reply).unwrap();
    client.write(region::CONFIG, 4, &MEMORY_ON).unwrap();
    (client, text.unwrap_or_default())
}

fn ask(client: &mut RawClient, index: u32, argsz: u32) -> Message {
    let payload = Bytes::new().u32(argsz).u32(0).u32(index);
    let payload = payload.u32(0).u64(0).u64(0);
    let reply = client.request(command::DEVICE_GET_REGION_INFO, &payload, &[]);
    reply.unwrap()
}

/// The reply with all that is to say, and what came with it.
fn whole(client: &mut RawClient, index: u32) -> (Vec<u8>, Vec<OwnedFd>) {
    let argsz = field_u32(&ask(client, index, 32).payload, 0);
    let reply = ask(client, index, argsz);
    assert_eq!(reply.payload.len(), argsz as usize);
    (reply.payload, reply.fds)
}

/// The areas of SPARSE_MMAP, which has to be all that there is.
fn areas(reply: &[u8]) -> Vec<(u64, u64)> {
    assert_eq!(field_u32(reply, 4), READ_WRITE | MMAP | CAPS);
    let link = (
        field_u16(reply, 32),
        field_u16(reply, 34),
        field_u32(reply, 36),
    );
    assert_eq!(link, (SPARSE_MMAP, 1, 0));
    let count = field_u32(reply, 40) as usize;
    assert_eq!(reply.len(), 48 + 16 * count);
    let at = (0..count).map(|nth| 48 + 16 * nth);
    at.map(|at| (field_u64(reply, at), field_u64(reply, at + 8)))
        .collect()
}

/// A client that has the file of the areas.
fn mapped(set: &[&str]) -> (Daemon, RawClient, File) {
    let daemon = daemon(set);
    let (mut client, _) = attach(&daemon, Some(r#""max_msg_fds":8"#));
    let file = map(&mut client);
    (daemon, client, file)
}

fn map(client: &mut RawClient) -> File {
    let (_, mut fds) = whole(client, BAR);
    File::from(fds.pop().unwrap())
}

fn len(file: &File) -> u64 {
    file.metadata().unwrap().len()
}

fn byte(file: &File, offset: u64) -> u8 {
    let mut data = [0xee];
    file.read_exact_at(&mut data, offset).unwrap();
    data[0]
}

#[test]
fn areas_come_with_one_descriptor_for_all_unless_the_client_takes_one_for_each() {
    for (offer, several) in [
        (None, false),
        (Some(r#""max_msg_fds":8"#), false),
        (Some(r#""max_msg_fds":8,"sparse_mmap_fds":false"#), false),
        (Some(r#""max_msg_fds":8,"sparse_mmap_fds":true"#), true),
        (Some(r#""max_msg_fds":2,"sparse_mmap_fds":true"#), true),
        (Some(r#""max_msg_fds":1,"sparse_mmap_fds":true"#), false),
        (Some(r#""sparse_mmap_fds":true"#), false),
    ] {
        let daemon = daemon(&[]);
        let (mut client, agreed) = attach(&daemon, offer);
        let offered = offer.is_some_and(|offer| offer.contains(r#""sparse_mmap_fds":true"#));
        assert_eq!(agreed.contains("sparse_mmap_fds"), offered, "{offer:?}");
        let (reply, fds) = whole(&mut client, BAR);
        assert_eq!(field_u64(&reply, 16), SIZE);
        assert_eq!(
            field_u64(&reply, 24),
            0,
            "{offer:?}: where the BAR begins in the file"
        );
        if !several {
            assert_eq!(
                (areas(&reply).as_slice(), fds.len()),
                (&AREAS[..], 1),
                "{offer:?}"
            );
            continue;
        }
        assert_eq!(field_u32(&reply, 4), READ_WRITE | MMAP | CAPS);
        let link = (
            field_u16(&reply, 32),
            field_u16(&reply, 34),
            field_u32(&reply, 36),
        );
        assert_eq!(link, (SPARSE_MMAP_FDS, 1, 0), "{offer:?}");
        assert_eq!(
            (field_u32(&reply, 40), reply.len(), fds.len()),
            (2, 112, 2),
            "{offer:?}"
        );
        for (nth, (offset, size)) in AREAS.into_iter().enumerate() {
            let at = 48 + 32 * nth;
            let area = [0, 8, 16].map(|field| field_u64(&reply, at + field));
            assert_eq!(area, [offset, offset, size], "{offer:?} area {nth}");
            assert_eq!(
                field_u32(&reply, at + 24) as usize,
                nth,
                "{offer:?}: its descriptor"
            );
            client.write(BAR, offset, &[nth as u8 + 5]).unwrap();
        }
        for ((nth, (offset, _)), fd) in AREAS.into_iter().enumerate().zip(fds) {
            assert_eq!(
                usize::from(byte(&File::from(fd), offset)),
                nth + 5,
                "{offer:?}"
            );
        }
    }
}

#[test]
fn a_client_without_room_for_the_areas_is_not_told_that_anything_can_be_mapped() {
    let daemon = daemon(&[]);
    let (mut client, _) = attach(&daemon, Some(r#""max_msg_fds":8"#));
    for argsz in [32, 79] {
        let reply = ask(&mut client, BAR, argsz);
        assert_eq!(
            (reply.payload.len(), reply.fds.len()),
            (32, 0),
            "argsz {argsz}"
        );
        let head = [0, 4, 12].map(|at| field_u32(&reply.payload, at));
        assert_eq!(head, [80, READ_WRITE, 0], "argsz {argsz}");
    }
    let reply = ask(&mut client, BAR, 4096);
    assert_eq!((reply.payload.len(), reply.fds.len()), (80, 1));
}

#[test]
fn a_client_that_takes_no_descriptors_gets_none_and_maps_nothing() {
    let daemon = daemon(&["bar.2.mappable=true"]);
    let (mut client, _) = attach(&daemon, Some(r#""max_msg_fds":0"#));
    for index in [BAR, 2] {
        let (reply, fds) = whole(&mut client, index);
        assert_eq!((reply.len(), fds.len()), (32, 0), "region {index}");
        assert_eq!(field_u32(&reply, 4), READ_WRITE, "region {index}");
    }
}

#[test]
fn registers_are_beside_the_areas_and_memory_is_in_them() {
    let (_daemon, mut client, file) = mapped(&[]);
    assert_eq!(len(&file), END);
    client.write(BAR, SCRATCH, &[1, 2, 3, 4]).unwrap();
    assert_eq!(client.read(BAR, SCRATCH, 4).unwrap(), [1, 2, 3, 4]);
    assert_eq!(
        file.metadata().unwrap().blocks(),
        0,
        "a register is in the file"
    );
    for (offset, size) in AREAS {
        let last = offset + size - 4;
        client.write(BAR, offset, &[5, 6, 7, 8]).unwrap();
        assert_eq!(byte(&file, offset + 3), 8, "{offset:#x}");
        file.write_all_at(&[9, 8, 7, 6], last).unwrap();
        assert_eq!(
            client.read(BAR, last, 4).unwrap(),
            [9, 8, 7, 6],
            "{last:#x}"
        );
        // An access that begins in an area and ends beside it.
        client.write(BAR, last, &[1; 8]).unwrap();
        let read = client.read(BAR, last, 8).unwrap();
        assert_eq!(read, [1, 1, 1, 1, 0, 0, 0, 0], "nothing is there");
    }
    assert_eq!(byte(&file, 0x3000), 0, "between the areas");
}

#[test]
fn pages_of_memory_with_tables_in_it_stay_out_of_what_can_be_mapped() {
    let daemon = daemon(&[
        "bar.4.size=0x8000",
        "bar.4.content=ram",
        "bar.4.mappable=true",
        "capabilities.msix.table-offset=0x1800",
        "capabilities.msix.pba-offset=0x4000",
        "doorbell.0.bar=4",
        "doorbell.0.offset=0x6010",
    ]);
    let (mut client, _) = attach(&daemon, Some(r#""max_msg_fds":8"#));
    let (reply, mut fds) = whole(&mut client, 4);
    let told = [
        (0, 0x1000),
        (0x2000, 0x2000),
        (0x5000, 0x1000),
        (0x7000, 0x1000),
    ];
    assert_eq!(areas(&reply), told);
    let file = File::from(fds.pop().unwrap());
    // An entry of the table, whose last word masks it; then memory in the same page.
    assert_eq!(client.read(4, 0x180c, 4).unwrap(), [1, 0, 0, 0]);
    for (offset, shared) in [
        (0xffc, true),
        (0x1000, false),
        (0x1ffc, false),
        (0x2000, true),
    ] {
        client.write(4, offset, &[7; 4]).unwrap();
        assert_eq!(client.read(4, offset, 4).unwrap(), [7; 4], "{offset:#x}");
        assert_eq!(byte(&file, offset) == 7, shared, "{offset:#x}");
    }
}

#[test]
fn memory_space_enable_and_d3hot_take_areas_away_and_give_them_back() {
    for (no_soft_reset, kept) in [("true", 5), ("false", 0)] {
        let set = format!("capabilities.pm.no-soft-reset={no_soft_reset}");
        let (_daemon, mut client, file) = mapped(&["host.view=vfio-pci", &set]);
        file.write_all_at(&[5], 0x4000).unwrap();
        client.write(region::CONFIG, 4, &[0, 0]).unwrap();
        assert_eq!(len(&file), 0, "Memory Space off");
        client.write(region::CONFIG, 4, &MEMORY_ON).unwrap();
        assert_eq!((len(&file), byte(&file, 0x4000)), (END, 5));
        client.write(region::CONFIG, PMCSR, &[3, 0]).unwrap();
        assert_eq!(len(&file), 0, "D3hot");
        client.write(region::CONFIG, PMCSR, &[0, 0]).unwrap();
        client.write(region::CONFIG, 4, &MEMORY_ON).unwrap();
        assert_eq!((len(&file), byte(&file, 0x4000)), (END, kept), "{set}");
    }
}

#[test]
fn low_power_takes_areas_away_until_it_is_left() {
    let (_daemon, mut client, file) = mapped(&[
        "host.view=vfio-pci",
        "capabilities.pm.no-soft-reset=true",
        "platform.deepest-state=d3hot",
    ]);
    let feature = |client: &mut RawClient, feature: u32| {
        let payload = Bytes::new().u32(8).u32(1 << 17 | feature);
        let reply = client.request(command::DEVICE_FEATURE, &payload, &[]);
        reply.unwrap().success().unwrap();
    };
    file.write_all_at(&[5], 0x2000).unwrap();
    feature(&mut client, 3);
    assert_eq!(len(&file), 0);
    assert_eq!(client.read(BAR, 0x2000, 1).unwrap(), [5], "by message");
    assert_eq!(len(&file), 0, "still engaged");
    feature(&mut client, 5);
    assert_eq!((len(&file), byte(&file, 0x2000)), (END, 5));
}

#[test]
fn areas_are_saved_restored_and_reset_with_the_function() {
    let (daemon, mut client, file) = mapped(&[]);
    let saved = format!("--file={}", daemon.state_file("saved").display());
    let mut control = daemon.control(0).unwrap();
    file.write_all_at(&[5], 0x4000).unwrap();
    control.command(&["save", &saved]).unwrap();
    file.write_all_at(&[6, 6], 0x4000).unwrap();
    client.reset().unwrap().success().unwrap();
    client.write(region::CONFIG, 4, &MEMORY_ON).unwrap();
    assert_eq!(client.read(BAR, 0x4000, 2).unwrap(), [0, 0]);
    drop((client, file));
    control.command(&["restore", &saved]).unwrap();
    let (mut client, _) = attach(&daemon, None);
    assert_eq!(client.read(BAR, 0x4000, 2).unwrap(), [5, 0]);
    let file = map(&mut client);
    assert_eq!((byte(&file, 0x4000), byte(&file, 0x4001)), (5, 0));
}
