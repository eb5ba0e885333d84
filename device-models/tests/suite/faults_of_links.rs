//! Faults of the link that the functions of a slot share, and of the port above it.

use std::time::Duration;

use pci_device_models::fault::{Fault, FaultError};
use pci_device_models::host::{DeviceMut, DeviceSet, Event, HostError, Output, RuntimePmStatus};
use pci_device_models::model::Registry;
use pci_device_models::power::PowerState;
use pci_device_models::profile::{Card, Profile};
use pci_device_models::register::ResetKind;
use pci_device_models::slot::{FunctionNumber, LinkState};
use pci_device_models::time::Time;
use vfio_user_protocol::vfio::RegionIndex;

const MILLI: u64 = 1_000_000;
const CONFIG: u32 = RegionIndex::Config.number();
const ONES: u32 = u32::MAX;

/// A link of 8 lanes at 16 GT/s.
const LINK: &str = "capabilities.pcie = { link-speed = 4, link-width = 8 }\n";

fn at(millis: u64) -> Time {
    Time::from_nanos(millis * MILLI)
}

fn one(set: &[(&str, &str)]) -> DeviceSet {
    let text = Profile::builtin("testdev").unwrap();
    let fixed = [
        ("capabilities.pcie.link-speed", "4"),
        ("capabilities.pcie.link-width", "8"),
        ("platform.delays", "off"),
        ("host.view", "hardware"),
    ];
    let set = fixed.iter().chain(set);
    let set: Vec<_> = set
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let profile = Profile::parse("testdev", text, &set).unwrap();
    profile.device_set(&Registry::builtin()).unwrap()
}

/// Two functions that sleep by the port, with a fault of their slot.
fn pair(fault: &str, port: &str) -> DeviceSet {
    let text = format!(
        r#"name = "pair"
[slot]
{port}
{fault}
[[function]]
profile = "testdev"
platform.d3cold-via = "port"
host.view = "vfio-pci"
{LINK}
[[function]]
profile = "testdev"
platform.d3cold-via = "port"
host.view = "vfio-pci"
{LINK}
"#
    );
    let registry = Registry::builtin();
    let card = Card::parse("pair", &text, &[], &|name| registry.base(name)).unwrap();
    card.device_set(&registry).unwrap()
}

fn second() -> FunctionNumber {
    FunctionNumber::try_from(1).unwrap()
}

fn add(devices: &mut DeviceSet, now: u64, when: &str, what: &str) {
    let fault = Fault::new(when, what).unwrap().named("it");
    devices.first_mut().add_fault(at(now), fault).unwrap();
}

fn read(mut device: DeviceMut<'_>, now: u64, offset: u64) -> Result<u32, HostError> {
    let mut data = [0; 4];
    device.region_read(at(now), CONFIG, offset, &mut data)?;
    Ok(u32::from_le_bytes(data))
}

fn ids(devices: &mut DeviceSet, now: u64) -> u32 {
    read(devices.first_mut(), now, 0).unwrap()
}

/// Current Link Speed and Negotiated Link Width, as the function and as the port show them.
fn link(devices: &mut DeviceSet, now: u64) -> ((u32, u32), (u8, u8)) {
    let pcie = pcie(devices, now);
    let status = read(devices.first_mut(), now, pcie + 0x10).unwrap() >> 16;
    let port = devices.first().status(at(now)).port;
    (
        (status & 0xf, status >> 4 & 0x3f),
        (port.link_speed, port.link_width),
    )
}

/// The place of the PCI Express capability, found by the list of capabilities.
fn pcie(devices: &mut DeviceSet, now: u64) -> u64 {
    let mut offset = u64::from(read(devices.first_mut(), now, 0x34).unwrap() & 0xff);
    loop {
        let header = read(devices.first_mut(), now, offset).unwrap();
        if header & 0xff == 0x10 {
            return offset;
        }
        offset = u64::from(header >> 8 & 0xff);
    }
}

fn rail(devices: &mut DeviceSet, now: u64) {
    devices.set_rail(at(now), false);
    devices.set_rail(at(now), true);
}

#[test]
fn a_link_that_does_not_train_after_power_on_silences_the_function_until_it_does() {
    for key in ["fault", "slot.fault"] {
        let fault = r#"[{ when = "power-on first 1", what = "link-down 300ms", name = "it" }]"#;
        let mut devices = one(&[(key, fault)]);
        let there = ids(&mut devices, 0);
        assert!(devices.first().status(at(0)).port.link_active);
        rail(&mut devices, 10);
        assert_eq!(ids(&mut devices, 309), ONES, "{key}");
        assert_eq!(devices.slot().link(), LinkState::Down);
        let port = devices.first().status(at(309)).port;
        assert_eq!(
            (port.link_active, port.link_speed, port.link_width),
            (false, 0, 0)
        );
        let silent = devices.slot().first().silent_for(at(110));
        assert_eq!(silent, Some(Duration::from_millis(200)));
        assert_eq!(devices.next_deadline(), Some(at(310)));
        devices.advance(at(310));
        assert_eq!(ids(&mut devices, 310), there);
        assert_eq!(devices.slot().link(), LinkState::L0);
        assert!(devices.first().status(at(310)).port.link_active);
        let faults = devices.first_mut().faults();
        assert_eq!((faults.len(), faults[0].struck), (1, 1));
        rail(&mut devices, 400);
        assert_eq!(ids(&mut devices, 400), there, "the first time only");
    }
}

#[test]
fn a_fast_link_recovers_once_it_is_up_and_a_slow_one_from_the_reset_on() {
    for (speed, silent) in [("4", 400), ("2", 300)] {
        let mut devices = one(&[
            ("capabilities.pcie.link-speed", speed),
            ("platform.delays", "enforce"),
        ]);
        add(&mut devices, 0, "power-on", "link-down 300ms");
        rail(&mut devices, 0);
        let left = devices.slot().first().silent_for(at(0));
        assert_eq!(left, Some(Duration::from_millis(silent)), "{speed}");
    }
}

#[test]
fn a_link_is_narrower_or_slower_until_power_was_off() {
    for (what, expected) in [
        ("link-narrow 4 until-power-off", (4, 4)),
        ("link-slow 2.5gt until-power-off", (1, 8)),
        ("link-narrow 16 until-power-off", (4, 8)),
        ("link-slow 32gt until-power-off", (4, 8)),
    ] {
        let mut devices = one(&[]);
        let (speed, width) = expected;
        let limited = (
            (speed, width),
            (u8::try_from(speed).unwrap(), u8::try_from(width).unwrap()),
        );
        add(&mut devices, 0, "power-on first 1", what);
        assert_eq!(link(&mut devices, 0), ((4, 8), (4, 8)));
        rail(&mut devices, 1);
        assert_eq!(link(&mut devices, 2), limited, "{what}");
        for kind in [ResetKind::Flr, ResetKind::Hot] {
            devices.first_mut().platform_reset(at(3), kind);
            assert_eq!(link(&mut devices, 3), limited, "{what} {kind:?}");
        }
        rail(&mut devices, 4);
        assert_eq!(link(&mut devices, 4), ((4, 8), (4, 8)), "{what}");
    }
}

#[test]
fn the_limits_of_two_faults_hold_together_and_end_one_by_one() {
    let mut devices = one(&[]);
    for what in [
        "link-narrow 2 10ms",
        "link-narrow 4 for-ever",
        "link-slow 5gt for-ever",
    ] {
        let fault = Fault::new("now", what).unwrap();
        devices.first_mut().add_fault(at(0), fault).unwrap();
    }
    assert_eq!(link(&mut devices, 0), ((2, 2), (2, 2)));
    devices.advance(at(10));
    assert_eq!(link(&mut devices, 10), ((2, 4), (2, 4)));
    devices
        .first_mut()
        .remove_fault(at(11), "link-slow")
        .unwrap();
    assert_eq!(link(&mut devices, 11), ((4, 4), (4, 4)));
    devices.first_mut().clear_faults(at(12));
    assert_eq!(link(&mut devices, 12), ((4, 8), (4, 8)));
    assert_eq!(devices.first_mut().faults(), []);
}

#[test]
fn a_link_that_goes_down_in_use_resets_what_is_behind_it() {
    let mut devices = one(&[("platform.delays", "enforce")]);
    devices
        .first_mut()
        .region_write(at(0), CONFIG, 4, &[6, 0])
        .unwrap();
    devices.first_mut().set_intx(at(0), true);
    add(&mut devices, 0, "after 5ms", "link-down for-ever");
    while devices.first_mut().next_output().is_some() {}
    assert_eq!(devices.next_deadline(), Some(at(5)));
    devices.advance(at(5));
    let mut device = devices.first_mut();
    let outputs: Vec<Output> = std::iter::from_fn(|| device.next_output()).collect();
    let event = |text: &str| {
        let events = outputs.iter().filter(|output| match output {
            Output::Event(Event::Function(event)) => {
                serde_json::to_string(event).unwrap().contains(text)
            }
            _ => false,
        });
        events.count()
    };
    assert_eq!(event(r#""event":"fault""#), 1);
    assert_eq!(event(r#""kind":"hot""#), 1);
    assert_eq!(event(r#""asserted":false"#), 1);
    assert_eq!(devices.slot().first().silent_for(at(6)), None);
    devices.first_mut().set_intx(at(7), true);
    assert!(!devices.first().status(at(7)).irqs.intx_level, "no message");
    assert_eq!(ids(&mut devices, 8), ONES);
    // Software finds a function that was reset, once it has had the time for that.
    devices.first_mut().remove_fault(at(10), "it").unwrap();
    assert_eq!(ids(&mut devices, 109), ONES);
    assert_eq!(read(devices.first_mut(), 110, 4).unwrap() & 6, 0);
    assert!(devices.first().status(at(110)).irqs.intx_level);
}

#[test]
fn the_fault_of_a_slot_is_one_of_all_its_functions() {
    let mut devices = pair("", "");
    let own = Fault::new("now", "pme-spurious").unwrap().named("own");
    devices.first_mut().add_fault(at(0), own).unwrap();
    let fault = Fault::new("now", "link-down for-ever").unwrap();
    let mut device = devices.device_mut(second()).unwrap();
    let taken = device.add_fault(at(0), fault.clone().named("own"));
    assert_eq!(
        taken,
        Err(FaultError::Taken {
            name: "own".to_owned()
        })
    );
    device.add_fault(at(0), fault.named("it")).unwrap();
    for number in [FunctionNumber::ZERO, second()] {
        let mut device = devices.device_mut(number).unwrap();
        assert!(device.faults().iter().any(|fault| fault.name == "it"));
        device.keep_awake(at(1)).unwrap();
        assert_eq!(device.host_access(at(1))["vendor_id"], 0xffff, "{number}");
        let again = Fault::new("now", "pme-spurious").unwrap().named("it");
        assert!(device.add_fault(at(1), again).is_err());
    }
    devices.first_mut().remove_fault(at(2), "it").unwrap();
    let mut device = devices.device_mut(second()).unwrap();
    assert_eq!(device.host_access(at(2))["vendor_id"], 0x1234);
}

/// A card that sleeps in D3cold by its port, open and engaged.
fn asleep(fault: &str, port: &str) -> DeviceSet {
    let mut devices = pair(fault, port);
    for number in [FunctionNumber::ZERO, second()] {
        let mut device = devices.device_mut(number).unwrap();
        device.client_came(at(0)).unwrap();
        device.set_suspend_delay(at(0), pci_device_models::host::SuspendDelay::Manual);
    }
    for number in [FunctionNumber::ZERO, second()] {
        let mut device = devices.device_mut(number).unwrap();
        device.client_gone(at(0));
        assert!(device.suspend_now(at(0)), "{number}");
    }
    devices.advance(at(1000));
    let status = devices.first().status(at(1000));
    assert_eq!(status.port.power_state, PowerState::D3cold, "{status:?}");
    devices
}

const PORT: &str = "port = { link-speed = \"8gt\" }";

#[test]
fn the_host_waits_for_a_link_that_is_late_when_the_port_resumes() {
    for (what, usable) in [("link-down 300ms", true), ("link-down for-ever", false)] {
        let fault = format!(r#"fault = [{{ when = "port-resume", what = "{what}" }}]"#);
        let mut devices = asleep(&fault, PORT);
        let mut device = devices.first_mut();
        let seen = device.host_access(at(2000));
        let there = if usable { 0x1234 } else { 0xffff };
        assert_eq!(seen["vendor_id"], there, "{what}");
        assert_eq!(device.faults()[0].struck, 1, "{what}");
    }
}

#[test]
fn waking_the_port_fails_and_it_is_tried_again() {
    let fault = r#"fault = [{ when = "port-resume first 2", what = "fail EAGAIN" }]"#;
    let mut devices = asleep(fault, PORT);
    // An access tries twice: for the port, and for the function below it.
    for vendor in [0xffff, 0x1234] {
        let seen = devices.first_mut().host_access(at(2000));
        assert_eq!(seen["vendor_id"], vendor);
    }
    let fault = r#"fault = [{ when = "port-resume first 1", what = "fail ETIMEDOUT" }]"#;
    let mut devices = asleep(fault, PORT);
    for _ in 0..2 {
        let seen = devices.first_mut().host_access(at(2000));
        assert_eq!(seen["vendor_id"], 0xffff, "the host remembers the error");
    }
    let port = devices.first().status(at(2000)).port;
    assert_eq!(port.runtime_status, RuntimePmStatus::Error);
}

#[test]
fn a_restored_device_strikes_at_the_same_tick_and_keeps_its_link() {
    let mut devices = one(&[]);
    add(&mut devices, 0, "every 100ms nth 2", "link-down 50ms");
    let narrow = Fault::new("now", "link-narrow 1 until-power-off").unwrap();
    devices.first_mut().add_fault(at(0), narrow).unwrap();
    for moment in [20, 210] {
        let moment = at(moment);
        devices.advance(moment);
        let saved = devices.save(moment);
        let mut restored = one(&[]);
        // Its clock is another.
        restored.restore(Time::ZERO, &saved).unwrap();
        assert_eq!(restored.save(Time::ZERO), saved);
        let deadline = devices.next_deadline().unwrap();
        let left = deadline.since(moment);
        assert_eq!(restored.next_deadline(), Some(Time::ZERO.after(left)));
        devices.advance(deadline);
        restored.advance(Time::ZERO.after(left));
        assert_eq!(
            restored.save(Time::ZERO.after(left)),
            devices.save(deadline)
        );
        assert_eq!(
            link(&mut restored, 250).1,
            link(&mut devices, 250).1,
            "{moment:?}"
        );
    }
}

#[test]
fn one_function_of_a_slot_is_not_restored_into_a_slot_with_other_faults() {
    let mut devices = pair("", "");
    let saved = devices.first().save(at(0));
    add(&mut devices, 0, "power-on", "link-down for-ever");
    let error = devices.first_mut().restore(at(0), &saved).unwrap_err();
    assert!(error.to_string().starts_with("slot.faults: "), "{error}");
    devices.first_mut().clear_faults(at(0));
    devices.first_mut().restore(at(0), &saved).unwrap();
}

#[test]
fn what_is_no_fault_of_the_link_is_refused() {
    for (when, what, reason) in [
        ("reset flr", "link-down 1s", "has to be power-on"),
        ("power-on", "link-narrow 3 1s", "no link has 3 lanes"),
        ("power-on", "link-slow 3gt 1s", "no speed of a link"),
        ("port-resume", "not-ready 1s", "not one of the host"),
    ] {
        let error = Fault::new(when, what).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let text = Profile::builtin("testdev").unwrap();
    let of_function = r#"[{ when = "now", what = "gone 1s" }]"#;
    let set = [("slot.fault".to_owned(), of_function.to_owned())];
    let error = Profile::parse("testdev", text, &set).unwrap_err();
    assert!(
        error.to_string().contains("write it as [[fault]]"),
        "{error}"
    );
    let integrated = [
        (
            "capabilities.pcie.type".to_owned(),
            "root-complex-integrated-endpoint".to_owned(),
        ),
        (
            "fault".to_owned(),
            r#"[{ when = "now", what = "link-down 1s" }]"#.to_owned(),
        ),
    ];
    let error = Profile::parse("testdev", text, &integrated).unwrap_err();
    assert!(error.to_string().contains("has no link"), "{error}");
}
