//! The bounds of the memory and descriptors that clients can make a server hold, above all before
//! VERSION.

use std::fs;
use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use dormouse::client::Client;

use super::program::{Daemon, greet, try_greet, wait_for};

/// Clients of one function.
const CLIENTS: usize = 64;
/// The largest message before VERSION: its text may have 64 KiB.
const LARGEST: u32 = 65_592;
/// Size in bytes of the buffer into which such a message is received.
const BUFFER: usize = 128 * 1024;
/// Descriptors that a message may carry.
const MESSAGE_FDS: usize = 16;

fn serve() -> Daemon {
    serve_with(&[])
}

fn serve_with(options: &[&str]) -> Daemon {
    let clients = format!("host.max-clients={CLIENTS}");
    let all = [
        "--socket-path",
        "dev",
        "--ctl-path",
        "ctl",
        "--set",
        &clients,
        "--max-ctl-clients",
        "3",
    ];
    let daemon = Daemon::serve(&[&all, options].concat());
    // Its descriptors are counted, of which entering the sandbox takes some for a while.
    wait_for("the sandbox", || {
        let log = daemon.output("stderr");
        log.contains("entered the sandbox").then_some(())
    });
    daemon
}

/// The header of a command of that size, which VERSION is.
fn header(size: u32) -> Vec<u8> {
    let mut header = [7_u16.to_ne_bytes(), 1_u16.to_ne_bytes()].concat();
    header.extend([size.to_ne_bytes(), [0; 4], [0; 4]].concat());
    header
}

fn anonymous_memory(daemon: &Daemon) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() * 1024
}

fn descriptor_numbers(daemon: &Daemon) -> Vec<u64> {
    let folder = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name());
    names
        .map(|name| name.to_str().unwrap().parse().unwrap())
        .collect()
}

fn descriptors(daemon: &Daemon) -> usize {
    descriptor_numbers(daemon).len()
}

/// Waits until the server has dealt with all that was sent to it before.
fn settled(daemon: &Daemon) {
    assert!(daemon.ctl(&["status"]).status.success());
}

fn is_closed(mut client: &UnixStream) -> bool {
    client
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    client.read_to_end(&mut Vec::new()).is_ok()
}

/// As many clients as may be announce the largest message, send all of it but a byte, and the most
/// descriptors with it; others come and are turned away.
#[test]
fn clients_that_have_not_said_who_they_are_cost_little() {
    let mut daemon = serve();
    let folder = fs::File::open("/").unwrap();
    let (memory, fds) = (anonymous_memory(&daemon), descriptors(&daemon));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = daemon.connect("dev");
        send_with_fds(&client, &header(LARGEST), &[folder.as_fd(); MESSAGE_FDS]);
        client.write_all(&vec![0; LARGEST as usize - 17]).unwrap();
        clients.push(client);
    }
    // Some of them say nothing, and the last ones wait for as long as they may.
    let refused: Vec<UnixStream> = (0..200).map(|_| daemon.connect("dev")).collect();
    for refused in &refused {
        assert!(is_closed(refused), "there are enough");
    }
    drop(refused);
    settled(&daemon);
    let grown = anonymous_memory(&daemon).saturating_sub(memory);
    // Beside the buffer a client takes a few kilobytes.
    assert!(grown <= CLIENTS * (BUFFER + 16 * 1024), "{grown} bytes");
    let more = || descriptors(&daemon) - fds;
    let most = CLIENTS * (1 + MESSAGE_FDS);
    wait_for("few descriptors", || {
        (CLIENTS..=most).contains(&more()).then_some(())
    });

    drop(clients);
    wait_for("the descriptors", || {
        (descriptors(&daemon) == fds).then_some(())
    });
    greet(&daemon.connect("dev"));
}

/// Nothing is kept ready for a message because its header says how large it is.
#[test]
fn a_size_that_cannot_be_is_refused_before_it_comes() {
    let mut daemon = serve();
    for size in [LARGEST + 1, 1 << 20, u32::MAX] {
        let mut client = daemon.connect("dev");
        client.write_all(&header(size)).unwrap();
        let mut reply = Vec::new();
        client.read_to_end(&mut reply).unwrap();
        assert_eq!(reply.len(), 16, "an error reply, and the end");
        assert_eq!(reply[12..], 22_u32.to_ne_bytes(), "EINVAL for {size}");
    }
    let mut client = daemon.connect("dev");
    client.write_all(&header(LARGEST)).unwrap();
    client
        .write_all(&vec![b' '; LARGEST as usize - 16])
        .unwrap();
    let mut reply = [0; 16];
    client.read_exact(&mut reply).unwrap();
    try_greet(&client).expect("a proposal that does not suit may be followed by another");
}

/// Requests without end, of which no reply is ever read.
#[test]
fn a_client_that_does_not_read_is_not_listened_to() {
    for (options, most) in [(&[][..], 4 << 20), (&["--max-pending", "65536"], 1 << 20)] {
        let mut daemon = serve_with(options);
        let client = daemon.connect("dev");
        greet(&client);
        settled(&daemon);
        let before = anonymous_memory(&daemon);
        client.set_nonblocking(true).unwrap();
        // 64 KiB of the first BAR's neighbour, which is RAM.
        let mut request = [1_u16.to_ne_bytes(), 9_u16.to_ne_bytes()].concat();
        request.extend([32_u32.to_ne_bytes(), [0; 4], [0; 4]].concat());
        request.extend([[0; 8], [2, 0, 0, 0, 0, 0, 1, 0]].concat());
        let mut sent = 0_usize;
        wait_for("the server to stop listening", || {
            while let Ok(count) = (&client).write(&request) {
                sent += count;
                if count < request.len() {
                    return Some(());
                }
            }
            settled(&daemon);
            (&client).write(&request).is_err().then_some(())
        });
        let grown = anonymous_memory(&daemon).saturating_sub(before);
        assert!(
            grown <= most,
            "{options:?}: {grown} bytes after {sent} bytes of requests"
        );
    }
}

#[test]
fn one_control_client_too_many_is_turned_away() {
    let mut daemon = serve();
    let mut ask = |client: &UnixStream| {
        let mut client = client;
        client.write_all(b"{\"verb\":\"status\"}\n").unwrap();
        let mut reply = [0; 1];
        client.read(&mut reply).is_ok_and(|count| count > 0)
    };
    let mut clients: Vec<_> = (0..3).map(|_| daemon.connect("ctl")).collect();
    assert!(clients.iter().all(&mut ask));
    assert!(is_closed(&daemon.connect("ctl")));
    clients.pop();
    wait_for("a place", || ask(&daemon.connect("ctl")).then_some(()));
}

#[test]
fn a_control_line_without_an_end_is_cut_off() {
    let mut daemon = serve();
    let mut client = daemon.connect("ctl");
    client.write_all(&vec![b'x'; (64 << 10) + 1]).unwrap();
    let mut reply = String::new();
    client.read_to_string(&mut reply).unwrap();
    assert!(reply.contains("longer than 65536 bytes"), "{reply}");
    settled(&daemon);
}

/// Switches the rail until the events that a subscriber does not read are too many.
#[test]
fn a_subscriber_that_does_not_read_is_let_go() {
    let mut daemon = serve();
    let mut subscriber = daemon.connect("ctl");
    subscriber.write_all(b"{\"verb\":\"subscribe\"}\n").unwrap();
    let mut told = BufReader::new(daemon.connect("ctl"));
    settled(&daemon);
    let before = anonymous_memory(&daemon);
    let mut line = String::new();
    wait_for("the end of its patience", || {
        for state in ["off", "on"].repeat(500) {
            let request = format!("{{\"verb\":\"rail\",\"state\":\"{state}\"}}\n");
            told.get_mut().write_all(request.as_bytes()).unwrap();
            line.clear();
            told.read_line(&mut line).unwrap();
            assert!(line.contains("\"ok\""), "{line}");
        }
        daemon
            .output("stderr")
            .contains("dropped a subscriber")
            .then_some(())
    });
    let grown = anonymous_memory(&daemon).saturating_sub(before);
    assert!(grown <= 4 << 20, "{grown} bytes");
    assert!(is_closed(&subscriber));
}

/// Without descriptors the server goes on with those whom it has, closes who comes, and takes who
/// comes later.
#[test]
fn without_descriptors_who_comes_is_closed() {
    let mut daemon = serve();
    let client = daemon.connect("dev");
    greet(&client);
    let pid = Pid::from_raw(daemon.pid().cast_signed());
    let limit = |current| {
        let limit = Rlimit {
            current: Some(current),
            maximum: Some(1024),
        };
        prlimit(pid, Resource::Nofile, limit).unwrap();
    };
    // Those below it are open, among them what the server has set aside for this.
    let numbers = descriptor_numbers(&daemon);
    limit((0..).find(|number| !numbers.contains(number)).unwrap());
    for _ in 0..20 {
        assert!(is_closed(&daemon.connect("dev")));
    }
    limit(1024);
    greet(&daemon.connect("dev"));
}

/// A client's file that is sealed against shrinking.
fn sealed_file(size: u64) -> fs::File {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = fs::File::from(memfd_create("client", flags).unwrap());
    file.set_len(size).unwrap();
    fcntl_add_seals(&file, SealFlags::SHRINK).unwrap();
    file
}

fn address_space(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmSize"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() * 1024
}

/// Sparse files, which cost the client nothing, of all sizes that fit into an address space.
#[test]
fn sparse_files_do_not_take_the_address_space() {
    for (options, limit, process) in [
        (&[][..], 1_u64 << 40, None),
        (&["--max-dma-mapped", "1073741824"], 1 << 30, Some(2 << 30)),
    ] {
        let sealed = ["--set", "host.client-memory=map-sealed"];
        let mut daemon = serve_with(&[&sealed, options].concat());
        let client = daemon.connect("dev");
        greet(&client);
        let before = address_space(&daemon);
        if let Some(process) = process {
            let pid = Pid::from_raw(daemon.pid().cast_signed());
            let limit = Rlimit {
                current: Some(process),
                maximum: Some(process),
            };
            prlimit(pid, Resource::As, limit).unwrap();
        }
        let mut address = 0_u64;
        let mut sizes = 0;
        for shift in (12..47).rev() {
            for _ in 0..3 {
                let size = 1_u64 << shift;
                let file = sealed_file(size);
                let mut message = [9_u16.to_ne_bytes(), 2_u16.to_ne_bytes()].concat();
                message.extend([48_u32, 0, 0, 32, 3].into_iter().flat_map(u32::to_ne_bytes));
                message.extend([0, address, size].into_iter().flat_map(u64::to_ne_bytes));
                send_with_fds(&client, &message, &[file.as_fd()]);
                let mut reply = [0; 16];
                (&client).read_exact(&mut reply).unwrap();
                assert_eq!(reply[12..], [0; 4], "{size:#x} at {address:#x}");
                address += size;
                sizes += size;
            }
        }
        assert!(sizes > limit);
        let grown = address_space(&daemon) - before;
        assert!(
            grown > limit / 2,
            "files are mapped as long as they fit: {grown:#x}"
        );
        assert!(grown < limit + (64 << 20), "{grown:#x} bytes");
        // There is room for all else.
        greet(&daemon.connect("dev"));
        settled(&daemon);
    }
}

fn send_with_fds(socket: &UnixStream, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::empty(),
    )
    .unwrap();
}

/// Small allocations, which the C library would keep for the next client.
#[test]
fn memory_goes_back_when_a_client_that_needed_much_has_gone() {
    const MAPS: u64 = 30_000;
    const PAGE: u64 = 4096;
    let daemon = serve();
    let path = daemon.path("dev");
    // Whatever the first client makes the server allocate for good is there.
    drop(Client::connect(&path).unwrap());
    settled(&daemon);
    let before = anonymous_memory(&daemon);
    let mut client = Client::connect(&path).unwrap();
    for page in 0..MAPS {
        client.map(page * 2 * PAGE, PAGE).unwrap();
    }
    let most = anonymous_memory(&daemon);
    assert!(most > before + 64 * MAPS as usize, "{most} bytes");
    drop(client);
    wait_for("the memory", || {
        (anonymous_memory(&daemon) <= before + before / 20).then_some(())
    });
}
