//! BARs that a client of the hardware view may map: while the function does not decode them they
//! read ones and lose what is stored, through the mapping as by message.
//!
//! A shared mapping has the bytes of its file, so what is looked at is the file that the server
//! handed out. Its length never changes, so no mapping ever raises SIGBUS.

use std::fs::File;
use std::os::unix::fs::FileExt;

use client_tests::control::Control;
use client_tests::daemon::Daemon;
use client_tests::raw::wire::{Bytes, command, region};
use client_tests::raw::{RawClient, SmallWrite};

const BAR: u32 = 2;
const SIZE: u64 = 0x4_0000;
const COMMAND: u64 = 4;
const PMCSR: u64 = 0x44;
const MEMORY_ON: [u8; 2] = [2, 0];
const PCIE: u8 = 0x10;
/// First, middle and last byte.
const PLACES: [u64; 3] = [0, SIZE / 2 + 1, SIZE - 1];

/// A way to keep the function from decoding its BARs, and the way back but for Memory Space Enable.
struct Case {
    name: &'static str,
    set: &'static str,
    hide: fn(&mut RawClient, &mut Control),
    show: fn(&mut RawClient, &mut Control),
    /// The contents outlast it.
    kept: bool,
}

fn nothing(_: &mut RawClient, _: &mut Control) {}

fn flr(client: &mut RawClient, _: &mut Control) {
    let device_control = capability(client, PCIE) + 8;
    client
        .write(region::CONFIG, device_control, &[0, 0x80])
        .unwrap();
}

const CASES: [Case; 7] = [
    Case {
        name: "Memory Space off",
        set: "host.view=hardware",
        hide: |client, _| client.write(region::CONFIG, COMMAND, &[0, 0]).unwrap(),
        show: nothing,
        kept: true,
    },
    Case {
        name: "D3hot with No_Soft_Reset",
        set: "capabilities.pm.no-soft-reset=true",
        hide: |client, _| client.write(region::CONFIG, PMCSR, &[3, 0]).unwrap(),
        show: |client, _| client.write(region::CONFIG, PMCSR, &[0, 0]).unwrap(),
        kept: true,
    },
    Case {
        name: "D3hot and back without No_Soft_Reset",
        set: "capabilities.pm.no-soft-reset=false",
        hide: |client, _| {
            client.write(region::CONFIG, PMCSR, &[3, 0]).unwrap();
            client.write(region::CONFIG, PMCSR, &[0, 0]).unwrap();
        },
        show: nothing,
        kept: false,
    },
    Case {
        name: "FLR",
        set: "host.view=hardware",
        hide: flr,
        show: nothing,
        kept: false,
    },
    Case {
        name: "bus reset",
        set: "host.view=hardware",
        hide: |_, control| drop(control.command(&["reset", "hot"]).unwrap()),
        show: nothing,
        kept: false,
    },
    Case {
        name: "rail off",
        set: "host.view=hardware",
        hide: |_, control| drop(control.command(&["rail", "off"]).unwrap()),
        show: |_, control| drop(control.command(&["rail", "on"]).unwrap()),
        kept: false,
    },
    Case {
        name: "rail off and on",
        set: "host.view=hardware",
        hide: |_, control| {
            control.command(&["rail", "off"]).unwrap();
            control.command(&["rail", "on"]).unwrap();
        },
        show: nothing,
        kept: false,
    },
];

/// Offset of a capability.
fn capability(client: &mut RawClient, id: u8) -> u64 {
    let mut at = client.read(region::CONFIG, 0x34, 1).unwrap()[0];
    while at != 0 {
        let entry = client.read(region::CONFIG, at.into(), 2).unwrap();
        if entry[0] == id {
            return at.into();
        }
        at = entry[1];
    }
    panic!("there is no capability {id:#x}");
}

fn mapped(set: &[&str]) -> (Daemon, RawClient, File) {
    let mut all = vec!["bar.2.size=0x40000", "bar.2.mappable=true"];
    all.extend(set);
    let (daemon, mut client) = Daemon::testdev(&all).unwrap();
    let file = map(&mut client);
    (daemon, client, file)
}

fn map(client: &mut RawClient) -> File {
    let mut reply = client.get_region_info(BAR).unwrap();
    File::from(reply.fds.pop().unwrap())
}

fn through(file: &File, places: &[u64]) -> Vec<u8> {
    let mut data = vec![0xee; places.len()];
    for (byte, at) in data.iter_mut().zip(places) {
        file.read_exact_at(std::slice::from_mut(byte), *at).unwrap();
    }
    data
}

#[test]
fn a_bar_that_does_not_decode_reads_ones_and_loses_stores_through_the_mapping() {
    for Case {
        name,
        set,
        hide,
        show,
        kept,
    } in CASES
    {
        let (daemon, mut client, file) = mapped(&[set]);
        let mut control = daemon.control(0).unwrap();
        assert_eq!(through(&file, &PLACES), [0xff; 3], "{name}: at first");
        client.write(region::CONFIG, COMMAND, &MEMORY_ON).unwrap();
        assert_eq!(through(&file, &PLACES), [0; 3], "{name}: enabled");
        for at in PLACES {
            file.write_all_at(&[5], at).unwrap();
        }
        hide(&mut client, &mut control);
        assert_eq!(through(&file, &PLACES), [0xff; 3], "{name}");
        for at in PLACES {
            assert_eq!(
                client.read(BAR, at, 1).unwrap(),
                [0xff],
                "{name}: by message"
            );
        }
        // One byte that was something, and one that was nothing.
        for at in [PLACES[0], 0x1000] {
            file.write_all_at(&[9], at).unwrap();
            client.write(BAR, at + 1, &[9]).unwrap();
        }
        show(&mut client, &mut control);
        client.write(region::CONFIG, COMMAND, &MEMORY_ON).unwrap();
        let want = if kept { 5 } else { 0 };
        assert_eq!(through(&file, &PLACES), [want; 3], "{name}: afterwards");
        assert_eq!(through(&file, &[1, 0x1000, 0x1001]), [0; 3], "{name}: lost");
        assert_eq!(client.read(BAR, SIZE - 1, 1).unwrap(), [want], "{name}");
        file.write_all_at(&[6], 7).unwrap();
        assert_eq!(
            client.read(BAR, 7, 1).unwrap(),
            [6],
            "{name}: it is the memory"
        );
    }
}

#[test]
fn low_power_of_the_host_reads_ones_too() {
    let (daemon, mut client, file) = mapped(&["capabilities.pm.no-soft-reset=true"]);
    client.write(region::CONFIG, COMMAND, &MEMORY_ON).unwrap();
    file.write_all_at(&[5], 0).unwrap();
    let mut feature = |feature: u32| {
        let reply = client.device_feature(8, 1 << 17 | feature, &[], &[]);
        reply.unwrap().success().unwrap();
    };
    feature(3);
    assert_eq!(through(&file, &PLACES), [0xff; 3]);
    feature(5);
    client.write(region::CONFIG, COMMAND, &MEMORY_ON).unwrap();
    assert_eq!(through(&file, &[1]), [0]);
    drop(daemon);
}

#[test]
fn pages_beside_an_msix_table_read_ones_and_its_table_stays_out_of_the_file() {
    let set = [
        "bar.4.size=0x4000",
        "bar.4.content=ram",
        "bar.4.mappable=true",
    ];
    let (_daemon, mut client) = Daemon::testdev(&set).unwrap();
    let payload = Bytes::new().u32(4096).u32(0).u32(4);
    let payload = payload.u32(0).u64(0).u64(0);
    let reply = client.request(command::DEVICE_GET_REGION_INFO, &payload, &[]);
    let mut reply = reply.unwrap();
    let file = File::from(reply.fds.pop().unwrap());
    assert_eq!(through(&file, &[0x1000, 0x3fff]), [0xff; 2]);
    client.write(region::CONFIG, COMMAND, &MEMORY_ON).unwrap();
    client.write(4, 0, &[4, 2, 3, 4]).unwrap();
    client.write(4, 0x1000, &[5]).unwrap();
    assert_eq!(through(&file, &[0, 0x1000, 0x3fff]), [0, 5, 0]);
    client.write(region::CONFIG, COMMAND, &[0, 0]).unwrap();
    assert_eq!(through(&file, &[0x1000, 0x3fff]), [0xff; 2]);
    client.write(region::CONFIG, COMMAND, &MEMORY_ON).unwrap();
    assert_eq!(client.read(4, 0, 4).unwrap(), [4, 2, 3, 4]);
    assert_eq!(through(&file, &[0x1000]), [5]);
}

#[test]
fn toggles_and_accesses_in_one_message_come_in_order() {
    let (_daemon, mut client, file) = mapped(&[]);
    let write = |region, offset, data| SmallWrite {
        region,
        offset,
        data,
    };
    let mut writes = Vec::new();
    for _ in 0..100 {
        writes.push(write(region::CONFIG, COMMAND, &[2_u8, 0][..]));
        writes.push(write(BAR, 0, &[5][..]));
        writes.push(write(region::CONFIG, COMMAND, &[0, 0][..]));
        writes.push(write(BAR, 0, &[6][..]));
        writes.push(write(BAR, 1, &[7][..]));
    }
    assert_eq!(client.write_multi(&writes).unwrap(), 500);
    assert_eq!(through(&file, &[0, 1]), [0xff; 2]);
    client.write(region::CONFIG, COMMAND, &MEMORY_ON).unwrap();
    assert_eq!(through(&file, &[0, 1]), [5, 0]);
}

#[test]
fn a_mapping_of_a_bar_that_is_resized_stays_good() {
    let (small, large) = (1_u64 << 20, 1_u64 << 21);
    let (_daemon, mut client) = Daemon::testdev(&[
        "bar.2.size=0x100000",
        "bar.2.mappable=true",
        "capabilities.resizable-bar.offset=0x300",
        "capabilities.resizable-bar.bars=[{ bar = 2, sizes = [0x100000, 0x200000] }]",
    ])
    .unwrap();
    let file = map(&mut client);
    assert_eq!(file.metadata().unwrap().len(), large, "the largest size");
    let resize = |client: &mut RawClient, exponent: u8| {
        client.write(region::CONFIG, COMMAND, &[0, 0]).unwrap();
        client.write(region::CONFIG, 0x309, &[exponent]).unwrap();
        client.write(region::CONFIG, COMMAND, &MEMORY_ON).unwrap();
    };
    client.write(region::CONFIG, COMMAND, &MEMORY_ON).unwrap();
    file.write_all_at(&[5], small - 1).unwrap();
    resize(&mut client, 1);
    assert_eq!(through(&file, &[small - 1, large - 1]), [0; 2]);
    for (at, byte) in [(small - 1, 6), (large - 1, 7)] {
        file.write_all_at(&[byte], at).unwrap();
        assert_eq!(client.read(BAR, at, 1).unwrap(), [byte], "{at:#x}");
    }
    client.write(region::CONFIG, COMMAND, &[0, 0]).unwrap();
    assert_eq!(through(&file, &[small - 1, large - 1]), [0xff; 2]);
    resize(&mut client, 0);
    assert_eq!(through(&file, &[small - 1, large - 1]), [0; 2]);
    file.write_all_at(&[8], small - 1).unwrap();
    assert_eq!(client.read(BAR, small - 1, 1).unwrap(), [8]);
}
