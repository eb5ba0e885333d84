//! Faults of signals, at the function itself.

use pci_device_models::effect::{Effect, FunctionEvent};
use pci_device_models::fault::Fault;
use pci_device_models::function::Function;
use pci_device_models::model::Registry;
use pci_device_models::profile::Profile;
use pci_device_models::time::Time;

fn function(when: &str, what: &str) -> Function {
    let text = Profile::builtin("testdev").unwrap();
    let profile = Profile::parse("testdev", text, &[]).unwrap();
    let mut function = profile.function(&Registry::builtin()).unwrap();
    let fault = Fault::new(when, what).unwrap();
    function.add_fault(Time::ZERO, fault).unwrap();
    function
}

fn effects(function: &mut Function) -> Vec<Effect> {
    std::iter::from_fn(|| function.next_effect()).collect()
}

#[test]
fn intx_is_lost_or_stuck() {
    for (when, what, expected) in [
        (
            "intx-assert first 1",
            "intx-lost",
            [None, Some(false), Some(true)],
        ),
        (
            "intx-release first 1",
            "intx-stuck",
            [Some(true), None, Some(true)],
        ),
    ] {
        let mut function = function(when, what);
        for (asserted, expected) in [true, false, true].into_iter().zip(expected) {
            function.set_intx(asserted);
            let wire = effects(&mut function)
                .into_iter()
                .find_map(|effect| match effect {
                    Effect::Intx(wire) => Some(wire),
                    _ => None,
                });
            assert_eq!(wire, expected, "{what}, {asserted}");
        }
    }
}

#[test]
fn a_doubled_message_arrives_twice() {
    let mut function = function("interrupt nth 2", "msi-doubled");
    let msi = function
        .config()
        .capabilities()
        .find(|placed| placed.capability.get().name() == "msi")
        .map(|placed| u64::from(placed.offset))
        .unwrap();
    function.config_write(Time::ZERO, 4, &[4, 0]);
    function.config_write(Time::ZERO, msi + 2, &[1, 0]);
    for expected in [1, 2, 1] {
        function.interrupt(0);
        let is_sent = |effect: &Effect| matches!(effect, Effect::Message { .. });
        let sent = effects(&mut function)
            .iter()
            .filter(|it| is_sent(it))
            .count();
        assert_eq!(sent, expected);
    }
}

#[test]
fn a_spurious_pme_sets_the_status_and_is_sent_if_armed() {
    for (armed, sent) in [(true, 1), (false, 0)] {
        let mut function = function("after 5ms", "pme-spurious");
        let now = Time::from_nanos(1_000_000);
        let enable = u16::from(armed) << 8;
        function.config_write(now, 0x44, &enable.to_le_bytes());
        let then = Time::from_nanos(5_000_000);
        function.advance(then);
        function.advance(then);
        let status = function.config().pm().unwrap().pmcsr().pme_status();
        assert!(status, "armed {armed}");
        let is_sent = |effect: &Effect| matches!(effect, Effect::Event(FunctionEvent::PmPme));
        let messages = effects(&mut function)
            .iter()
            .filter(|it| is_sent(it))
            .count();
        assert_eq!(messages, sent, "armed {armed}");
    }
}
