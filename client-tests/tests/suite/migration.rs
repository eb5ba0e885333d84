//! A function that is moved from one server to another is the same function there.

use std::os::fd::AsFd;

use client_tests::daemon::Daemon;
use client_tests::migration::{Place, feature, state};
use client_tests::os::Event;
use client_tests::raw::wire::device_feature::{GET, PROBE, SET};
use client_tests::raw::wire::set_irqs::{ACTION_TRIGGER, ACTION_UNMASK, DATA_EVENTFD, DATA_NONE};
use client_tests::raw::wire::{EINVAL, ENOTTY, command, irq, region};
use client_tests::raw::{RawClient, SetIrqs};
use serde_json::Value;
use state::{ERROR, PRE_COPY, PRE_COPY_P2P, RESUMING, RUNNING, RUNNING_P2P, STOP, STOP_COPY};

const SCRATCH: u64 = 0x04;
const PME_AFTER_MS: u64 = 0x10;
const EBUSY: u32 = 16;

const LOW_POWER_ENTRY: u32 = 3;
const LOW_POWER_ENTRY_WITH_WAKEUP: u32 = 4;
const LOW_POWER_EXIT: u32 = 5;

fn testdev() -> Place {
    Place::new("testdev", &[]).unwrap()
}

fn pair() -> (Place, Place) {
    (testdev(), testdev())
}

fn irqs(client: &mut RawClient, flags: u32, index: u32, start: u32, event: Option<&Event>) {
    let request = SetIrqs {
        flags,
        index,
        start,
        count: 1,
        bools: &[],
    };
    let fd = event.map(|event| event.as_fd());
    let reply = client.set_irqs(request, fd.as_slice()).unwrap();
    reply.success().unwrap();
}

fn bind(client: &mut RawClient, index: u32, vector: u32) -> Event {
    let event = Event::new().unwrap();
    let flags = DATA_EVENTFD | ACTION_TRIGGER;
    irqs(client, flags, index, vector, Some(&event));
    event
}

/// Returns the offset at which a capability begins.
fn capability(client: &mut RawClient, id: u8) -> u64 {
    let config = client.read(region::CONFIG, 0, 0x100).unwrap();
    let mut at = config[0x34];
    while config[usize::from(at)] != id {
        at = config[usize::from(at) + 1];
        assert_ne!(at, 0, "capability {id:#x}");
    }
    at.into()
}

fn power_state(place: &mut Place) -> Value {
    place.tell(&["status"]).unwrap()["power_state"].take()
}

#[test]
fn memory_registers_and_config_arrive() {
    let (mut here, mut there) = pair();
    here.client.write(region::CONFIG, 4, &[6, 0]).unwrap();
    here.client.write(0, SCRATCH, b"abcd").unwrap();
    for at in [0_u64, 0x0ffe, 0x8000, 0xfffc] {
        here.client.write(2, at, b"RAM!").unwrap();
    }
    here.tell(&["clock", "advance", "3s"]).unwrap();
    here.client
        .write(0, PME_AFTER_MS, &2000_u32.to_le_bytes())
        .unwrap();
    there.client.write(region::CONFIG, 4, &[2, 0]).unwrap();
    there
        .client
        .write(2, 0x3000, b"what was there before")
        .unwrap();
    here.move_to(&mut there).unwrap();
    there.client.go(RUNNING).unwrap();
    assert_eq!(there.client.read(0, SCRATCH, 4).unwrap(), b"abcd");
    for at in [0, 0x0ffe, 0x8000, 0xfffc] {
        assert_eq!(there.client.read(2, at, 4).unwrap(), b"RAM!");
    }
    assert_eq!(there.client.read(2, 0x3000, 4).unwrap(), [0; 4]);
    there.tell(&["clock", "advance", "1999ms"]).unwrap();
    let pmcsr = capability(&mut there.client, 1) + 5;
    assert_eq!(
        there.client.read(region::CONFIG, pmcsr, 1).unwrap()[0] & 0x80,
        0
    );
    there.tell(&["clock", "advance", "1ms"]).unwrap();
    assert_eq!(
        there.client.read(region::CONFIG, pmcsr, 1).unwrap()[0] & 0x80,
        0x80
    );
}

#[test]
fn bars_that_are_mapped_arrive() {
    let mappable = ["bar.2.mappable=true"];
    let mut here = Place::new("testdev", &mappable).unwrap();
    let mut there = Place::new("testdev", &mappable).unwrap();
    here.client.write(region::CONFIG, 4, &[2, 0]).unwrap();
    let memory = |place: &mut Place| {
        let info = place.client.get_region_info(2).unwrap();
        client_tests::os::Memory::from(info.fds.into_iter().next().expect("a descriptor"))
    };
    memory(&mut here)
        .write(0x1234, b"written through the map")
        .unwrap();
    here.move_to(&mut there).unwrap();
    there.client.go(RUNNING).unwrap();
    let found = memory(&mut there).read(0x1234, 23).unwrap();
    assert_eq!(found, b"written through the map");
}

#[test]
fn a_pending_message_arrives_and_fires_when_it_is_unmasked() {
    let (mut here, mut there) = pair();
    let msix = capability(&mut here.client, 0x11);
    here.client.write(region::CONFIG, 4, &[6, 0]).unwrap();
    here.client
        .write(region::CONFIG, msix + 3, &[0x80])
        .unwrap();
    here.tell(&["interrupt", "3"]).unwrap();
    here.move_to(&mut there).unwrap();
    let event = bind(&mut there.client, irq::MSIX, 3);
    assert_eq!(
        event.take().unwrap(),
        0,
        "nothing leaves while it is stopped"
    );
    there.client.go(RUNNING).unwrap();
    assert_eq!(event.take().unwrap(), 1);
    there.tell(&["interrupt", "3"]).unwrap();
    assert_eq!(event.take().unwrap(), 1);
}

#[test]
fn triggers_may_be_bound_before_the_state_is_there() {
    let (mut here, mut there) = pair();
    here.client.write(region::CONFIG, 4, &[6, 0]).unwrap();
    bind(&mut here.client, irq::INTX, 0);
    here.client.go(STOP_COPY).unwrap();
    let stream = here.client.read_stream(4096).unwrap();
    there.client.go(RESUMING).unwrap();
    let event = bind(&mut there.client, irq::INTX, 0);
    there.client.write_stream(&stream, 4096).unwrap();
    there.client.go(RUNNING).unwrap();
    there.tell(&["intx", "assert"]).unwrap();
    assert_eq!(event.take().unwrap(), 1);
}

#[test]
fn an_asserted_intx_arrives() {
    let (mut here, mut there) = pair();
    let before = bind(&mut here.client, irq::INTX, 0);
    here.tell(&["intx", "assert"]).unwrap();
    assert_eq!(before.take().unwrap(), 1);
    here.move_to(&mut there).unwrap();
    there.client.go(RUNNING).unwrap();
    let event = bind(&mut there.client, irq::INTX, 0);
    assert_eq!(
        event.take().unwrap(),
        0,
        "it masked itself before it was moved"
    );
    irqs(
        &mut there.client,
        DATA_NONE | ACTION_UNMASK,
        irq::INTX,
        0,
        None,
    );
    assert_eq!(event.take().unwrap(), 1);
}

#[test]
fn a_function_in_d3hot_arrives_there() {
    let (mut here, mut there) = pair();
    let pmcsr = capability(&mut here.client, 1) + 4;
    here.client.write(2, 0, b"lost").unwrap();
    here.client.write(region::CONFIG, pmcsr, &[3]).unwrap();
    here.tell(&["interrupt", "1"]).unwrap();
    here.move_to(&mut there).unwrap();
    assert_eq!(
        there.client.read(region::CONFIG, pmcsr, 1).unwrap()[0] & 3,
        3
    );
    assert_eq!(there.client.read(2, 0, 4).unwrap(), [0xff; 4]);
    there.client.go(RUNNING).unwrap();
    assert_eq!(power_state(&mut there), "D3hot");
    there.client.write(region::CONFIG, pmcsr, &[0]).unwrap();
    assert_eq!(power_state(&mut there), "D0");
}

fn enter(client: &mut RawClient, dialect: &str, event: Option<&Event>) {
    let reply = match (dialect, event) {
        ("v4", _) => {
            client.device_feature(16, SET | LOW_POWER_ENTRY, &[1, 0, 0, 0, 0, 0, 0, 0], &[])
        }
        (_, None) => client.device_feature(8, SET | LOW_POWER_ENTRY, &[], &[]),
        (_, Some(event)) => {
            let flags = SET | LOW_POWER_ENTRY_WITH_WAKEUP;
            client.device_feature(16, flags, &[0; 8], &[event.as_fd()])
        }
    };
    reply.unwrap().success().unwrap();
}

fn leave(client: &mut RawClient, dialect: &str) {
    let reply = match dialect {
        "v4" => client.device_feature(16, SET | LOW_POWER_ENTRY, &[2, 0, 0, 0, 0, 0, 0, 0], &[]),
        _ => client.device_feature(8, SET | LOW_POWER_EXIT, &[], &[]),
    };
    reply.unwrap().success().unwrap();
}

#[test]
fn engaged_low_power_arrives_and_is_left_there() {
    for dialect in ["mainline", "v4"] {
        for deepest in ["d3hot", "d3cold"] {
            let set = [
                format!("host.pm-dialect={dialect}"),
                format!("platform.deepest-state={deepest}"),
            ];
            let set = [&*set[0], &*set[1]];
            let mut here = Place::new("testdev", &set).unwrap();
            let mut there = Place::new("testdev", &set).unwrap();
            enter(&mut here.client, dialect, None);
            let asleep = here.tell(&["status"]).unwrap();
            assert_eq!(asleep["runtime_status"], "suspended", "{set:?}");
            here.tell(&["clock", "advance", "5s"]).unwrap();
            here.move_to(&mut there).unwrap();
            assert_eq!(
                there.tell(&["status"]).unwrap()["runtime_status"],
                "suspended"
            );
            there.client.go(RUNNING).unwrap();
            let status = there.tell(&["status"]).unwrap();
            assert_eq!(status["runtime_status"], "suspended", "{set:?}");
            assert_eq!(status["power_state"], asleep["power_state"]);
            leave(&mut there.client, dialect);
            let status = there.tell(&["status"]).unwrap();
            assert_eq!(status["runtime_status"], "active", "{set:?}");
            assert_eq!(status["runtime_usage"], 1);
        }
    }
}

#[test]
fn an_armed_wake_up_is_armed_anew_by_leaving_and_entering() {
    let (mut here, mut there) = pair();
    let event = Event::new().unwrap();
    enter(&mut here.client, "mainline", Some(&event));
    here.move_to(&mut there).unwrap();
    there.client.go(RUNNING).unwrap();
    leave(&mut there.client, "mainline");
    let event = Event::new().unwrap();
    enter(&mut there.client, "mainline", Some(&event));
    assert_eq!(event.take().unwrap(), 0);
    there.client.device_info().unwrap();
    assert_eq!(event.take().unwrap(), 1);
}

#[test]
fn no_time_passes_and_nothing_can_happen_while_it_is_stopped() {
    let mut place = testdev();
    place.client.write(region::CONFIG, 4, &[6, 0]).unwrap();
    place.client.write(0, SCRATCH, b"abcd").unwrap();
    place
        .client
        .write(0, PME_AFTER_MS, &100_u32.to_le_bytes())
        .unwrap();
    place.client.go(STOP).unwrap();
    let stopped = place.tree().unwrap();
    place.tell(&["clock", "advance", "60min"]).unwrap();
    for verb in [
        &["pme"][..],
        &["intx", "assert"],
        &["rail", "off"],
        &["host-access"],
    ] {
        let refused = place.tell(verb).unwrap_err().to_string();
        assert!(refused.contains("stopped"), "{refused}");
    }
    // Writes are lost, reads show what they can.
    place.client.write(2, 0, b"lost").unwrap();
    place.client.write(region::CONFIG, 4, &[0, 0]).unwrap();
    assert_eq!(place.client.read(2, 0, 4).unwrap(), [0; 4]);
    assert_eq!(place.client.read(0, SCRATCH, 4).unwrap(), [0xff; 4]);
    assert_eq!(place.client.read(region::CONFIG, 4, 1).unwrap(), [6]);
    let enter = place
        .client
        .device_feature(8, SET | LOW_POWER_ENTRY, &[], &[]);
    assert_eq!(enter.unwrap().failure().unwrap(), EBUSY);
    let probe = place
        .client
        .device_feature(8, PROBE | SET | LOW_POWER_ENTRY, &[], &[]);
    probe.unwrap().success().unwrap();
    place.client.device_info().unwrap();
    assert_eq!(place.tree().unwrap(), stopped);
    place.client.go(RUNNING).unwrap();
    assert_eq!(place.tree().unwrap(), stopped);
    place.tell(&["clock", "advance", "99ms"]).unwrap();
    let pmcsr = capability(&mut place.client, 1) + 5;
    assert_eq!(
        place.client.read(region::CONFIG, pmcsr, 1).unwrap()[0] & 0x80,
        0
    );
    place.tell(&["clock", "advance", "1ms"]).unwrap();
    assert_eq!(
        place.client.read(region::CONFIG, pmcsr, 1).unwrap()[0] & 0x80,
        0x80
    );
}

#[test]
fn a_sleeping_function_is_not_woken_by_migration() {
    let mut place = testdev();
    enter(&mut place.client, "mainline", None);
    for state in [PRE_COPY, PRE_COPY_P2P, STOP_COPY] {
        place.client.go(state).unwrap();
        place.client.read_stream(1 << 20).unwrap();
        place.client.migration_size().unwrap();
        assert_eq!(place.client.migration_state().unwrap(), state);
    }
    place.client.device_info().unwrap();
    place.client.go(RUNNING).unwrap();
    let status = place.tell(&["status"]).unwrap();
    assert_eq!(status["runtime_status"], "suspended");
    assert_eq!(status["wakeups"], 0);
}

#[test]
fn every_state_is_left_by_reset_and_by_the_last_client() {
    let mut place = testdev();
    for state in [
        STOP,
        STOP_COPY,
        RESUMING,
        RUNNING_P2P,
        PRE_COPY,
        PRE_COPY_P2P,
        ERROR,
    ] {
        for by_reset in [true, false] {
            match state {
                ERROR => {
                    place.client.go(RESUMING).unwrap();
                    let refused = place.client.try_write_state(&[0; 64]).unwrap();
                    assert_eq!(refused.failure().unwrap(), EINVAL);
                }
                state => place.client.go(state).unwrap(),
            }
            assert_eq!(place.client.migration_state().unwrap(), state);
            if by_reset {
                place.client.reset().unwrap().success().unwrap();
            } else {
                let (daemon, client) = (place.daemon, place.client);
                drop(client);
                place = Place::of(daemon).unwrap();
            }
            assert_eq!(place.client.migration_state().unwrap(), RUNNING);
            place.client.write(region::CONFIG, 4, &[6, 0]).unwrap();
            place.client.write(0, SCRATCH, b"runs").unwrap();
            assert_eq!(place.client.read(0, SCRATCH, 4).unwrap(), b"runs");
        }
    }
}

#[test]
fn only_a_reset_leads_out_of_error() {
    let mut place = testdev();
    place.client.go(RESUMING).unwrap();
    place
        .client
        .try_write_state(&[0; 64])
        .unwrap()
        .failure()
        .unwrap();
    for state in [ERROR, STOP, RUNNING, RESUMING, RUNNING_P2P] {
        let refused = place.client.try_go(state).unwrap();
        assert_eq!(refused.failure().unwrap(), EINVAL, "to {state}");
        assert_eq!(place.client.migration_state().unwrap(), ERROR);
    }
}

#[test]
fn vfio_pci_has_no_migration() {
    let (_daemon, mut client) = Daemon::testdev(&["host.view=vfio-pci"]).unwrap();
    for (flags, argsz) in [
        (GET | feature::MIGRATION, 16),
        (GET | feature::MIG_DEVICE_STATE, 16),
        (PROBE | SET | feature::MIG_DEVICE_STATE, 8),
        (GET | feature::MIG_DATA_SIZE, 16),
    ] {
        let reply = client.device_feature(argsz, flags, &[], &[]).unwrap();
        assert_eq!(reply.failure().unwrap(), ENOTTY, "{flags:#x}");
    }
    for command in [command::MIG_DATA_READ, command::MIG_DATA_WRITE] {
        let payload = [8, 0, 0, 0, 0, 0, 0, 0];
        let reply = client.request(command, &payload, &[]).unwrap();
        assert_eq!(reply.failure().unwrap(), EINVAL);
    }
}
