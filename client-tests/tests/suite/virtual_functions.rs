//! A card with virtual functions is saved as a whole, and its virtual functions migrate one by one.

use client_tests::control::Control;
use client_tests::daemon::{Daemon, Spec};
use client_tests::migration::state;
use client_tests::raw::RawClient;
use client_tests::raw::wire::region;

const EBUSY: u32 = 16;
/// The BAR that is memory.
const RAM: u32 = 2;
const PHYSICAL: usize = 0;
const VIRTUAL: usize = 1;

/// A card in the hardware view, for vfio-pci has no migration of its own.
fn spec() -> Spec {
    let card = Spec::named("sriov").unwrap();
    card.set(&["host.view=hardware"])
}

/// A card whose host has enabled its first virtual function.
fn card() -> (Daemon, Control) {
    let daemon = Daemon::start(&[spec()]).unwrap();
    let mut control = daemon.control(PHYSICAL).unwrap();
    control.command(&["sriov-numvfs", "1"]).unwrap();
    (daemon, control)
}

fn content(client: &mut RawClient) -> Vec<u8> {
    client.read(RAM, 0x10, 4).unwrap()
}

fn set_content(client: &mut RawClient, content: &[u8]) {
    let reply = client.region_write(RAM, 0x10, content).unwrap();
    reply.success().unwrap();
}

#[test]
fn a_virtual_function_migrates_while_its_physical_function_runs() {
    let ((source, _control), (target, _other)) = (card(), card());
    let mut physical = source.attach(PHYSICAL).unwrap();
    let mut from = source.attach(VIRTUAL).unwrap();
    set_content(&mut from, b"here");
    from.go(state::STOP_COPY).unwrap();
    let stream = from.read_stream(1 << 16).unwrap();
    let ids = physical.read(region::CONFIG, 0, 4).unwrap();
    assert_eq!(ids, [0x34, 0x12, 0xc7, 0xd3]);
    let mut to = target.attach(VIRTUAL).unwrap();
    assert_eq!(content(&mut to), [0; 4]);
    to.go(state::RESUMING).unwrap();
    to.write_stream(&stream, 1 << 16).unwrap();
    to.go(state::RUNNING).unwrap();
    assert_eq!(content(&mut to), b"here");
}

#[test]
fn a_physical_function_migrates_only_without_virtual_functions() {
    let (source, mut control) = card();
    let mut from = source.attach(PHYSICAL).unwrap();
    let refused = from.try_go(state::STOP_COPY).unwrap().failure().unwrap();
    assert_eq!(refused, EBUSY);
    from.go(state::RUNNING).unwrap();
    control.command(&["sriov-numvfs", "0"]).unwrap();
    from.go(state::STOP_COPY).unwrap();
    let stream = from.read_stream(1 << 16).unwrap();
    let (target, mut control) = card();
    control.command(&["sriov-numvfs", "0"]).unwrap();
    let mut to = target.attach(PHYSICAL).unwrap();
    to.go(state::RESUMING).unwrap();
    to.write_stream(&stream, 1 << 16).unwrap();
    to.go(state::RUNNING).unwrap();
}

#[test]
fn a_card_with_virtual_functions_is_saved_and_restored_whole() {
    let (source, mut control) = card();
    let mut client = source.attach(VIRTUAL).unwrap();
    set_content(&mut client, b"kept");
    let file = source.state_file("card");
    let text = file.to_str().unwrap();
    control.command(&["save", text]).unwrap();

    let target = Daemon::start(&[spec()]).unwrap();
    let copy = target.state_file("card");
    std::fs::copy(&file, &copy).unwrap();
    let mut control = target.control(PHYSICAL).unwrap();
    let text = copy.to_str().unwrap();
    control.command(&["restore", text]).unwrap();
    let status = control.command(&["status"]).unwrap();
    assert_eq!(status["sriov"]["numvfs"], 1);
    // Those of the unopened device and of the virtual function.
    assert_eq!(status["runtime_usage"], 2);
    let mut client = target.attach(VIRTUAL).unwrap();
    assert_eq!(content(&mut client), b"kept");
    assert!(RawClient::turned_away(&target.socket(2)).is_ok());
}
