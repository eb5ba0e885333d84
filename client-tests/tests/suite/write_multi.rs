//! REGION_WRITE_MULTI does what its writes do one by one, up to the first that fails.

use client_tests::control::Control;
use client_tests::daemon::{Daemon, Spec};
use client_tests::os::Event;
use client_tests::raw::wire::device_feature::SET;
use client_tests::raw::wire::{Bytes, EINVAL, command, flag, irq, region, set_irqs};
use client_tests::raw::{RawClient, SetIrqs, SmallWrite, write_multi};
use proptest::prelude::*;
use std::os::fd::AsFd;

use crate::common::{SCRATCH, decoding, goes_on, served};

/// The test function's register that fires an interrupt.
const IRQ_TRIGGER: u64 = 8;
const LOW_POWER_ENTRY: u32 = 3;

const fn scratch(data: &[u8]) -> SmallWrite<'_> {
    SmallWrite {
        region: 0,
        offset: SCRATCH,
        data,
    }
}

#[test]
fn writes_are_done_in_their_order() {
    let (_daemon, mut client) = decoding();
    let writes = [
        scratch(&[1, 2, 3, 4]),
        scratch(&[5, 6]),
        scratch(&[]),
        SmallWrite {
            region: 2,
            offset: 0x1001,
            data: &[1, 2, 3, 4, 5, 6, 7, 8],
        },
        SmallWrite {
            region: region::CONFIG,
            offset: 0x3c,
            data: &[9],
        },
        scratch(&[7]),
    ];
    assert_eq!(client.write_multi(&writes).unwrap(), 6);
    assert_eq!(client.read(0, SCRATCH, 4).unwrap(), [7, 6, 3, 4]);
    assert_eq!(
        client.read(2, 0x1000, 10).unwrap(),
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 0]
    );
    assert_eq!(client.read(region::CONFIG, 0x3c, 1).unwrap(), [9]);
    assert_eq!(client.write_multi(&[]).unwrap(), 0, "none at all");
}

#[test]
fn the_first_write_that_fails_is_the_last_that_is_tried() {
    let (_daemon, mut client) = decoding();
    for (what, bad) in [
        ("a region that does not exist", (9, 0)),
        ("a region without bytes", (1, 0)),
        ("behind the end", (0, 0x1000)),
        ("across the end", (0, 0xffe)),
        ("an offset that wraps around", (2, u64::MAX)),
    ] {
        let bad = SmallWrite {
            region: bad.0,
            offset: bad.1,
            data: &[0; 4],
        };
        client.write(0, SCRATCH, &[0]).unwrap();
        let writes = [scratch(&[1]), scratch(&[2]), bad, scratch(&[3])];
        assert_eq!(client.write_multi(&writes).expect(what), 2, "{what}");
        assert_eq!(client.read(0, SCRATCH, 1).unwrap(), [2], "{what}");
        assert_eq!(client.write_multi(&writes[2..]).expect(what), 0, "{what}");
    }
}

/// vfio-pci cuts a write at the end of its region, which is not all of it.
#[test]
fn a_write_that_comes_out_short_is_not_completed() {
    let (_daemon, mut client) = Daemon::testdev(&["host.view=vfio-pci"]).unwrap();
    client.write(region::CONFIG, 4, &[2, 0]).unwrap();
    let across = SmallWrite {
        region: 2,
        offset: 0xfffc,
        data: &[1; 8],
    };
    let writes = [scratch(&[1]), across, scratch(&[2])];
    assert_eq!(client.write_multi(&writes).unwrap(), 1);
    assert_eq!(client.read(0, SCRATCH, 1).unwrap(), [1]);
}

#[test]
fn nothing_is_said_when_no_reply_is_wanted() {
    let (_daemon, mut client) = decoding();
    let outside = SmallWrite {
        region: 0,
        offset: 0x1000,
        data: &[0],
    };
    for writes in [
        &[scratch(&[1]), scratch(&[2])][..],
        &[scratch(&[3]), outside, scratch(&[4])],
    ] {
        let payload = write_multi(writes);
        client
            .post(command::REGION_WRITE_MULTI, flag::NO_REPLY, &payload, &[])
            .unwrap();
    }
    let malformed = Bytes::new().u64(1);
    client
        .post(command::REGION_WRITE_MULTI, flag::NO_REPLY, &malformed, &[])
        .unwrap();
    assert_eq!(client.read(0, SCRATCH, 1).unwrap(), [3]);
    assert!(!client.has_message().unwrap());
}

#[test]
fn a_message_that_is_malformed_writes_nothing() {
    let (_daemon, mut client) = decoding();
    let good = write_multi(&[scratch(&[1])])[8..].to_vec();
    let entry = |count| Bytes::new().u64(SCRATCH).u32(0).u32(count).u64(!0);
    for (what, payload) in [
        ("no count", Bytes::new()),
        ("half a count", Bytes::new().u32(1)),
        ("more than there are", Bytes::new().u64(2).bytes(&good)),
        ("fewer than there are", Bytes::new().u64(0).bytes(&good)),
        (
            "a count that overflows",
            Bytes::new().u64(u64::MAX).bytes(&good),
        ),
        ("half a write", Bytes::new().u64(1).bytes(&good[..23])),
        (
            "nine bytes behind one that is right",
            Bytes::new().u64(2).bytes(&good).bytes(&entry(9)),
        ),
        (
            "a count of all ones",
            Bytes::new().u64(1).bytes(&entry(u32::MAX)),
        ),
    ] {
        let reply = client.request(command::REGION_WRITE_MULTI, &payload, &[]);
        assert_eq!(reply.unwrap().failure().expect(what), EINVAL, "{what}");
        assert_eq!(client.read(0, SCRATCH, 1).unwrap(), [0], "{what}");
    }
    let event = Event::new().unwrap();
    let payload = write_multi(&[scratch(&[1])]);
    let reply = client.request(command::REGION_WRITE_MULTI, &payload, &[event.as_fd()]);
    assert_eq!(reply.unwrap().failure().unwrap(), EINVAL, "a descriptor");
}

#[test]
fn as_many_writes_as_a_message_holds_are_done() {
    let (_daemon, mut client) = decoding();
    let count = (1_u32 << 20) / 24;
    let writes: Vec<[u8; 4]> = (0..count).map(u32::to_le_bytes).collect();
    let writes: Vec<SmallWrite<'_>> = writes.iter().map(|data| scratch(data)).collect();
    assert_eq!(client.write_multi(&writes).unwrap(), u64::from(count));
    assert_eq!(
        client.read(0, SCRATCH, 4).unwrap(),
        (count - 1).to_le_bytes()
    );
}

#[test]
fn interrupts_have_gone_out_before_the_reply() {
    let (_daemon, mut client) = served();
    let trigger = Event::new().unwrap();
    let request = SetIrqs {
        flags: set_irqs::DATA_EVENTFD | set_irqs::ACTION_TRIGGER,
        index: irq::INTX,
        count: 1,
        ..SetIrqs::default()
    };
    let bound = client.set_irqs(request, &[trigger.as_fd()]).unwrap();
    bound.success().unwrap();
    let writes = [
        SmallWrite {
            region: region::CONFIG,
            offset: 4,
            data: &[2, 0],
        },
        SmallWrite {
            region: 0,
            offset: IRQ_TRIGGER,
            data: &[0; 4],
        },
    ];
    assert_eq!(client.write_multi(&writes).unwrap(), 2);
    assert_eq!(trigger.take().unwrap(), 1);
    goes_on(&mut client, "an interrupt");
}

/// The first write wakes the function; the second fails before it would.
#[test]
fn the_reply_waits_as_long_as_a_write_took_to_wake_the_function() {
    let (daemon, mut client) = Daemon::testdev(&["platform.delays=enforce"]).unwrap();
    let mut control = daemon.control(0).unwrap();
    let entered = client.device_feature(8, SET | LOW_POWER_ENTRY, &[], &[]);
    entered.unwrap().success().unwrap();
    let nowhere = SmallWrite {
        region: 9,
        offset: 0,
        data: &[0],
    };
    let payload = write_multi(&[scratch(&[1]), nowhere]);
    client
        .post(command::REGION_WRITE_MULTI, flag::COMMAND, &payload, &[])
        .unwrap();
    while control.command(&["status"]).unwrap()["connection"]["requests"] != 3 {}
    assert!(!client.has_message().unwrap(), "the function is waking");
    control.command(&["clock", "advance", "1s"]).unwrap();
    let reply = client.receive().unwrap().success().unwrap();
    assert_eq!(reply, 1_u64.to_ne_bytes());
}

/// The function in one of its views, in low power or not.
#[derive(Clone, Copy, Debug)]
struct Start {
    vfio_pci: bool,
    engaged: bool,
    cold: bool,
}

impl Start {
    fn serve(self) -> (Daemon, RawClient, Control) {
        let view = ["host.view=hardware", "host.view=vfio-pci"][usize::from(self.vfio_pci)];
        let deepest = [
            "platform.deepest-state=d3hot",
            "platform.deepest-state=d3cold",
        ][usize::from(self.cold)];
        let spec = Spec::named("testdev").unwrap().set(&[view, deepest]);
        let daemon = Daemon::start(&[spec]).unwrap();
        let mut client = daemon.attach(0).unwrap();
        let control = daemon.control(0).unwrap();
        client.write(region::CONFIG, 4, &[2, 0]).unwrap();
        if self.engaged {
            let entered = client.device_feature(8, SET | LOW_POWER_ENTRY, &[], &[]);
            entered.unwrap().success().unwrap();
        }
        (daemon, client, control)
    }
}

fn start() -> impl Strategy<Value = Start> {
    any::<[bool; 3]>().prop_map(|[vfio_pci, engaged, cold]| Start {
        vfio_pci,
        engaged,
        cold,
    })
}

/// Writes that mostly succeed: to registers, memory, the header, the PM capability, and past ends.
fn write() -> impl Strategy<Value = (u32, u64, Vec<u8>)> {
    let place = prop_oneof![
        4 => (Just(0), 0_u64..0x40),
        2 => (Just(2), 0_u64..0x40),
        1 => (Just(2), 0xfff8_u64..0x1_0001),
        3 => (Just(region::CONFIG), 0_u64..0x100),
        1 => (Just(region::CONFIG), Just(4)),
        1 => (0_u32..10, 0_u64..0x10),
    ];
    let data = prop::collection::vec(any::<u8>(), 0..=8);
    (place, data).prop_map(|((region, offset), data)| (region, offset, data))
}

/// All that there is to see of the function.
fn state(client: &mut RawClient, control: &mut Control) -> (serde_json::Value, Vec<u8>) {
    let inspected = control.command(&["inspect"]).unwrap();
    (inspected, client.read(2, 0, 0x48).unwrap_or_default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn writes_at_once_are_writes_one_by_one(
        start in start(),
        writes in prop::collection::vec(write(), 0..24),
    ) {
        let (_many, mut many, mut many_control) = start.serve();
        let (_one, mut one, mut one_control) = start.serve();
        let batch: Vec<SmallWrite<'_>> = writes
            .iter()
            .map(|(region, offset, data)| SmallWrite { region: *region, offset: *offset, data })
            .collect();
        let completed = many.write_multi(&batch).unwrap();
        let by_one = batch.iter().take_while(|write| {
            one.write(write.region, write.offset, write.data).is_ok()
        });
        prop_assert_eq!(completed, by_one.count() as u64);
        prop_assert_eq!(
            state(&mut many, &mut many_control),
            state(&mut one, &mut one_control)
        );
    }
}
