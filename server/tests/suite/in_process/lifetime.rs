use std::time::Duration;

use super::client::{CONFIG, Client};
use super::*;

const EBUSY: u32 = 16;

#[test]
fn one_client_after_the_other_but_not_two() {
    let server = Running::new();
    let mut control = server.control();
    for clients in 1..=3 {
        let mut client = server.client();
        let mut second = Client::new(server.connect());
        assert_eq!(second.turned_away(), EBUSY);
        client.enable();
        let connection = control.ask("status")["connection"].clone();
        assert_eq!(connection["clients"], clients);
        assert_eq!(connection["refused"], clients);
        drop(client);
        while control.ask("status")["connection"]["connected"] == true {}
    }
    // The last client's end reset the function.
    assert_eq!(server.client().read(CONFIG, 4, 2).unwrap(), [0, 0]);
}

#[test]
fn what_a_client_sent_before_it_went_is_served() {
    let server = Running::new();
    let mut control = server.control();
    let mut client = server.client();
    for _ in 0..100 {
        client.send(13, 0x10, &[], &[]);
    }
    drop(client);
    while control.ask("status")["connection"]["connected"] == true {}
    assert_eq!(control.ask("status")["connection"]["requests"], 101);
}

#[test]
fn once_ends_with_the_client() {
    let mut settings = Settings::default();
    settings.once = true;
    let server = Running::with(settings, ClientMemory::FileIo);
    drop(server.client());
    server.join();
}

#[test]
fn a_connected_client_is_the_only_one() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut server = Server::new(Settings::default()).unwrap();
    let function = ServedFunction::new("testdev", Endpoint::Connected(theirs));
    server
        .add(ServedSlot::new(testdev()).with_function(function))
        .unwrap();
    let thread = std::thread::spawn(move || server.run());
    let mut client = Client::new(ours);
    client.negotiate();
    assert_eq!(client.read(CONFIG, 0, 2).unwrap(), [0x34, 0x12]);
    drop(client);
    thread.join().unwrap().unwrap();
}

#[test]
fn a_descriptor_ends_the_server() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    let mut server = Server::new(Settings::default()).unwrap();
    server.watch_shutdown_fd(theirs.into()).unwrap();
    let function = ServedFunction::new("testdev", Endpoint::Listener(listener));
    server
        .add(ServedSlot::new(testdev()).with_function(function))
        .unwrap();
    ours.write_all(&[1]).unwrap();
    server.run().unwrap();
}

#[test]
fn a_control_client_ends_the_server() {
    let server = Running::new();
    server.control().ask("shutdown");
    server.join();
}

#[test]
fn control_lines_may_come_in_any_pieces() {
    let server = Running::new();
    let mut control = server.control();
    control.write("{\"id\":1,\"verb\":\"sta");
    control.write("tus\"}\n\n{\"id\":2,\"verb\":\"status\"}\n");
    assert_eq!(control.line()["id"], 1);
    assert_eq!(control.line()["error"]["kind"], "malformed");
    assert_eq!(control.line()["id"], 2);
    let mut endless = server.control();
    let _ = endless.0.get_mut().write_all(&vec![b' '; 70_000]);
    assert_eq!(endless.line()["error"]["kind"], "malformed");
    assert_eq!(endless.line(), Value::Null);
}

#[test]
fn subscribers_see_events_in_virtual_time() {
    let mut settings = Settings::default();
    settings.clock = Clock::manual();
    let server = Running::with(settings, ClientMemory::FileIo);
    let (mut watching, mut control) = (server.control(), server.control());
    watching.ask("subscribe");
    control.write("{\"verb\":\"clock\",\"action\":\"advance\",\"duration\":\"250ms\"}\n");
    assert_eq!(control.line()["ok"]["nanos"], 250_000_000);
    control.write("{\"verb\":\"rail\",\"state\":\"off\"}\n");
    let reply = control.line();
    assert!(reply["error"].is_null(), "{reply}");
    let line = watching.line();
    assert!(line["event"].is_string(), "{line}");
    assert_eq!(line["nanos"], Duration::from_millis(250).as_nanos() as u64);
}
