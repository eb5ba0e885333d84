//! INTx that rises while the function sleeps is delivered once: at the wake, or when whatever else
//! masked it is gone.

use client_tests::control::Control;
use client_tests::daemon::{Daemon, Spec};
use client_tests::os::Event;
use client_tests::raw::wire::set_irqs::{
    ACTION_MASK, ACTION_TRIGGER, ACTION_UNMASK, DATA_EVENTFD, DATA_NONE,
};
use client_tests::raw::wire::{device_feature::SET, irq, region};
use client_tests::raw::{RawClient, SetIrqs};
use std::os::fd::AsFd;

const COMMAND: u64 = 4;
const MEMORY: u16 = 0x0002;
const INTERRUPT_DISABLE: u16 = 0x0400;

/// One of the combinations.
#[derive(Clone, Copy, Debug)]
struct Combination {
    v4: bool,
    cold: bool,
    no_soft_reset: bool,
    /// The function really sleeps, so power management masks INTx if nothing else has.
    sleeps: bool,
    /// Masks that stand when it goes to sleep.
    masked_by_client: bool,
    masked_by_itself: bool,
    interrupt_disable: bool,
    /// The line falls again before the wake.
    falls: bool,
}

impl Combination {
    fn all() -> impl Iterator<Item = Self> {
        (0..1 << 8).map(|bits: u32| {
            let bit = |at: u32| bits >> at & 1 != 0;
            Self {
                v4: bit(0),
                cold: bit(1),
                no_soft_reset: bit(2),
                sleeps: bit(3),
                masked_by_client: bit(4),
                masked_by_itself: bit(5),
                interrupt_disable: bit(6),
                falls: bit(7),
            }
        })
    }

    fn serve(self) -> (Daemon, RawClient, Control) {
        let choose =
            |choice: bool, yes: &'static str, no: &'static str| if choice { yes } else { no };
        let spec = Spec::named("low-power").unwrap().set(&[
            choose(self.v4, "host.pm-dialect=v4", "host.pm-dialect=mainline"),
            choose(
                self.cold,
                "platform.deepest-state=d3cold",
                "platform.deepest-state=d3hot",
            ),
            choose(
                self.no_soft_reset,
                "capabilities.pm.no-soft-reset=true",
                "capabilities.pm.no-soft-reset=false",
            ),
            "host.suspend-delay-ms=manual",
        ]);
        let daemon = Daemon::start(&[spec]).unwrap();
        let client = daemon.attach(0).unwrap();
        let control = daemon.control(0).unwrap();
        (daemon, client, control)
    }

    const fn masked(self) -> bool {
        self.masked_by_client || self.masked_by_itself || self.interrupt_disable
    }
}

fn intx(client: &mut RawClient, action: u32) {
    let request = SetIrqs {
        flags: DATA_NONE | action,
        index: irq::INTX,
        count: 1,
        ..SetIrqs::default()
    };
    client.set_irqs(request, &[]).unwrap().success().unwrap();
}

fn bind(client: &mut RawClient) -> Event {
    let trigger = Event::new().unwrap();
    let request = SetIrqs {
        flags: DATA_EVENTFD | ACTION_TRIGGER,
        index: irq::INTX,
        count: 1,
        ..SetIrqs::default()
    };
    let reply = client.set_irqs(request, &[trigger.as_fd()]).unwrap();
    reply.success().unwrap();
    trigger
}

fn command(client: &mut RawClient, value: u16) {
    client
        .write(region::CONFIG, COMMAND, &value.to_le_bytes())
        .unwrap();
}

/// A feature request without descriptors.
fn feature(client: &mut RawClient, feature: u32, flags: &[u32]) {
    let data: Vec<u8> = flags.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let argsz = 8 + data.len() as u32;
    let reply = client.device_feature(argsz, SET | feature, &data, &[]);
    reply.unwrap().success().unwrap();
}

/// Returns the number of signals since the last call, once the server has done all it was asked for.
fn signals(trigger: &Event, control: &mut Control) -> u64 {
    control.command(&["status"]).unwrap();
    trigger.take().unwrap()
}

fn check(combination: Combination) {
    let (_daemon, mut client, mut control) = combination.serve();
    let control = &mut control;
    let ctl = |control: &mut Control, words: &[&str]| control.command(words).unwrap();
    command(&mut client, MEMORY);
    let trigger = bind(&mut client);

    if combination.masked_by_itself {
        ctl(control, &["intx", "assert"]);
        assert_eq!(signals(&trigger, control), 1);
        ctl(control, &["intx", "deassert"]);
    }
    if combination.masked_by_client {
        intx(&mut client, ACTION_MASK);
    }
    if combination.interrupt_disable {
        command(&mut client, MEMORY | INTERRUPT_DISABLE);
    }

    match combination.v4 {
        true => feature(&mut client, 3, &[1, 0]),
        false => feature(&mut client, 3, &[]),
    }
    if combination.sleeps {
        let slept = ctl(control, &["suspend"]);
        assert_eq!(slept["suspended"], true);
    }

    ctl(control, &["intx", "assert"]);
    let at_once = !combination.sleeps && !combination.masked();
    assert_eq!(
        signals(&trigger, control),
        u64::from(at_once),
        "when the line rises"
    );
    if combination.falls {
        ctl(control, &["intx", "deassert"]);
    }
    let mut delivered = at_once;

    match combination.v4 {
        true => feature(&mut client, 3, &[2, 0]),
        false => feature(&mut client, 5, &[]),
    }
    // A line that is high is owed one signal until it was delivered.
    let mut expect = |control: &mut Control, when: &str| {
        let owed = !combination.falls && !delivered;
        assert_eq!(signals(&trigger, control), u64::from(owed), "{when}");
        if owed {
            delivered = true;
        }
        control.command(&["intx", "deassert"]).unwrap();
    };
    if !combination.masked() {
        expect(control, "at the wake");
    } else {
        assert_eq!(signals(&trigger, control), 0, "masked at the wake");
    }
    if combination.interrupt_disable {
        command(&mut client, MEMORY);
        expect(control, "when Interrupt Disable is cleared");
    }
    if combination.masked_by_client || combination.masked_by_itself {
        intx(&mut client, ACTION_UNMASK);
        expect(control, "when it is unmasked");
    }

    // Nothing is left masked or owed.
    ctl(control, &["intx", "deassert"]);
    intx(&mut client, ACTION_UNMASK);
    assert_eq!(signals(&trigger, control), 0, "with the line low");
    ctl(control, &["intx", "assert"]);
    assert_eq!(signals(&trigger, control), 1, "the next rise");
}

#[test]
fn intx_raised_in_sleep_is_delivered_once() {
    for combination in Combination::all() {
        let outcome = std::panic::catch_unwind(|| check(combination));
        assert!(outcome.is_ok(), "{combination:?}");
    }
}
