//! Several clients of one function, and requests that take their time.

use std::thread;

use rustix::event::{EventfdFlags, eventfd};
use vfio_user_protocol::Command;

use super::client::{CONFIG, Client, ENTRY, SET, access, words};
use super::interrupts::capability;
use super::*;

const EBUSY: u32 = 16;
const EEXIST: u32 = 17;
const SLOW: &[&str] = &["host.max-clients=2", "platform.delays=enforce"];

fn asleep(control: &mut Control) -> bool {
    control.status("runtime_status") == "suspended"
}

/// Waits until the server has seen a client's end.
fn wait_for_opens(control: &mut Control, opens: u32) {
    while control.status("opens") != opens {}
}

#[test]
fn as_many_clients_as_there_is_room_for_share_the_device() {
    let server = Running::testdev(&["host.max-clients=2"]);
    let mut control = server.control();
    let (mut a, mut b) = (server.client(), server.client());
    assert_eq!(Client::new(server.connect()).turned_away(), EBUSY);
    a.enable();
    a.set_register(4, 7);
    assert_eq!(b.register(4), 7);
    assert_eq!(control.status("opens"), 2);
    drop(a);
    wait_for_opens(&mut control, 1);
    assert_eq!(b.register(4), 7, "only the last client's end resets it");
    let mut c = server.client();
    drop(b);
    wait_for_opens(&mut control, 1);
    assert_eq!(c.register(4), 7);
    drop(c);
    wait_for_opens(&mut control, 0);
    assert_eq!(server.client().read(CONFIG, 4, 2).unwrap(), [0, 0]);
}

#[test]
fn a_client_that_cannot_open_the_device_is_turned_away() {
    let server = Running::testdev(&["host.disable-idle-d3=false"]);
    let mut control = server.control();
    control.write("{\"verb\":\"fail-resume\",\"errno\":16,\"once\":true}\n");
    let reply = control.line();
    assert!(reply["error"].is_null(), "{reply}");
    assert_eq!(Client::new(server.connect()).turned_away(), EBUSY);
    assert_eq!(control.status("opens"), 0);
    assert_eq!(control.status("connection")["refused"], 1);
    assert_eq!(server.client().read(CONFIG, 0, 2).unwrap(), [0x34, 0x12]);
}

#[test]
fn interrupts_are_the_functions_and_maps_their_clients() {
    let server = Running::testdev(&["host.max-clients=2"]);
    let mut control = server.control();
    let (mut a, mut b) = (server.client(), server.client());
    let trigger = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    a.set_irqs(0x24, 0, (0, 1), &[&trigger]).unwrap();
    let file = tempfile::tempfile().unwrap();
    file.set_len(0x1000).unwrap();
    a.map(0x1000, 0x1000, 0, Some(&file)).unwrap();
    assert_eq!(b.map(0x1000, 0x1000, 0, Some(&file)), Err(EEXIST));
    b.map(0x2000, 0x1000, 0, Some(&file)).unwrap();
    assert_eq!(control.status("connection")["dma_maps"], 2);
    drop(a);
    wait_for_opens(&mut control, 1);
    b.enable();
    control.write("{\"verb\":\"intx\",\"level\":\"assert\"}\n");
    control.line();
    assert_eq!(super::interrupts::wait(&trigger), 1);
    assert_eq!(control.status("connection")["dma_maps"], 1);
    b.map(0x1000, 0x1000, 0, Some(&file)).unwrap();
    drop(b);
    wait_for_opens(&mut control, 0);
    let status = control.ask("status");
    assert_eq!(status["connection"]["dma_maps"], 0);
    assert_eq!(status["irqs"]["bound"]["intx"], 0);
}

/// Opens the function, which vfio-pci wakes and resets first: that takes time.
fn first_client(server: &Running, control: &mut Control) -> Client {
    let mut client = Client::new(server.connect());
    let negotiating = thread::spawn(move || {
        client.negotiate();
        client
    });
    wait_for_opens(control, 1);
    control.advance("1s");
    negotiating.join().unwrap()
}

/// One client's slow request has two effects: the other's entry into low power is answered at
/// once, but the function stays awake until the slow request is answered.
#[test]
fn a_slow_request_keeps_the_function_awake_for_all() {
    let reset: fn(&mut Client) = |client| {
        client.send(Command::DeviceReset.number(), 0, &[], &[]);
    };
    let power_off: fn(&mut Client) = |client| {
        let pmcsr = capability(client, 1) + 4;
        let payload = [access(CONFIG, pmcsr, 2), vec![3, 0]].concat();
        client.send(Command::RegionWrite.number(), 0, &payload, &[]);
    };
    for (view, request, almost) in [
        ("hardware", reset, "99ms"),
        ("vfio-pci", reset, "99ms"),
        ("vfio-pci", power_off, "9ms"),
    ] {
        let view = format!("host.view={view}");
        let server = Running::testdev(&[SLOW, &[&view]].concat());
        let mut control = server.control();
        let mut a = first_client(&server, &mut control);
        let mut b = server.client();
        request(&mut a);
        // B's own requests tell that A's has been looked at.
        b.read(CONFIG, 0, 2).unwrap();
        while control.status("runtime_usage") != 2 {}
        b.feature(SET | ENTRY, &[], &[]).unwrap();
        assert_eq!(control.status("engaged"), true);
        for step in [almost, "999us"] {
            assert_eq!(control.status("runtime_usage"), 1, "{view}");
            assert!(!asleep(&mut control), "{view}");
            assert!(a.hears_nothing(), "{view}");
            control.advance(step);
        }
        assert!(!asleep(&mut control), "{view}");
        control.advance("1us");
        assert!(asleep(&mut control), "{view}");
        a.receive().unwrap();
    }
}

#[test]
fn what_follows_a_slow_request_waits_with_it_and_what_precedes_does_not() {
    let server = Running::testdev(SLOW);
    let mut control = server.control();
    let mut client = server.client();
    let read = |client: &mut Client| {
        client.send(Command::RegionRead.number(), 0, &access(CONFIG, 0, 2), &[]);
    };
    read(&mut client);
    client.send(Command::DeviceReset.number(), 0, &[], &[]);
    read(&mut client);
    client.send(Command::DeviceReset.number(), 0, &[], &[]);
    read(&mut client);
    client.receive_earlier(4).unwrap();
    for (earlier, next) in [(3, 2), (1, 0)] {
        while control.status("runtime_usage") != 2 {}
        assert!(client.hears_nothing());
        control.advance("100ms");
        client.receive_earlier(earlier).unwrap();
        client.receive_earlier(next).unwrap();
    }
    assert_eq!(control.status("runtime_usage"), 1);
}

#[test]
fn a_client_that_goes_lets_go_of_what_it_waited_for() {
    let server = Running::testdev(SLOW);
    let mut control = server.control();
    let (mut a, mut b) = (server.client(), server.client());
    a.send(Command::DeviceReset.number(), 0, &[], &[]);
    while control.status("runtime_usage") != 2 {}
    b.feature(SET | ENTRY, &[], &[]).unwrap();
    assert!(!asleep(&mut control));
    drop(a);
    wait_for_opens(&mut control, 1);
    assert!(asleep(&mut control));
    // Now b's own requests take their time, too: those of a device that is woken from D3cold.
    b.send(
        Command::DeviceGetInfo.number(),
        0,
        &words(&[16, 0, 0, 0]),
        &[],
    );
    while control.status("runtime_usage") != 1 {}
    assert!(b.hears_nothing());
    control.advance("100ms");
    b.receive().unwrap();
    assert!(asleep(&mut control));
}

#[test]
fn a_reply_comes_by_itself_when_its_time_has_come() {
    let device = testdev_with(SLOW);
    let server = Running::serve(device, Settings::default(), ClientMemory::FileIo);
    let mut client = server.client();
    let start = std::time::Instant::now();
    client.request(Command::DeviceReset, &[]).unwrap();
    assert!(start.elapsed() >= std::time::Duration::from_millis(100));
}
