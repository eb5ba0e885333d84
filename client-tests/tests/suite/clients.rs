//! Clients that come, go, come back, say nothing, or do not listen.

use std::os::fd::AsFd;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use client_tests::daemon::{self, Daemon, Spec};
use client_tests::os::{self, Event};
use client_tests::raw::RawClient;
use client_tests::raw::wire::dma_map::READ;
use client_tests::raw::wire::{Bytes, EBUSY, EEXIST, command, flag, header, message, region};

use dormouse::Settings;

use crate::common::{SCRATCH, decoding, goes_on, served};

#[test]
fn a_second_client_is_told_that_the_function_is_busy_and_disturbs_nobody() {
    let (daemon, mut client) = decoding();
    client.write(0, SCRATCH, &[1, 2, 3, 4]).unwrap();
    for _ in 0..100 {
        let errno = RawClient::turned_away(&daemon.socket(0)).unwrap();
        assert_eq!(errno, EBUSY);
    }
    // The reply comes when VERSION is complete, whatever its pieces.
    let mut second = RawClient::connect(&daemon.socket(0)).unwrap();
    let version = Bytes::new().u16(0).u16(1).bytes(&[b' '; 5000]);
    let id = second.next_id();
    for piece in message(id, command::VERSION, flag::COMMAND, &version).chunks(7) {
        assert!(!second.has_message().unwrap());
        second.send(piece, &[]).unwrap();
    }
    let reply = second.receive().unwrap();
    assert_eq!((reply.id, reply.failure().unwrap()), (id, EBUSY));
    // Anything else, and nothing at all, is not answered.
    let other = RawClient::connect(&daemon.socket(0)).unwrap();
    let read = header(1, command::REGION_READ, 32, flag::COMMAND, 0);
    other.send(&read, &[]).unwrap();
    other.closed().unwrap();
    let silent: Vec<RawClient> = (0..40)
        .map(|_| RawClient::connect(&daemon.socket(0)).unwrap())
        .collect();
    silent[0].closed().unwrap();
    silent[39].closed().unwrap();
    drop((second, silent));
    goes_on(&mut client, "a second client");
    assert_eq!(client.read(0, SCRATCH, 4).unwrap(), [1, 2, 3, 4]);
    drop(client);
    goes_on(&mut reattach(&daemon), "the next client");
}

#[test]
fn a_client_that_comes_back_at_once_is_let_in() {
    let (daemon, client) = served();
    drop(client);
    for _ in 0..200 {
        goes_on(
            &mut RawClient::attach(&daemon.socket(0)).unwrap(),
            "the one before",
        );
    }
}

#[test]
fn who_hangs_up_unheard_takes_no_place_from_who_comes_next() {
    let version = message(
        1,
        command::VERSION,
        flag::COMMAND,
        &Bytes::new().u16(0).u16(1),
    );
    for sent in [0, 1, 16, version.len()] {
        let spec = Spec::named("testdev").unwrap();
        let (folder, mut server) = daemon::prepare(Settings::default(), &[spec]).unwrap();
        let socket = daemon::socket(&folder, 0);
        let hasty = RawClient::connect(&socket).unwrap();
        hasty.send(&version[..sent], &[]).unwrap();
        drop(hasty);
        let next = RawClient::connect(&socket).unwrap();
        next.send(&version, &[]).unwrap();
        let handle = server.handle();
        std::thread::scope(|scope| {
            let served = scope.spawn(|| server.run());
            let reply = next.receive();
            handle.shutdown();
            served.join().unwrap().unwrap();
            let sent = format!("{sent} bytes before");
            reply.expect(&sent).success().expect(&sent);
        });
    }
}

/// Attaches when the server has noticed that the last client is gone.
fn reattach(daemon: &Daemon) -> RawClient {
    daemon
        .attach(0)
        .expect("the server has seen the last client go before this one came")
}

#[test]
fn a_client_that_goes_leaves_the_function_reset_or_as_it_is() {
    for (set, kept) in [
        ("host.on-disconnect=reset", false),
        ("host.on-disconnect=retain", true),
    ] {
        let (daemon, mut client) = Daemon::testdev(&[set]).unwrap();
        let trigger = Event::new().unwrap();
        client.write(region::CONFIG, 4, &[2, 0]).unwrap();
        client.write(0, SCRATCH, &[1, 2, 3, 4]).unwrap();
        bind_intx(&mut client, &trigger);
        drop(client);

        let mut client = reattach(&daemon);
        let command = client.read(region::CONFIG, 4, 2).unwrap();
        assert_eq!(command, if kept { [2, 0] } else { [0, 0] }, "{set}");
        client.write(region::CONFIG, 4, &[2, 0]).unwrap();
        let scratch = client.read(0, SCRATCH, 4).unwrap();
        assert_eq!(scratch, if kept { [1, 2, 3, 4] } else { [0; 4] }, "{set}");
        let mut control = daemon.control(0).unwrap();
        control.command(&["intx", "assert"]).unwrap();
        let gone = trigger.take().unwrap();
        assert_eq!(gone, 0, "{set}: the last client's trigger is gone");
        let trigger = Event::new().unwrap();
        bind_intx(&mut client, &trigger);
        let signals = trigger.take().unwrap();
        assert_eq!(
            signals, 1,
            "{set}: INTx is asserted, and nobody has masked it"
        );
    }
}

#[test]
fn the_next_client_finds_no_maps() {
    let (daemon, mut client) = Daemon::testdev(&["host.on-disconnect=retain"]).unwrap();
    let map = |client: &mut RawClient| client.dma_map(READ, 0, 0x10_0000, 0x1000, None).unwrap();
    map(&mut client).success().unwrap();
    assert_eq!(map(&mut client).failure().unwrap(), EEXIST);
    drop(client);
    map(&mut reattach(&daemon)).success().unwrap();
}

fn bind_intx(client: &mut RawClient, trigger: &Event) {
    let request = Bytes::new().u32(20).u32(0x24).u32(0).u32(0).u32(1);
    let reply = client
        .request(command::DEVICE_SET_IRQS, &request, &[trigger.as_fd()])
        .unwrap();
    reply.success().unwrap();
}

#[test]
fn a_client_that_goes_in_the_middle_of_a_message_leaves_a_server_that_serves() {
    let (daemon, client) = served();
    let whole = message(
        1,
        command::REGION_READ,
        flag::COMMAND,
        &Bytes::new().u64(0).u32(7).u32(4),
    );
    client.send(&whole[..20], &[]).unwrap();
    drop(client);
    goes_on(&mut reattach(&daemon), "half a message");
}

#[test]
fn a_client_that_says_nothing_holds_up_no_other_function() {
    let specs = ["testdev", "testdev"].map(|name| Spec::named(name).unwrap());
    let daemon = Daemon::start(&specs).unwrap();
    let silent = RawClient::connect(&daemon.socket(0)).unwrap();
    silent
        .send(&header(1, command::REGION_READ, 32, flag::COMMAND, 0), &[])
        .unwrap();
    goes_on(&mut daemon.attach(1).unwrap(), "beside a silent client");
    assert!(!silent.has_message().unwrap());
}

#[test]
fn a_client_that_does_not_read_its_replies_holds_up_no_other_function() {
    let specs = ["testdev", "testdev"].map(|name| Spec::named(name).unwrap());
    let daemon = Daemon::start(&specs).unwrap();
    let greedy = daemon.attach(0).unwrap();
    let read = message(
        1,
        command::REGION_READ,
        flag::COMMAND,
        &Bytes::new().u64(0).u32(7).u32(0x1000),
    );
    // 64 MiB of replies are more than sockets hold. The server stops reading; sending then waits.
    let stream = read.repeat(16);
    let mut sent = 0;
    while sent < 1024 && os::writable(greedy.as_fd(), Duration::from_millis(200)).unwrap() {
        greedy.send(&stream, &[]).unwrap();
        sent += 1;
    }
    goes_on(
        &mut daemon.attach(1).unwrap(),
        "beside a client that does not read",
    );
    for _ in 0..16 * sent {
        let reply = greedy.receive().unwrap().success().unwrap();
        assert_eq!(reply.len(), 16 + 0x1000);
    }
}

#[test]
fn each_of_32_functions_serves_its_own_client() {
    const FUNCTIONS: usize = 32;
    const ROUNDS: u32 = 200;
    let specs = vec![Spec::named("testdev").unwrap(); FUNCTIONS + 1];
    let daemon = Daemon::start(&specs).unwrap();
    let silent = RawClient::connect(&daemon.socket(FUNCTIONS)).unwrap();
    let all_are_there = Barrier::new(FUNCTIONS);
    let busy = &|number: usize| {
        let mut client = daemon.attach(number).unwrap();
        client.write(region::CONFIG, 4, &[2, 0]).unwrap();
        all_are_there.wait();
        for round in 0..ROUNDS {
            let value = ((number as u32) << 16 | round).to_le_bytes();
            client.write(0, SCRATCH, &value).unwrap();
            client.write(2, u64::from(4 * round), &value).unwrap();
            let read = client.read(0, SCRATCH, 4).unwrap();
            assert_eq!(read, value, "function {number}, round {round}");
        }
        client
    };
    let mut clients: Vec<RawClient> = thread::scope(|scope| {
        let threads: Vec<_> = (0..FUNCTIONS)
            .map(|number| scope.spawn(move || busy(number)))
            .collect();
        let ended = threads.into_iter().map(|thread| thread.join().unwrap());
        ended.collect()
    });
    for (number, client) in clients.iter_mut().enumerate() {
        let expected = (0..ROUNDS).flat_map(|round| ((number as u32) << 16 | round).to_le_bytes());
        let ram = client.read(2, 0, 4 * ROUNDS).unwrap();
        assert!(ram.into_iter().eq(expected), "function {number}");
    }
    assert!(!silent.has_message().unwrap());

    daemon
        .control(7)
        .unwrap()
        .command(&["rail", "off"])
        .unwrap();
    for number in 0..=FUNCTIONS {
        let status = daemon.control(number).unwrap().command(&["status"]);
        let status = status.unwrap();
        assert_eq!(status["name"], format!("testdev-{number}"));
        let state = if number == 7 { "D3cold" } else { "D0" };
        assert_eq!(status["power_state"], state, "function {number}");
        let requests = if number == FUNCTIONS {
            0
        } else {
            3 + 3 * ROUNDS
        };
        assert_eq!(status["connection"]["requests"], requests, "{number}");
    }
}
