//! SET_IRQS in all its forms: binding, masking, firing, unbinding, and what is refused.

use std::os::fd::{AsFd, BorrowedFd};

use client_tests::control::Control;
use client_tests::daemon::Daemon;
use client_tests::os::Event;
use client_tests::raw::wire::set_irqs::{
    ACTION_MASK, ACTION_TRIGGER, ACTION_UNMASK, DATA_BOOL, DATA_EVENTFD, DATA_NONE,
};
use client_tests::raw::wire::{Bytes, EINVAL, command, irq, region};
use client_tests::raw::{PATIENCE, RawClient, SetIrqs};

/// A client that watches interrupts.
struct Watcher {
    client: RawClient,
    control: Control,
    _daemon: Daemon,
}

impl Watcher {
    fn new() -> Self {
        let (daemon, client) = Daemon::testdev(&[]).unwrap();
        let control = daemon.control(0).unwrap();
        Self {
            client,
            control,
            _daemon: daemon,
        }
    }

    fn set(&mut self, request: SetIrqs<'_>, fds: &[BorrowedFd<'_>]) {
        let reply = self.client.set_irqs(request, fds).unwrap();
        assert!(
            reply.success().unwrap().is_empty(),
            "SET_IRQS has no reply payload"
        );
    }

    /// Binds a new eventfd to each vector of a range.
    fn bind(&mut self, index: u32, start: u32, count: u32) -> Vec<Event> {
        let events: Vec<Event> = (0..count).map(|_| Event::new().unwrap()).collect();
        let fds: Vec<BorrowedFd<'_>> = events.iter().map(Event::as_fd).collect();
        let flags = DATA_EVENTFD | ACTION_TRIGGER;
        self.set(
            SetIrqs {
                flags,
                index,
                start,
                count,
                bools: &[],
            },
            &fds,
        );
        events
    }

    fn act(&mut self, flags: u32, index: u32, start: u32, count: u32) {
        self.set(
            SetIrqs {
                flags,
                index,
                start,
                count,
                bools: &[],
            },
            &[],
        );
    }

    fn act_where(&mut self, action: u32, index: u32, start: u32, bools: &[u8]) {
        let count = bools.len() as u32;
        self.set(
            SetIrqs {
                flags: DATA_BOOL | action,
                index,
                start,
                count,
                bools,
            },
            &[],
        );
    }

    /// Returns the number of signals of each since the last call, once the server has done all that was asked.
    fn signals(&mut self, events: &[Event]) -> Vec<u64> {
        self.client.device_info().unwrap();
        events.iter().map(|event| event.take().unwrap()).collect()
    }

    fn control(&mut self, words: &[&str]) {
        self.control.command(words).unwrap();
    }

    /// Memory Space and Bus Master Enable, and the enable bit of MSI (at +2) or MSI-X.
    fn enable_messages(&mut self, capability_id: u8, control: [u8; 2]) {
        self.client.write(region::CONFIG, 4, &[6, 0]).unwrap();
        let config = self.client.read(region::CONFIG, 0, 0x100).unwrap();
        let mut at = usize::from(config[0x34]);
        while config[at] != capability_id {
            at = usize::from(config[at + 1]);
            assert_ne!(at, 0, "capability {capability_id:#x}");
        }
        self.client
            .write(region::CONFIG, at as u64 + 2, &control)
            .unwrap();
    }
}

const MSI: u8 = 0x05;
const MSIX: u8 = 0x11;

#[test]
fn the_device_signals_the_eventfds_of_msi() {
    let mut watcher = Watcher::new();
    let events = watcher.bind(irq::MSI, 0, 8);
    watcher.enable_messages(MSI, [0x31, 0]);
    for vector in ["5", "0", "5"] {
        watcher.control(&["interrupt", vector]);
    }
    assert_eq!(watcher.signals(&events), [1, 0, 0, 0, 0, 2, 0, 0]);
}

#[test]
fn the_device_signals_the_eventfds_of_msix() {
    let mut watcher = Watcher::new();
    let events = watcher.bind(irq::MSIX, 0, 16);
    watcher.enable_messages(MSIX, [0, 0x80]);
    for vector in ["15", "3"] {
        watcher.control(&["interrupt", vector]);
    }
    let signals = watcher.signals(&events);
    assert_eq!(signals.iter().sum::<u64>(), 2);
    assert_eq!((signals[3], signals[15]), (1, 1));
}

#[test]
fn intx_masks_itself_until_it_is_unmasked() {
    let mut watcher = Watcher::new();
    let events = watcher.bind(irq::INTX, 0, 1);
    watcher.control(&["intx", "assert"]);
    watcher.control(&["intx", "deassert"]);
    watcher.control(&["intx", "assert"]);
    assert_eq!(watcher.signals(&events), [1], "it masks itself");
    watcher.act(DATA_NONE | ACTION_UNMASK, irq::INTX, 0, 1);
    assert_eq!(watcher.signals(&events), [1], "unmasked while asserted");
    watcher.act_where(ACTION_UNMASK, irq::INTX, 0, &[0]);
    assert_eq!(watcher.signals(&events), [0], "unmasking none");
    watcher.act_where(ACTION_UNMASK, irq::INTX, 0, &[7]);
    assert_eq!(watcher.signals(&events), [1], "every byte but 0 means yes");
    watcher.control(&["intx", "deassert"]);
    watcher.act(DATA_NONE | ACTION_UNMASK, irq::INTX, 0, 1);
    assert_eq!(watcher.signals(&events), [0], "unmasked while released");
    watcher.control(&["intx", "assert"]);
    assert_eq!(watcher.signals(&events), [1], "it was unmasked");
}

#[test]
fn masked_intx_waits() {
    for bool_form in [false, true] {
        let mut watcher = Watcher::new();
        let events = watcher.bind(irq::INTX, 0, 1);
        if bool_form {
            watcher.act_where(ACTION_MASK, irq::INTX, 0, &[0]);
            watcher.control(&["intx", "assert"]);
            assert_eq!(watcher.signals(&events), [1], "masking none");
            watcher.control(&["intx", "deassert"]);
            watcher.act_where(ACTION_MASK, irq::INTX, 0, &[1]);
        } else {
            watcher.act(DATA_NONE | ACTION_MASK, irq::INTX, 0, 1);
        }
        watcher.control(&["intx", "assert"]);
        assert_eq!(watcher.signals(&events), [0]);
        watcher.act(DATA_NONE | ACTION_UNMASK, irq::INTX, 0, 1);
        assert_eq!(watcher.signals(&events), [1]);
    }
}

#[test]
fn the_resample_eventfd_unmasks_until_it_is_unbound() {
    let mut watcher = Watcher::new();
    let events = watcher.bind(irq::INTX, 0, 1);
    let resample = Event::new().unwrap();
    let bind = SetIrqs {
        flags: DATA_EVENTFD | ACTION_UNMASK,
        count: 1,
        ..SetIrqs::default()
    };
    watcher.set(bind, &[resample.as_fd()]);
    watcher.control(&["intx", "assert"]);
    assert_eq!(watcher.signals(&events), [1]);
    resample.signal().unwrap();
    assert_eq!(
        events[0].take_within(PATIENCE).unwrap(),
        1,
        "still asserted"
    );
    watcher.set(bind, &[]);
    resample.signal().unwrap();
    assert_eq!(watcher.signals(&events), [0], "unbound");
    assert_eq!(resample.take().unwrap(), 1, "nobody has taken the signal");
}

#[test]
fn a_client_can_fire_what_is_bound() {
    for (index, count) in [
        (irq::INTX, 1),
        (irq::MSI, 8),
        (irq::MSIX, 16),
        (irq::ERR, 1),
        (irq::REQ, 1),
    ] {
        let mut watcher = Watcher::new();
        let events = watcher.bind(index, 0, count);
        watcher.act(DATA_NONE | ACTION_TRIGGER, index, 0, 1);
        let mut expected = vec![0; count as usize];
        expected[0] = 1;
        assert_eq!(watcher.signals(&events), expected, "index {index}");
    }
    let mut watcher = Watcher::new();
    let events = watcher.bind(irq::MSI, 0, 8);
    watcher.act(DATA_NONE | ACTION_TRIGGER, irq::MSI, 2, 3);
    assert_eq!(watcher.signals(&events), [0, 0, 1, 1, 1, 0, 0, 0]);
    watcher.act_where(ACTION_TRIGGER, irq::MSI, 4, &[0, 1, 0, 255]);
    assert_eq!(watcher.signals(&events), [0, 0, 0, 0, 0, 1, 0, 1]);
}

#[test]
fn firing_what_is_not_bound_does_nothing() {
    let mut watcher = Watcher::new();
    watcher.act(DATA_NONE | ACTION_TRIGGER, irq::MSIX, 0, 16);
    let events = watcher.bind(irq::MSIX, 4, 2);
    watcher.act(DATA_NONE | ACTION_TRIGGER, irq::MSIX, 0, 16);
    assert_eq!(watcher.signals(&events), [1, 1]);
}

#[test]
fn vectors_can_be_unbound_in_part_and_bound_anew() {
    let mut watcher = Watcher::new();
    let mut events = watcher.bind(irq::MSIX, 0, 4);
    watcher.act(DATA_EVENTFD | ACTION_TRIGGER, irq::MSIX, 1, 2);
    watcher.act(DATA_NONE | ACTION_TRIGGER, irq::MSIX, 0, 4);
    assert_eq!(watcher.signals(&events), [1, 0, 0, 1]);
    let replaced = std::mem::replace(&mut events[3], watcher.bind(irq::MSIX, 3, 1).remove(0));
    watcher.act(DATA_NONE | ACTION_TRIGGER, irq::MSIX, 0, 4);
    assert_eq!(watcher.signals(&events), [1, 0, 0, 1]);
    assert_eq!(
        replaced.take().unwrap(),
        0,
        "the one before is not signalled any more"
    );
}

#[test]
fn a_count_of_zero_disables_an_index_and_no_other() {
    let mut watcher = Watcher::new();
    let msi = watcher.bind(irq::MSI, 0, 2);
    let msix = watcher.bind(irq::MSIX, 0, 2);
    watcher.act(DATA_NONE | ACTION_TRIGGER, irq::MSI, 0, 0);
    watcher.act(DATA_NONE | ACTION_TRIGGER, irq::MSI, 0, 2);
    watcher.act(DATA_NONE | ACTION_TRIGGER, irq::MSIX, 0, 2);
    assert_eq!(watcher.signals(&msi), [0, 0]);
    assert_eq!(watcher.signals(&msix), [1, 1]);
    // An index that is not in use can be disabled as well.
    for index in [irq::INTX, irq::MSI, irq::MSIX, irq::ERR, irq::REQ] {
        watcher.act(DATA_NONE | ACTION_TRIGGER, index, 0, 0);
    }
    watcher.act(DATA_NONE | ACTION_TRIGGER, irq::MSIX, 0, 2);
    assert_eq!(watcher.signals(&msix), [0, 0]);
}

#[test]
fn vectors_can_be_allocated_before_they_have_eventfds() {
    // QEMU does this when the guest enables MSI-X.
    let mut watcher = Watcher::new();
    watcher.act(DATA_EVENTFD | ACTION_TRIGGER, irq::MSIX, 0, 1);
    let events = watcher.bind(irq::MSIX, 0, 3);
    watcher.enable_messages(MSIX, [0, 0x80]);
    watcher.control(&["interrupt", "1"]);
    assert_eq!(watcher.signals(&events), [0, 1, 0]);
}

#[test]
fn disabled_intx_starts_unmasked_when_it_is_enabled_again() {
    let mut watcher = Watcher::new();
    let first = watcher.bind(irq::INTX, 0, 1);
    watcher.control(&["intx", "assert"]);
    assert_eq!(watcher.signals(&first), [1]);
    watcher.act(DATA_NONE | ACTION_TRIGGER, irq::INTX, 0, 0);
    let second = watcher.bind(irq::INTX, 0, 1);
    assert_eq!(watcher.signals(&second), [1], "it is asserted");
    assert_eq!(watcher.signals(&first), [0]);
}

#[test]
fn a_reset_keeps_what_is_bound() {
    let mut watcher = Watcher::new();
    let events = watcher.bind(irq::MSIX, 0, 2);
    watcher.client.reset().unwrap().success().unwrap();
    watcher.enable_messages(MSIX, [0, 0x80]);
    watcher.control(&["interrupt", "1"]);
    assert_eq!(watcher.signals(&events), [0, 1]);
}

#[test]
fn a_full_eventfd_holds_nothing_up() {
    let mut watcher = Watcher::new();
    let events = watcher.bind(irq::MSI, 0, 2);
    rustix::io::write(&events[0], &(u64::MAX - 1).to_ne_bytes()).unwrap();
    watcher.act(DATA_NONE | ACTION_TRIGGER, irq::MSI, 0, 2);
    assert_eq!(watcher.signals(&events), [u64::MAX - 1, 1]);
}

#[test]
fn requests_that_make_no_sense_are_einval() {
    let mut watcher = Watcher::new();
    let event = Event::new().unwrap();
    let two = [event.as_fd(), event.as_fd()];
    let none = DATA_NONE | ACTION_TRIGGER;
    let bools = DATA_BOOL | ACTION_TRIGGER;
    let eventfd = DATA_EVENTFD | ACTION_TRIGGER;
    let irqs = |flags, index, start, count, bools: &'static [u8]| SetIrqs {
        flags,
        index,
        start,
        count,
        bools,
    };
    for (what, request, fds) in [
        ("index 5", irqs(none, 5, 0, 1, &[]), 0),
        ("no action", irqs(DATA_NONE, irq::MSIX, 0, 1, &[]), 0),
        (
            "two actions",
            irqs(
                DATA_NONE | ACTION_MASK | ACTION_UNMASK,
                irq::INTX,
                0,
                1,
                &[],
            ),
            0,
        ),
        ("no data", irqs(ACTION_TRIGGER, irq::MSIX, 0, 1, &[]), 0),
        (
            "two kinds of data",
            irqs(
                DATA_NONE | DATA_BOOL | ACTION_TRIGGER,
                irq::MSIX,
                0,
                1,
                &[1],
            ),
            0,
        ),
        (
            "an unknown flag",
            irqs(none | 1 << 6, irq::MSIX, 0, 1, &[]),
            0,
        ),
        (
            "start beyond the last",
            irqs(none, irq::MSIX, 16, 1, &[]),
            0,
        ),
        (
            "count beyond the last",
            irqs(none, irq::MSIX, 15, 2, &[]),
            0,
        ),
        (
            "a count that wraps around",
            irqs(none, irq::MSIX, 1, u32::MAX, &[]),
            0,
        ),
        (
            "a huge count of eventfds",
            irqs(eventfd, irq::MSIX, 0, u32::MAX, &[]),
            0,
        ),
        ("two vectors of ERR", irqs(none, irq::ERR, 0, 2, &[]), 0),
        ("two vectors of REQ", irqs(none, irq::REQ, 0, 2, &[]), 0),
        (
            "MASK of ERR",
            irqs(DATA_NONE | ACTION_MASK, irq::ERR, 0, 1, &[]),
            0,
        ),
        (
            "UNMASK of REQ",
            irqs(DATA_NONE | ACTION_UNMASK, irq::REQ, 0, 1, &[]),
            0,
        ),
        (
            "MASK of MSI-X",
            irqs(DATA_NONE | ACTION_MASK, irq::MSIX, 0, 1, &[]),
            0,
        ),
        ("count 0, start 1", irqs(none, irq::MSIX, 1, 0, &[]), 0),
        (
            "count 0 with MASK",
            irqs(DATA_NONE | ACTION_MASK, irq::INTX, 0, 0, &[]),
            0,
        ),
        (
            "count 0 with UNMASK",
            irqs(DATA_NONE | ACTION_UNMASK, irq::INTX, 0, 0, &[]),
            0,
        ),
        ("count 0 with bools", irqs(bools, irq::MSIX, 0, 0, &[]), 0),
        (
            "count 0 with eventfds",
            irqs(eventfd, irq::MSIX, 0, 0, &[]),
            0,
        ),
        ("one bool for two", irqs(bools, irq::MSIX, 0, 2, &[1]), 0),
        (
            "three bools for two",
            irqs(bools, irq::MSIX, 0, 2, &[1, 1, 1]),
            0,
        ),
        ("an fd with NONE", irqs(none, irq::MSIX, 0, 1, &[]), 1),
        ("an fd with bools", irqs(bools, irq::MSIX, 0, 1, &[1]), 1),
        ("one fd for two", irqs(eventfd, irq::MSIX, 0, 2, &[]), 1),
        ("two fds for one", irqs(eventfd, irq::MSIX, 0, 1, &[]), 2),
        (
            "MASK by eventfd",
            irqs(DATA_EVENTFD | ACTION_MASK, irq::INTX, 0, 1, &[]),
            1,
        ),
    ] {
        let reply = watcher.client.set_irqs(request, &two[..fds]).unwrap();
        assert_eq!(reply.failure().expect(what), EINVAL, "{what}");
        watcher.client.device_info().expect(what);
    }
    let short = Bytes::new().u32(3).u32(none).u32(irq::MSIX).u32(0).u32(1);
    let reply = watcher
        .client
        .request(command::DEVICE_SET_IRQS, &short, &[])
        .unwrap();
    assert_eq!(reply.failure().unwrap(), EINVAL, "argsz 3");
    assert_eq!(event.take().unwrap(), 0, "none of them did anything");
}

#[test]
fn intx_without_a_pin_has_no_vector() {
    let (_daemon, mut client) = Daemon::testdev(&["identity.interrupt-pin=none"]).unwrap();
    let event = Event::new().unwrap();
    let bind = SetIrqs {
        flags: DATA_EVENTFD | ACTION_TRIGGER,
        count: 1,
        ..SetIrqs::default()
    };
    assert_eq!(
        client
            .set_irqs(bind, &[event.as_fd()])
            .unwrap()
            .failure()
            .unwrap(),
        EINVAL
    );
}
