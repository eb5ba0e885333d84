//! BARs that a client of the vfio-pci view may map: the memory is there exactly while vfio-pci would
//! let it be touched.
//!
//! A mapping raises SIGBUS where its file has no bytes any more (mmap(2)), so what is looked at is
//! the file that the server handed out: its size, and what it holds.

use std::fs::File;
use std::os::unix::fs::FileExt;

use client_tests::daemon::Daemon;
use client_tests::raw::RawClient;
use client_tests::raw::wire::{Bytes, command, field_u32, region};

const BAR: u32 = 2;
const SIZE: u64 = 0x1_0000;
/// `VFIO_REGION_INFO_FLAG_MMAP`.
const MMAP: u32 = 1 << 2;
const PMCSR: u64 = 0x44;
const MEMORY_ON: [u8; 2] = [2, 0];

const ENTRY: u16 = 3;
const EXIT: u16 = 5;
const SET: u32 = 1 << 17;

fn mapped(set: &[&str]) -> (Daemon, RawClient) {
    let mut all = vec!["bar.2.mappable=true", "host.view=vfio-pci"];
    all.extend(set);
    let (daemon, mut client) = Daemon::testdev(&all).unwrap();
    client.write(region::CONFIG, 4, &MEMORY_ON).unwrap();
    (daemon, client)
}

fn map(client: &mut RawClient) -> File {
    let reply = client.get_region_info(BAR).unwrap();
    assert_eq!(reply.fds.len(), 1, "a descriptor with every reply");
    let Some(fd) = reply.fds.into_iter().next() else {
        panic!("a descriptor came");
    };
    assert_eq!(field_u32(&reply.payload, 4) & MMAP, MMAP);
    File::from(fd)
}

fn feature(client: &mut RawClient, feature: u16) {
    let payload = Bytes::new().u32(8).u32(SET | u32::from(feature));
    let reply = client.request(command::DEVICE_FEATURE, &payload, &[]);
    reply.unwrap().success().unwrap();
}

fn size(file: &File) -> u64 {
    file.metadata().unwrap().len()
}

#[test]
fn only_what_may_be_mapped_comes_with_a_descriptor() {
    let (_daemon, mut client) = mapped(&[]);
    for index in [0, 1, 4, 6, 7] {
        let reply = client.get_region_info(index).unwrap();
        assert_eq!(reply.fds.len(), 0, "region {index}");
        assert_eq!(field_u32(&reply.payload, 4) & MMAP, 0, "region {index}");
    }
    assert_eq!(size(&map(&mut client)), SIZE);
    assert_eq!(size(&map(&mut client)), SIZE, "asked again");
}

#[test]
fn messages_and_mappings_see_the_same_bytes() {
    let (_daemon, mut client) = mapped(&[]);
    let file = map(&mut client);
    client.write(BAR, 0x10, &[1, 2, 3, 4]).unwrap();
    let mut data = [0; 4];
    file.read_exact_at(&mut data, 0x10).unwrap();
    assert_eq!(data, [1, 2, 3, 4]);
    file.write_all_at(&[9, 8, 7, 6], 0xfffc).unwrap();
    assert_eq!(client.read(BAR, 0xfffc, 4).unwrap(), [9, 8, 7, 6]);
}

#[test]
fn memory_space_enable_takes_the_memory_away_and_gives_it_back() {
    let (_daemon, mut client) = mapped(&[]);
    let file = map(&mut client);
    file.write_all_at(&[5], 0).unwrap();
    client.write(region::CONFIG, 4, &[0, 0]).unwrap();
    assert_eq!(size(&file), 0);
    client.write(region::CONFIG, 4, &MEMORY_ON).unwrap();
    assert_eq!(size(&file), SIZE);
    assert_eq!(client.read(BAR, 0, 1).unwrap(), [5]);
}

#[test]
fn d3hot_takes_the_memory_away_and_no_soft_reset_says_what_comes_back() {
    for (no_soft_reset, kept) in [("true", 5), ("false", 0)] {
        let set = format!("capabilities.pm.no-soft-reset={no_soft_reset}");
        let (_daemon, mut client) = mapped(&[&set]);
        let file = map(&mut client);
        file.write_all_at(&[5], 0).unwrap();
        client.write(region::CONFIG, PMCSR, &[3, 0]).unwrap();
        assert_eq!(size(&file), 0, "{set}");
        client.write(region::CONFIG, PMCSR, &[0, 0]).unwrap();
        client.write(region::CONFIG, 4, &MEMORY_ON).unwrap();
        assert_eq!(size(&file), SIZE, "{set}");
        let mut data = [9];
        file.read_exact_at(&mut data, 0).unwrap();
        assert_eq!(data, [kept], "{set}");
    }
}

#[test]
fn low_power_takes_the_memory_away_until_it_is_left_however_awake_the_device_is() {
    for (deepest, kept) in [("d3hot", 5), ("d3cold", 0)] {
        let (_daemon, mut client) = mapped(&[
            "capabilities.pm.no-soft-reset=true",
            &format!("platform.deepest-state={deepest}"),
        ]);
        let file = map(&mut client);
        file.write_all_at(&[5], 0).unwrap();
        feature(&mut client, ENTRY);
        assert_eq!(size(&file), 0, "{deepest}");
        assert_eq!(
            client.read(BAR, 0, 1).unwrap(),
            [kept],
            "{deepest}: by message"
        );
        assert_eq!(size(&file), 0, "{deepest}: still engaged");
        feature(&mut client, EXIT);
        assert_eq!(size(&file), SIZE, "{deepest}");
        let mut data = [9];
        file.read_exact_at(&mut data, 0).unwrap();
        assert_eq!(data, [kept], "{deepest}");
    }
}

#[test]
fn a_reset_clears_the_memory_and_a_client_that_goes_loses_it() {
    let (daemon, mut client) = mapped(&[]);
    let file = map(&mut client);
    file.write_all_at(&[5], 0).unwrap();
    client.reset().unwrap().success().unwrap();
    assert_eq!(client.read(BAR, 0, 1).unwrap(), [0]);
    file.write_all_at(&[6], 0).unwrap();
    drop(client);
    let mut client = daemon.attach(0).unwrap();
    assert_eq!(client.read(BAR, 0, 1).unwrap(), [0]);
    assert_eq!(size(&file), 0, "for good");
    assert_eq!(size(&map(&mut client)), SIZE, "an open has Memory Space on");
    assert_eq!(size(&file), 0, "the next client has a file of its own");
}
