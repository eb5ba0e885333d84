//! A server with little memory, small files and few descriptors goes on.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;

use dormouse::Client;
use dormouse::protocol::messages::dma_map;
use dormouse::protocol::vfio::{DeviceState, DmaMapFlags};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};

use super::control::ok;
use super::program::{Daemon, stderr, try_greet, wait_for};

/// The regions of RAM and of config space.
const RAM: u32 = 2;
const CONFIG: u32 = 7;

fn serve(options: &[&str]) -> Daemon {
    let sockets = [
        "--socket-path",
        "dev",
        "--ctl-path",
        "ctl",
        "--state-dir",
        ".",
    ];
    let mut daemon = Daemon::serve(&[&sockets, options].concat());
    daemon.connect("ctl");
    wait_for("the sandbox", || {
        let log = daemon.output("stderr");
        log.contains("entered the sandbox").then_some(())
    });
    daemon
}

/// Changes a soft limit of the server, whose hard limit is that of this process.
fn limit(daemon: &Daemon, resource: Resource, current: Option<u64>) {
    let pid = Pid::from_raw(daemon.pid().cast_signed());
    let maximum = getrlimit(resource).maximum;
    prlimit(pid, resource, Rlimit { current, maximum }).unwrap();
}

fn client(daemon: &Daemon) -> Client {
    wait_for("the server", || Client::connect(daemon.path("dev")).ok())
}

fn ends_well(mut daemon: Daemon) {
    // The server may need a moment to let the client before go.
    wait_for("another client's turn", || {
        try_greet(&daemon.connect("dev")).ok()
    });
    assert!(daemon.ctl(&["status"]).status.success());
    daemon.signal(Signal::TERM);
    assert_eq!(
        daemon.ended().code(),
        Some(0),
        "{}",
        daemon.output("stderr")
    );
}

/// With 2 GiB of address space the server does what it does otherwise.
#[test]
fn two_gibibytes_of_address_space_are_enough() {
    let daemon = serve(&[]);
    limit(&daemon, Resource::As, Some(2 << 30));
    let mut client = client(&daemon);
    client.set_device_state(DeviceState::Stop).unwrap();
    client.set_device_state(DeviceState::StopCopy).unwrap();
    while client.read_migration_data(1 << 20).unwrap().len() == 1 << 20 {}
    client.reset().unwrap();
    ok(&daemon, &["save", "state"]);
    drop(client);
    wait_for("the client to be gone", || {
        daemon
            .ctl(&["restore", "state"])
            .status
            .success()
            .then_some(())
    });
    ends_well(daemon);
}

/// A server that cannot have the memory that it needs says so, and does not look attacked.
#[test]
fn a_server_without_memory_says_so() {
    let mut daemon = serve(&[]);
    let mut client = client(&daemon);
    let size = fs::read_to_string(format!("/proc/{}/statm", daemon.pid())).unwrap();
    let pages: u64 = size.split(' ').next().unwrap().parse().unwrap();
    limit(&daemon, Resource::As, Some(pages * 4096));
    // Answers are errors or the end: whatever it is, it is no violation of the sandbox.
    for _ in 0..100 {
        if client.read(0, 0, &mut [0; 4]).is_err()
            || UnixStream::connect(daemon.path("dev")).is_err()
        {
            break;
        }
        let _ = daemon.ctl(&["save", "state"]);
    }
    drop(client);
    daemon.signal(Signal::TERM);
    let status = daemon.ended();
    let log = daemon.output("stderr");
    match status.signal() {
        None => assert_eq!(status.code(), Some(0), "{log}"),
        Some(signal) => {
            assert_eq!(signal, libc::SIGABRT, "{log}");
            assert!(log.contains("memory allocation of"), "{log}");
        }
    }
}

/// Files of all kinds that may not grow: the log, a saved state, a client's memory, the file of a back
/// end.
#[test]
fn files_that_may_not_grow_end_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let line = folder.path().join("line");
    let backend = format!("model.backend=file:{}", line.display());
    let daemon = serve(&["-vv", "--profile", "serial", "--set", &backend]);
    limit(&daemon, Resource::Fsize, Some(16));
    let mut driver = client(&daemon);
    driver.write_u16(CONFIG, 4, 1).unwrap();
    for byte in 0..200 {
        // The data register of a UART.
        driver.write(0, 0, &[byte]).unwrap();
    }
    let refused = stderr(&daemon.ctl(&["save", "state"]));
    assert!(refused.contains("File too large"), "{refused}");
    drop(driver);
    ends_well(daemon);
    assert!(fs::metadata(line).unwrap().len() <= 16);

    let daemon = serve(&["-vv", "--set", "bar.2.mappable=true"]);
    limit(&daemon, Resource::Fsize, Some(0x1000));
    let mut driver = client(&daemon);
    let flags = MemfdFlags::CLOEXEC;
    let memory = File::from(memfd_create("ram", flags).unwrap());
    memory.set_len(0x4000).unwrap();
    let map = dma_map::Request {
        flags: DmaMapFlags::READ | DmaMapFlags::WRITE,
        offset: 0,
        address: 0,
        size: 0x4000,
    };
    driver.map_file(&map, Some(memory.as_fd())).unwrap();
    // Decodes memory, whose file may not become as large as it should, and masters the bus.
    let _ = driver.region(RAM);
    driver.write_u16(CONFIG, 4, 6).unwrap();
    driver.write_u32(RAM, 0xf000, 1).unwrap();
    // A copy of 16 bytes to an address behind the limit.
    for (register, value) in [(0x20, 0), (0x28, 0x2000), (0x30, 16), (0x34, 1), (0x38, 1)] {
        driver.write_u32(0, register, value).unwrap();
    }
    let status = wait_for("the copy", || {
        let status = driver.read_u32(0, 0x3c).unwrap();
        (status & 1 == 0).then_some(status)
    });
    assert_eq!(status & 4, 4, "an error of the transfer");
    drop(driver);
    ends_well(daemon);
}

/// Without a descriptor for anything new the server serves those whom it has.
#[test]
fn no_descriptor_for_anything_new_ends_nobody() {
    let daemon = serve(&["--set", "host.max-clients=4"]);
    let mut first = client(&daemon);
    // Those below it are open, among them what the server has set aside for this.
    let open = |number: &u64| fs::symlink_metadata(format!("/proc/{}/fd/{number}", daemon.pid()));
    let lowest = (0..).find(|number| open(number).is_err()).unwrap();
    limit(&daemon, Resource::Nofile, Some(lowest));
    for _ in 0..10 {
        assert!(Client::connect(daemon.path("dev")).is_err());
        assert!(!daemon.ctl(&["status"]).status.success());
        first.read_u32(CONFIG, 0).unwrap();
    }
    limit(&daemon, Resource::Nofile, Some(1024));
    client(&daemon).read_u32(CONFIG, 0).unwrap();
    drop(first);
    ends_well(daemon);
}
