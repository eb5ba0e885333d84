//! BAR memory from one client to the next: a client that keeps its mapping has nothing to do with the
//! function any more.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use client_tests::daemon::Daemon;
use client_tests::raw::RawClient;
use client_tests::raw::wire::region;

const BAR: u32 = 2;
const MEMORY_ON: [u8; 2] = [2, 0];

fn attach(daemon: &Daemon) -> (RawClient, File) {
    let mut client = daemon.attach(0).unwrap();
    client.write(region::CONFIG, 4, &MEMORY_ON).unwrap();
    let mut reply = client.get_region_info(BAR).unwrap();
    let file = File::from(reply.fds.pop().unwrap());
    (client, file)
}

fn byte(file: &File, offset: u64) -> Option<u8> {
    let mut data = [0xee];
    let read = file.read_at(&mut data, offset).unwrap();
    (read == 1).then_some(data[0])
}

#[test]
fn a_mapping_that_outlives_its_client_neither_shows_nor_changes_what_the_next_one_stores() {
    // In the vfio-pci view the function is reset when it is opened.
    for (view, on_disconnect, kept) in [
        ("hardware", "reset", 0),
        ("hardware", "retain", 5),
        ("vfio-pci", "reset", 0),
        ("vfio-pci", "retain", 0),
    ] {
        let case = format!("{view} {on_disconnect}");
        let (daemon, first) = Daemon::testdev(&[
            "bar.2.mappable=true",
            &format!("host.view={view}"),
            &format!("host.on-disconnect={on_disconnect}"),
        ])
        .unwrap();
        drop(first);
        let (client, before) = attach(&daemon);
        before.write_all_at(&[5], 0).unwrap();
        drop(client);
        let (mut client, after) = attach(&daemon);
        assert_eq!(client.read(BAR, 0, 1).unwrap(), [kept], "{case}");
        assert_eq!(before.metadata().unwrap().blocks(), 0, "{case}: given back");
        client.write(BAR, 1, &[6]).unwrap();
        after.write_all_at(&[7], 2).unwrap();
        for at in [1, 2] {
            assert!(!matches!(byte(&before, at), Some(6 | 7)), "{case}: at {at}");
        }
        before.write_all_at(&[9; 4], 0).unwrap();
        assert_eq!(client.read(BAR, 0, 4).unwrap(), [kept, 6, 7, 0], "{case}");
        client.write(region::CONFIG, 4, &[0, 0]).unwrap();
        client.write(region::CONFIG, 4, &MEMORY_ON).unwrap();
        assert_eq!(client.read(BAR, 0, 4).unwrap(), [kept, 6, 7, 0], "{case}");
    }
}

#[test]
fn clients_of_the_same_opening_have_the_same_memory() {
    let (daemon, mut first) =
        Daemon::testdev(&["bar.2.mappable=true", "host.max-clients=2"]).unwrap();
    let (second, file) = attach(&daemon);
    drop(second);
    file.write_all_at(&[5], 0).unwrap();
    assert_eq!(first.read(BAR, 0, 1).unwrap(), [5], "it is still open");
}
