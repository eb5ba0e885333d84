//! A second socket for what the server asks: the client's commands and the server's never mix.

use std::os::unix::net::UnixStream;

use client_tests::daemon::{Daemon, Spec};
use client_tests::raw::wire::{Bytes, command, flag};
use client_tests::raw::{Message, RawClient};

use crate::asked::{self, Asked, BASE, EFAULT, ENOSYS, error};

const FAR: u64 = BASE + 0x8_0000;
const COPIED: u32 = 0;
const UNMAPPED: u32 = 1;

fn daemon() -> Daemon {
    Daemon::start(&[Spec::named("testdev").unwrap()]).unwrap()
}

/// A client that offers these capabilities, and the VERSION reply: its text and descriptors.
fn offer(daemon: &Daemon, capabilities: &str) -> (RawClient, String, Message) {
    let mut client = RawClient::connect(&daemon.socket(0)).unwrap();
    let json = format!(r#"{{"capabilities":{{{capabilities}}}}}"#);
    let mut reply = client.version(0, 2, Some(&json)).unwrap();
    let fds = std::mem::take(&mut reply.fds);
    let empty = Message {
        fds,
        payload: Vec::new(),
        ..reply
    };
    let reply = Message {
        fds: Vec::new(),
        ..reply
    };
    let (_, _, text) = RawClient::version_reply(reply).unwrap();
    (client, text.unwrap_or_default(), empty)
}

const OFFER: &str =
    r#""max_msg_fds":8,"max_data_xfer_size":1048576,"twin_socket":{"supported":true}"#;

/// A client with all its memory mapped without a file, and its end of the twin socket.
fn served(daemon: &Daemon) -> (Asked, RawClient) {
    let (client, text, mut reply) = offer(daemon, OFFER);
    assert!(
        text.contains(r#""twin_socket":{"supported":true,"fd_index":0}"#),
        "{text}"
    );
    assert_eq!(reply.fds.len(), 1);
    let twin = RawClient::over(UnixStream::from(reply.fds.remove(0))).unwrap();
    let mut asked = Asked::new(client);
    asked.map(BASE, asked::SIZE);
    (asked, twin)
}

/// Answers the next command on the twin socket.
fn serve(asked: &mut Asked, twin: &RawClient) {
    let command = twin.receive().unwrap();
    let answer = asked.answer(&command).unwrap();
    twin.send(&answer, &[]).unwrap();
}

#[test]
fn a_twin_socket_is_made_for_those_who_can_take_it() {
    let daemon = daemon();
    for (what, capabilities) in [
        ("not offered", r#""max_msg_fds":8"#),
        (
            "not supported",
            r#""max_msg_fds":8,"twin_socket":{"supported":false}"#,
        ),
        (
            "no descriptors taken",
            r#""max_msg_fds":0,"max_dma_maps":65535,"twin_socket":{"supported":true}"#,
        ),
    ] {
        let (client, text, reply) = offer(&daemon, capabilities);
        assert!(!text.contains("twin_socket"), "{what}: {text}");
        assert!(reply.fds.is_empty(), "{what}");
        let mut asked = Asked::new(client);
        asked.map(BASE, asked::SIZE);
        assert_eq!(
            asked.copy(BASE, FAR, 8),
            COPIED,
            "{what}: on the one socket"
        );
    }
    // It would travel with a reply that nobody wants.
    let mut client = RawClient::connect(&daemon.socket(0)).unwrap();
    let json = format!(r#"{{"capabilities":{{{OFFER}}}}}"#);
    let version = Bytes::new()
        .u16(0)
        .u16(2)
        .bytes(json.as_bytes())
        .bytes(&[0]);
    client
        .post(command::VERSION, flag::NO_REPLY, &version, &[])
        .unwrap();
    let mut asked = Asked::new(client);
    asked.map(BASE, asked::SIZE);
    assert_eq!(asked.copy(BASE, FAR, 8), COPIED, "VERSION without a reply");
    drop(asked);
    served(&daemon);
}

#[test]
fn commands_and_their_replies_use_the_twin_socket_only() {
    let daemon = daemon();
    let (mut asked, twin) = served(&daemon);
    asked.start(BASE, FAR, 0x1_0000, 3);
    for _ in 0..6 {
        serve(&mut asked, &twin);
        let before = asked.commands.len();
        asked.status();
        assert_eq!(asked.commands.len(), before, "no command on the first one");
    }
    assert_eq!(asked.outcome(), COPIED);
    assert_eq!(asked.memory[..0x1_0000], asked.memory[0x8_0000..0x9_0000]);
    assert_eq!(asked.commands.len(), 6);
}

#[test]
fn what_has_no_place_on_a_socket_is_dropped() {
    let daemon = daemon();
    let (mut asked, mut twin) = served(&daemon);
    asked.start(BASE, FAR, 8, 1);
    let read = twin.receive().unwrap();
    asked.client.send(&error(&read, EFAULT), &[]).unwrap();
    assert_eq!(asked.status() & 1, 1, "a reply on the other socket is none");
    twin.post(command::DEVICE_GET_INFO, flag::COMMAND, &[0; 16], &[])
        .unwrap();
    let answer = asked.answer(&read).unwrap();
    twin.send(&answer, &[]).unwrap();
    serve(&mut asked, &twin);
    assert_eq!(asked.outcome(), COPIED);
    assert!(!twin.has_message().unwrap(), "nothing is served there");
    let status = daemon.control(0).unwrap().command(&["status"]).unwrap();
    assert_eq!(status["connection"]["dma_replies_dropped"], 1);
    assert_eq!(status["connection"]["messages_invalid"], 1);
}

#[test]
fn an_error_on_the_twin_socket_is_the_transfers() {
    let daemon = daemon();
    let (mut asked, twin) = served(&daemon);
    for errno in [EFAULT, ENOSYS] {
        asked.start(BASE, FAR, 8, 1);
        let read = twin.receive().unwrap();
        twin.send(&error(&read, errno), &[]).unwrap();
        assert_eq!(asked.outcome(), UNMAPPED);
    }
}

#[test]
fn a_client_that_closes_its_twin_socket_is_gone() {
    let daemon = daemon();
    let (asked, twin) = served(&daemon);
    drop(twin);
    asked.client.closed().unwrap();
    served(&daemon);
}

#[test]
fn a_flood_on_the_twin_socket_holds_up_no_request() {
    let daemon = daemon();
    let (mut asked, twin) = served(&daemon);
    asked.start(BASE, FAR, 8, 1);
    let read = twin.receive().unwrap();
    let mut nonsense = error(&read, EFAULT);
    nonsense[0] ^= 0xff;
    let flood = nonsense.repeat(4096);
    std::thread::scope(|scope| {
        let flooding = scope.spawn(|| {
            for _ in 0..64 {
                twin.send(&flood, &[]).unwrap();
            }
        });
        while !flooding.is_finished() {
            assert_eq!(asked.status() & 1, 1);
        }
    });
    let answer = asked.answer(&read).unwrap();
    twin.send(&answer, &[]).unwrap();
    serve(&mut asked, &twin);
    assert_eq!(asked.outcome(), COPIED);
}
