use std::os::fd::OwnedFd;

use rustix::event::{EventfdFlags, eventfd};

use super::client::{CONFIG, Client, EINVAL};
use super::*;

const IRQ_TRIGGER: u64 = 0x08;
const IRQ_ACK: u64 = 0x1c;
const TRIGGER_EVENTFD: u32 = 0x24;
const UNMASK_EVENTFD: u32 = 0x14;
const DISABLE: u32 = 0x21;

/// An eventfd whose reads wait.
pub(super) fn event() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC).unwrap()
}

/// Waits for the eventfd and takes its count.
pub(super) fn wait(fd: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    rustix::io::read(fd, &mut count).unwrap();
    u64::from_ne_bytes(count)
}

fn signal(fd: &OwnedFd) {
    rustix::io::write(fd, &1_u64.to_ne_bytes()).unwrap();
}

/// Offset of a capability in config space.
pub(super) fn capability(client: &mut Client, id: u8) -> u64 {
    let mut at = client.read(CONFIG, 0x34, 1).unwrap()[0];
    loop {
        assert_ne!(at, 0, "capability {id:#x} is not there");
        let header = client.read(CONFIG, at.into(), 2).unwrap();
        if header[0] == id {
            return at.into();
        }
        at = header[1];
    }
}

pub(super) fn enable_msix(client: &mut Client) {
    let msix = capability(client, 0x11);
    client
        .write(CONFIG, msix + 2, &0x8000_u16.to_le_bytes())
        .unwrap();
}

#[test]
fn intx_is_told_once_until_it_is_resampled() {
    let server = Running::new();
    let mut client = server.client();
    client.enable();
    let (trigger, resample) = (event(), event());
    client
        .set_irqs(TRIGGER_EVENTFD, 0, (0, 1), &[&trigger])
        .unwrap();
    client
        .set_irqs(UNMASK_EVENTFD, 0, (0, 1), &[&resample])
        .unwrap();
    client.set_register(IRQ_TRIGGER, 0);
    client.set_register(IRQ_TRIGGER, 0);
    assert_eq!(wait(&trigger), 1);
    // Still asserted: told again.
    signal(&resample);
    assert_eq!(wait(&trigger), 1);
    client.set_register(IRQ_ACK, 0);
    signal(&resample);
    client.set_register(IRQ_TRIGGER, 0);
    assert_eq!(wait(&trigger), 1);
}

#[test]
fn intx_that_was_not_noticed_in_time_is_taken_back() {
    let server = Running::new();
    let mut client = server.client();
    client.enable();
    let trigger = event();
    client
        .set_irqs(TRIGGER_EVENTFD, 0, (0, 1), &[&trigger])
        .unwrap();
    for _ in 0..3 {
        client.set_register(IRQ_TRIGGER, 0);
        client.set_register(IRQ_ACK, 0);
    }
    client.set_register(IRQ_TRIGGER, 0);
    assert_eq!(wait(&trigger), 1, "the last one");
}

#[test]
fn messages_go_to_their_own_vectors() {
    let server = Running::new();
    let mut client = server.client();
    client.enable();
    let events = [event(), event(), event()];
    let fds: Vec<&dyn std::os::fd::AsFd> = events.iter().map(|fd| fd as _).collect();
    client.set_irqs(TRIGGER_EVENTFD, 2, (4, 3), &fds).unwrap();
    enable_msix(&mut client);
    for _ in 0..2 {
        client.set_register(IRQ_TRIGGER, 5);
    }
    assert_eq!(wait(&events[1]), 2);
    // Unbound and disabled vectors are told to nobody.
    client.set_irqs(TRIGGER_EVENTFD, 2, (5, 1), &[]).unwrap();
    client.set_register(IRQ_TRIGGER, 5);
    client.set_register(IRQ_TRIGGER, 6);
    assert_eq!(wait(&events[2]), 1);
    client.set_irqs(DISABLE, 2, (0, 0), &[]).unwrap();
    client.set_register(IRQ_TRIGGER, 4);
    let connection = server.control().ask("status")["connection"].clone();
    assert_eq!(connection["interrupts"], 3);
}

#[test]
fn only_eventfds_in_the_right_number_are_bound() {
    let server = Running::new();
    let mut client = server.client();
    let (one, file) = (event(), tempfile::tempfile().unwrap());
    let refused = [
        client.set_irqs(TRIGGER_EVENTFD, 2, (0, 1), &[&file]),
        client.set_irqs(TRIGGER_EVENTFD, 2, (0, 2), &[&one]),
        client.set_irqs(TRIGGER_EVENTFD, 2, (0, 1), &[&one, &one]),
        client.set_irqs(TRIGGER_EVENTFD, 2, (16, 1), &[&one]),
        client.set_irqs(DISABLE, 2, (0, 0), &[&one]),
        client.set_irqs(UNMASK_EVENTFD, 2, (0, 1), &[&one]),
    ];
    assert_eq!(refused, [(); 6].map(|()| Err(EINVAL)));
}
