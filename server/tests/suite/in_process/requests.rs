use std::io::{Read, Write};

use super::client::{CONFIG, Client, EINVAL, NO_REPLY, access, words};
use super::*;
use vfio_user_protocol::Command;

/// Runs a check under every way of waiting.
fn however_it_waits(check: impl Fn(&Running)) {
    for poll in [PollMode::Auto, PollMode::Off, PollMode::Max(1000)] {
        let mut settings = Settings::default();
        settings.poll = poll;
        check(&Running::with(settings, ClientMemory::FileIo));
    }
}

#[test]
fn a_client_finds_a_device() {
    let server = Running::new();
    let mut client = server.client();
    let info = client
        .request(Command::DeviceGetInfo, &words(&[32, 0, 0, 0]))
        .unwrap();
    assert_eq!(info, words(&[16, 3, 9, 5]));
    for (index, flags, size) in [
        (0, 3, 0x1000),
        (1, 0, 0),
        (6, 0, 0),
        (7, 3, 0x1000),
        (8, 0, 0),
    ] {
        let request = words(&[32, 0, index, 0, 0, 0, 0, 0]);
        let reply = client
            .request(Command::DeviceGetRegionInfo, &request)
            .unwrap();
        assert_eq!(reply, words(&[32, flags, index, 0, size, 0, 0, 0]));
    }
    for (index, flags, count) in [(0, 7, 1), (2, 1, 16), (3, 9, 1)] {
        let request = words(&[16, 0, index, 0]);
        let reply = client.request(Command::DeviceGetIrqInfo, &request).unwrap();
        assert_eq!(reply, words(&[16, flags, index, count]));
    }
    let none = client.request(Command::DeviceGetRegionIoFds, &words(&[16, 0, 0, 0]));
    assert_eq!(none.unwrap(), words(&[16, 0, 0, 0]));
}

#[test]
fn registers_are_read_and_written() {
    however_it_waits(|server| {
        let mut client = server.client();
        assert_eq!(client.read(CONFIG, 0, 4).unwrap(), [0x34, 0x12, 0xc0, 0xd3]);
        assert_eq!(client.register(0), !0, "memory space is off");
        client.enable();
        for value in 0..500 {
            client.set_register(4, value);
            assert_eq!(client.register(4), value);
        }
        assert_eq!(client.request(Command::DeviceReset, &[]), Ok(Vec::new()));
        assert_eq!(client.read(CONFIG, 4, 2).unwrap(), [0, 0]);
    });
}

#[test]
fn what_makes_no_sense_is_refused_and_the_connection_goes_on() {
    let server = Running::new();
    let mut client = Client::new(server.connect());
    let before_version = client.request(Command::DeviceReset, &[]);
    assert_eq!(before_version, Err(EINVAL));
    let version_1 = client.request(Command::Version, &words(&[1]));
    assert_eq!(version_1, Err(EINVAL));
    client.negotiate();
    assert_eq!(client.request(Command::Version, &words(&[0])), Err(EINVAL));
    for (command, payload, errno) in [
        (0, vec![], EINVAL),
        (14, vec![], EINVAL),
        (999, vec![], EINVAL),
        (Command::DmaRead.number(), access(0, 0, 4), EINVAL),
        (Command::RegionWriteMulti.number(), vec![0; 7], EINVAL),
        (Command::RegionRead.number(), vec![0; 15], EINVAL),
        (Command::RegionRead.number(), access(9, 0, 4), EINVAL),
        (
            Command::RegionRead.number(),
            access(CONFIG, 0xffd, 4),
            EINVAL,
        ),
        (
            Command::RegionRead.number(),
            access(CONFIG, u64::MAX, 4),
            EINVAL,
        ),
        (
            Command::RegionRead.number(),
            access(CONFIG, 0, u32::MAX),
            EINVAL,
        ),
        (Command::RegionWrite.number(), access(CONFIG, 0, 4), EINVAL),
        (
            Command::DeviceGetInfo.number(),
            words(&[15, 0, 0, 0]),
            EINVAL,
        ),
        (
            Command::DeviceGetIrqInfo.number(),
            words(&[16, 0, 5, 0]),
            EINVAL,
        ),
        (Command::DeviceFeature.number(), words(&[8, 0x4_000b]), 25),
        (Command::DeviceFeature.number(), words(&[8]), EINVAL),
    ] {
        client.send(command, 0, &payload, &[]);
        assert_eq!(client.receive(), Err(errno), "command {command}");
    }
    // A reply to nothing, an unknown type, and descriptors that the command does not take.
    for flags in [1, 2] {
        client.send(13, flags, &[], &[]);
        assert_eq!(client.receive(), Err(EINVAL));
    }
    let file = tempfile::tempfile().unwrap();
    let with_file = client.request_with(Command::DeviceReset, &[], &[&file]);
    assert_eq!(with_file, Err(EINVAL));
    assert_eq!(client.read(CONFIG, 0, 2).unwrap(), [0x34, 0x12]);
    let connection = server.control().ask("status")["connection"].clone();
    assert_eq!(connection["messages_invalid"], 1);
    assert_eq!(connection["error_replies"], 3 + 15 + 3);
}

#[test]
fn no_reply_means_none_for_success_and_failure() {
    let server = Running::new();
    let mut client = server.client();
    client.enable();
    let write = [access(0, 4, 4), words(&[0x1234_5678])].concat();
    for (command, payload) in [(Command::RegionWrite.number(), write), (999, Vec::new())] {
        client.send(command, NO_REPLY, &payload, &[]);
    }
    assert_eq!(client.register(4), 0x1234_5678);
}

#[test]
fn a_size_that_is_no_size() {
    let server = Running::new();
    let mut client = server.client();
    let header = |size| [&[9, 0, 13, 0][..], &words(&[size, 0, 0])].concat();
    client.stream.write_all(&header(15)).unwrap();
    let mut reply = [0; 16];
    client.stream.read_exact(&mut reply).unwrap();
    assert_eq!(
        reply[..],
        [&[9, 0, 13, 0][..], &words(&[16, 0x21, EINVAL])].concat()
    );
    assert_eq!(client.read(CONFIG, 0, 2).unwrap(), [0x34, 0x12]);

    client.stream.write_all(&header(1 << 30)).unwrap();
    client.stream.read_exact(&mut reply).unwrap();
    assert_eq!(reply[8..], words(&[0x21, EINVAL]));
    assert!(client.is_closed());
}

#[test]
fn queued_requests_are_answered_in_order() {
    however_it_waits(|server| {
        let mut client = server.client();
        for offset in 0..256 {
            let payload = access(CONFIG, offset, 1);
            client.send(Command::RegionRead.number(), 0, &payload, &[]);
        }
        for earlier in (0..256).rev() {
            let reply = client.receive_earlier(earlier).unwrap();
            assert_eq!(reply[0], 255 - earlier as u8);
        }
    });
}

/// A client that asks for far more than it reads is not listened to until it does, and holds up
/// nobody else.
#[test]
fn replies_that_are_not_read_stop_the_client_and_nobody_else() {
    const REQUESTS: u16 = 2000;
    let server = Running::new();
    let mut client = server.client();
    client.enable();
    client.write(2, 0xfff0, b"end of the BAR..").unwrap();
    let mut asking = Client::new(client.stream.try_clone().unwrap());
    let thread = std::thread::spawn(move || {
        for _ in 0..REQUESTS {
            let payload = access(2, 0, 0x1_0000);
            asking.send(Command::RegionRead.number(), 0, &payload, &[]);
        }
    });
    let mut control = server.control();
    while control.ask("status")["connection"]["requests"].as_u64() < Some(20) {}
    let mut received = 0;
    let mut reply = vec![0; 32 + 0x1_0000];
    for _ in 0..REQUESTS {
        client.stream.read_exact(&mut reply).unwrap();
        assert!(reply.ends_with(b"end of the BAR.."));
        received += 1;
        let answered = control.ask("status")["connection"]["replies"]
            .as_u64()
            .unwrap();
        // What waits on either side of the socket is bounded.
        assert!(answered - received < 64, "{answered} {received}");
    }
    thread.join().unwrap();
}

#[test]
fn large_writes_arrive_whole() {
    let server = Running::new();
    let mut client = server.client();
    client.enable();
    let data: Vec<u8> = (0..0x1_0000_u32)
        .map(|at| (at * 7 + (at >> 8)) as u8)
        .collect();
    client.write(2, 0, &data).unwrap();
    assert_eq!(client.read(2, 0, 0x1_0000).unwrap(), data);
}
