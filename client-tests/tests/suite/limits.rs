//! The configured limits of clients, and the server's replies to one more.

use std::os::fd::AsFd;

use client_tests::daemon::{Daemon, Spec};
use client_tests::os::{Event, Memory};
use client_tests::raw::RawClient;
use client_tests::raw::wire::dma_map::READ;
use client_tests::raw::wire::{Bytes, EINVAL, EMFILE, ENOSPC, command, region};
use dormouse::Settings;
use dormouse::settings::ClientLimits;

const PAGE: u64 = 0x1000;

fn served(set: impl FnOnce(&mut Settings)) -> (Daemon, RawClient) {
    let mut settings = Settings::default();
    set(&mut settings);
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
    let (_daemon, mut client) = served(|settings| settings.max_dma_maps = 3);
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
    let (daemon, mut client) = served(|settings| settings.max_dma_files = 2);
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

/// A client that has heard what it may send.
fn limited(set: impl FnOnce(&mut ClientLimits)) -> (Daemon, RawClient, String) {
    let mut settings = Settings::default();
    set(&mut settings.client);
    let daemon = Daemon::start_with(settings, &[Spec::named("testdev").unwrap()]).unwrap();
    let mut client = RawClient::connect(&daemon.socket(0)).unwrap();
    let capabilities = r#"{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":4194304}}"#;
    let reply = client.version(0, 1, Some(capabilities)).unwrap();
    let (.., told) = RawClient::version_reply(reply).unwrap();
    (daemon, client, told.unwrap())
}

#[test]
fn a_byte_too_many_is_refused() {
    let (_daemon, mut client, told) = limited(|client| client.transfer = 1 << 13);
    assert!(told.contains(r#""max_data_xfer_size":8192"#), "{told}");
    let access = |count| Bytes::new().u64(0).u32(2).u32(count);
    let all = access(1 << 13);
    for (payload, command, errno) in [
        (all.clone(), command::REGION_READ, None),
        (access((1 << 13) + 1), command::REGION_READ, Some(EINVAL)),
        (all.bytes(&[0; 1 << 13]), command::REGION_WRITE, None),
        (
            access((1 << 13) + 1).bytes(&[0; (1 << 13) + 1]),
            command::REGION_WRITE,
            Some(EINVAL),
        ),
    ] {
        let reply = client.request(command, &payload, &[]).unwrap();
        assert_eq!(reply.errno(), errno, "command {command}");
    }
    client.read(region::CONFIG, 0, 4).unwrap();
}

#[test]
fn more_bytes_than_by_default_are_taken_if_the_server_says_so() {
    let (_daemon, mut client, told) = limited(|client| client.transfer = 1 << 21);
    assert!(told.contains(r#""max_data_xfer_size":2097152"#), "{told}");
    // RAM of 64 KiB: what is too large for the region is refused, the message is not.
    let payload = Bytes::new().u64(0).u32(2).u32(1 << 21);
    let payload = payload.bytes(&vec![0; 1 << 21]);
    let reply = client.request(command::REGION_WRITE, &payload, &[]);
    assert_eq!(reply.unwrap().errno(), Some(EINVAL));
    client.read(region::CONFIG, 0, 4).unwrap();
}

#[test]
fn a_descriptor_too_many_is_refused() {
    let (_daemon, mut client, told) = limited(|client| client.message_fds = 2);
    assert!(told.contains(r#""max_msg_fds":2"#), "{told}");
    let events = [(); 3].map(|()| Event::new().unwrap());
    for (count, errno) in [(2, None), (3, Some(EINVAL))] {
        let fds: Vec<_> = events.iter().take(count).map(Event::as_fd).collect();
        // MSI-X, by eventfd.
        let payload = Bytes::new()
            .u32(20)
            .u32(0x24)
            .u32(2)
            .u32(0)
            .u32(count as u32);
        let reply = client.request(command::DEVICE_SET_IRQS, &payload, &fds);
        assert_eq!(reply.unwrap().errno(), errno, "{count} descriptors");
    }
}
