//! The power rail's switch.

use super::client::CONFIG;
use super::*;

fn switch(server: &Running) -> UnixStream {
    UnixStream::connect(server.path("rail")).unwrap()
}

/// Waits until the rail is as it should be.
fn rail(control: &mut Control, on: bool) {
    while control.status("rail") != on {}
}

#[test]
fn bytes_switch_the_rail_and_others_mean_nothing() {
    let server = Running::testdev(&[]);
    let (mut client, mut control) = (server.client(), server.control());
    let mut switch = switch(&server);
    switch.write_all(b"F\r\n").unwrap();
    rail(&mut control, false);
    assert_eq!(control.status("power_state"), "D3cold");
    assert_eq!(client.read(CONFIG, 0, 2).unwrap(), [0xff; 2]);
    switch.write_all(b"\0n?FFNx").unwrap();
    rail(&mut control, true);
    assert_eq!(client.read(CONFIG, 0, 2).unwrap(), [0x34, 0x12]);
}

#[test]
fn the_newest_connection_counts_and_the_rail_outlives_it() {
    let server = Running::testdev(&[]);
    let mut control = server.control();
    let mut first = switch(&server);
    first.write_all(b"F").unwrap();
    rail(&mut control, false);
    let mut second = switch(&server);
    second.write_all(b"N").unwrap();
    rail(&mut control, true);
    let end = std::io::Read::read(&mut first, &mut [0]);
    assert!(matches!(end, Ok(0)), "{end:?}");
    second.write_all(b"F").unwrap();
    drop(second);
    rail(&mut control, false);
    assert_eq!(control.status("rail"), false);
    switch(&server).write_all(b"N").unwrap();
    rail(&mut control, true);
}

#[test]
fn bytes_can_mean_low_power_of_the_client() {
    let server = Running::testdev(&["platform.rail-as=low-power"]);
    let (mut client, mut control) = (server.client(), server.control());
    client.enable();
    let mut switch = switch(&server);
    switch.write_all(b"F\n").unwrap();
    while control.status("engaged") != true {}
    assert_eq!(control.status("runtime_status"), "suspended");
    assert_eq!(control.status("power_state"), "D3cold");
    switch.write_all(b"N\n").unwrap();
    while control.status("engaged") != false {}
    assert_eq!(control.status("power_state"), "D0");
    assert_eq!(
        client.read(CONFIG, 4, 1).unwrap(),
        [6],
        "the host has restored it"
    );
}
