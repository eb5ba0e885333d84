//! Large BARs that come and go, turn by turn: nobody waits for the whole of one.
//!
//! The server runs in the test's own thread, so what is counted are turns of its loop.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use client_tests::daemon::{Spec, prepare, socket};
use client_tests::raw::wire::{command, flag, region};
use client_tests::raw::{Message, RawClient, SmallWrite, write_multi};
use dormouse::clock::Clock;
use dormouse::{Server, Settings};

const BAR: u32 = 2;
const SIZE: u64 = 16 << 20;
/// Bytes that may be moved in a turn.
const STEP: u64 = 512 * 1024;
/// Turns that a request takes at most, with a busy neighbour.
const TURNS: u32 = 4;
const COMMAND: u64 = 4;

/// Turns the loop until the client has a reply.
fn reply(server: &mut Server, client: &RawClient) -> (Message, u32) {
    let mut turns = 0;
    while !client.has_message().unwrap() {
        server.turn(Duration::ZERO).unwrap();
        turns += 1;
    }
    (client.receive().unwrap(), turns)
}

fn connect(server: &mut Server, path: &Path) -> RawClient {
    let mut client = RawClient::connect(path).unwrap();
    client
        .post(command::VERSION, flag::COMMAND, &[0, 0, 1, 0], &[])
        .unwrap();
    reply(server, &client).0.success().unwrap();
    client
}

fn write(server: &mut Server, client: &mut RawClient, offset: u64, data: &[u8]) {
    client.post_write(region::CONFIG, offset, data).unwrap();
    reply(server, client).0.success().unwrap();
}

/// Has a neighbour make request after request until the client has its reply. Returns how many
/// requests that were.
fn meanwhile(server: &mut Server, client: &RawClient, neighbour: &mut RawClient) -> u64 {
    let mut requests = 0;
    while !client.has_message().unwrap() {
        neighbour.post_read(region::CONFIG, 0, 2).unwrap();
        let (message, turns) = reply(server, neighbour);
        message.success().unwrap();
        assert!(turns <= TURNS, "the neighbour waited for {turns} turns");
        requests += 1;
    }
    requests
}

#[test]
fn a_neighbour_is_served_while_a_large_bar_comes_and_goes() {
    for view in ["hardware", "vfio-pci"] {
        let mut settings = Settings::default();
        settings.clock = Clock::manual();
        let large = [
            format!("bar.2.size={SIZE}"),
            "bar.2.mappable=true".to_owned(),
            format!("host.view={view}"),
        ];
        let specs = [
            Spec::named("testdev").unwrap().set(&large),
            Spec::named("testdev").unwrap(),
        ];
        let (folder, mut server) = prepare(settings, &specs).unwrap();
        let mut client = connect(&mut server, &socket(&folder, 0));
        let mut neighbour = connect(&mut server, &socket(&folder, 1));
        write(&mut server, &mut client, COMMAND, &[2, 0]);
        let payload = region_info(BAR);
        client
            .post(
                command::DEVICE_GET_REGION_INFO,
                flag::COMMAND,
                &payload,
                &[],
            )
            .unwrap();
        let mut told = reply(&mut server, &client).0;
        let file = File::from(told.fds.pop().unwrap());
        file.write_all_at(&vec![5; SIZE as usize], 0).unwrap();

        for (toggle, name) in [([0, 0], "off"), ([2, 0], "on")] {
            client.post_write(region::CONFIG, COMMAND, &toggle).unwrap();
            let requests = meanwhile(&mut server, &client, &mut neighbour);
            client.receive().unwrap().success().unwrap();
            assert!(
                requests >= SIZE / STEP / u64::from(TURNS),
                "{view}: {name} took no longer than {requests} requests of a neighbour"
            );
        }

        // As many toggles as fit, of which only the last counts.
        let off_and_on = [[0, 0], [2, 0]];
        let toggles = off_and_on.iter().cycle().take(400);
        let toggles: Vec<_> = toggles
            .map(|data| SmallWrite {
                region: region::CONFIG,
                offset: COMMAND,
                data,
            })
            .collect();
        let payload = write_multi(&toggles);
        client
            .post(command::REGION_WRITE_MULTI, flag::COMMAND, &payload, &[])
            .unwrap();
        let requests = meanwhile(&mut server, &client, &mut neighbour);
        client.receive().unwrap().success().unwrap();
        assert!(requests <= 100, "{view}: moved for {requests} requests");

        // It goes with all that is in it, and the next one comes.
        drop((client, file));
        let mut next = RawClient::connect(&socket(&folder, 0)).unwrap();
        next.post(command::VERSION, flag::COMMAND, &[0, 0, 1, 0], &[])
            .unwrap();
        let requests = meanwhile(&mut server, &next, &mut neighbour);
        assert!(
            requests >= SIZE / STEP / u64::from(TURNS),
            "{view}: freed in one go"
        );
        next.receive().unwrap().success().unwrap();
    }
}

fn region_info(index: u32) -> Vec<u8> {
    let words = [32, 0, index, 0, 0, 0, 0, 0];
    words
        .iter()
        .flat_map(|word: &u32| word.to_le_bytes())
        .collect()
}
