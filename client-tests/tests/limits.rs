//! What is configured as the most that clients may have, and what they hear about one more.

use std::os::fd::AsFd;

use client_tests::daemon::{Daemon, Spec};
use client_tests::os::Memory;
use client_tests::raw::RawClient;
use client_tests::raw::wire::dma_map::READ;
use client_tests::raw::wire::{EMFILE, ENOSPC};
use dormouse::Settings;

const PAGE: u64 = 0x1000;

fn served(settings: Settings) -> (Daemon, RawClient) {
    let daemon = Daemon::start_with(settings, &[Spec::named("testdev").unwrap()]).unwrap();
    let client = daemon.attach(0).unwrap();
    (daemon, client)
}

/// Maps the page of that number. The errno is 0 where that worked.
fn map(client: &mut RawClient, page: u64, memory: &Memory) -> u32 {
    let file = Some(memory.as_fd());
    let reply = client.dma_map(READ, 0, page * PAGE, PAGE, file).unwrap();
    reply.errno().unwrap_or_default()
}

fn unmap(client: &mut RawClient, page: u64) {
    let reply = client.dma_unmap(0, page * PAGE, PAGE).unwrap();
    reply.success().unwrap();
}

#[test]
fn one_map_too_many_has_no_space() {
    let (_daemon, mut client) = served(Settings {
        max_dma_maps: 3,
        ..Settings::default()
    });
    let memory = Memory::new(PAGE).unwrap();
    for page in 0..3 {
        assert_eq!(map(&mut client, page, &memory), 0);
    }
    assert_eq!(map(&mut client, 3, &memory), ENOSPC);
    unmap(&mut client, 1);
    assert_eq!(map(&mut client, 3, &memory), 0);
    assert_eq!(map(&mut client, 1, &memory), ENOSPC);
}

#[test]
fn one_file_too_many_cannot_be_open() {
    let (daemon, mut client) = served(Settings {
        max_dma_files: 2,
        ..Settings::default()
    });
    let [first, second, third] = [(); 3].map(|()| Memory::new(PAGE).unwrap());
    assert_eq!(map(&mut client, 0, &first), 0);
    assert_eq!(map(&mut client, 1, &second), 0);
    assert_eq!(map(&mut client, 2, &third), EMFILE);
    // A file is open once, however many maps it has.
    assert_eq!(map(&mut client, 2, &first), 0);
    unmap(&mut client, 0);
    assert_eq!(map(&mut client, 3, &third), EMFILE);
    unmap(&mut client, 2);
    assert_eq!(map(&mut client, 3, &third), 0);
    drop(client);
    let mut next = daemon.attach(0).unwrap();
    for (page, memory) in [&first, &second].into_iter().enumerate() {
        assert_eq!(
            map(&mut next, page as u64, memory),
            0,
            "with the next client"
        );
    }
}
