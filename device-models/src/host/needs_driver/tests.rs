use vfio_user_protocol::vfio::RegionIndex;

use super::*;
use crate::host::{DeviceSet, RuntimePmStatus};
use crate::model::Registry;
use crate::power::PowerState;
use crate::profile::Profile;
use crate::register::ResetKind;

const NOW: Time = Time::ZERO;

/// A function that sleeps in D3cold and whose user allows it.
fn engaged(keys: &[(&str, &str)]) -> DeviceSet {
    let set = [("host.view", "vfio-pci"), ("bar.0.size", "0x1000")];
    let set = set.iter().chain(keys);
    let set: Vec<_> = set
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let text = Profile::builtin("testdev").unwrap();
    let profile = Profile::parse("testdev", text, &set).unwrap();
    let mut devices = profile.device_set(&Registry::builtin()).unwrap();
    let mut device = devices.first_mut();
    device.client_came(NOW).unwrap();
    device.engage().unwrap();
    device.idle(NOW);
    assert_eq!(device.status(NOW).power_state, PowerState::D3cold);
    devices
}

fn recorded(devices: &DeviceSet) -> u64 {
    devices.first().violations().counts["cold-without-driver"]
}

#[test]
fn sleeping_again_without_the_driver_is_recorded() {
    for (needs, expected) in [("true", 1), ("false", 0)] {
        let mut devices = engaged(&[("platform.needs-driver", needs)]);
        assert_eq!(recorded(&devices), 0, "the user has allowed this sleep");
        devices.first_mut().host_access(NOW);
        let status = devices.first().status(NOW);
        assert_eq!(status.runtime_status, RuntimePmStatus::Suspended);
        assert_eq!(recorded(&devices), expected, "{needs}");
    }
}

#[test]
fn the_user_may_let_it_sleep_again() {
    let mut devices = engaged(&[("platform.needs-driver", "true")]);
    let mut device = devices.first_mut();
    let bar = RegionIndex::Bar0.number();
    device.region_write(NOW, bar, 4, &[1, 2, 3, 4]).unwrap();
    device.idle(NOW);
    assert_eq!(device.status(NOW).power_state, PowerState::D3cold);
    assert_eq!(recorded(&devices), 0, "its driver woke it");

    // As a tool keeps it awake, the user acts anew.
    let mut device = devices.first_mut();
    device.set_control(NOW, crate::host::PowerControl::On);
    let saved = device.save(NOW);
    device.disengage();
    device.engage().unwrap();
    device.set_control(NOW, crate::host::PowerControl::Auto);
    assert_eq!(recorded(&devices), 0);
    // Without that it is a mistake, also after a save.
    let mut device = devices.first_mut();
    device.restore(NOW, &saved).unwrap();
    device.set_control(NOW, crate::host::PowerControl::Auto);
    assert_eq!(recorded(&devices), 1);
}

#[test]
fn power_that_another_function_or_the_port_cuts_counts_as_well() {
    let text = r#"name = "pair"
[slot]
port.suspend-delay-ms = 0
[[function]]
profile = "testdev"
platform.needs-driver = true
host.view = "vfio-pci"
[[function]]
profile = "testdev"
host.view = "vfio-pci"
"#;
    let engage = |devices: &mut DeviceSet| {
        for number in [0, 1] {
            let number = crate::slot::FunctionNumber::try_from(number).unwrap();
            let mut device = devices.device_mut(number).unwrap();
            device.client_came(NOW).unwrap();
            device.engage().unwrap();
            device.idle(NOW);
        }
    };
    let second = crate::slot::FunctionNumber::try_from(1).unwrap();
    for via in ["device", "port"] {
        let set = [0, 1].map(|number| {
            (
                format!("function.{number}.platform.d3cold-via"),
                format!("\"{via}\""),
            )
        });
        let registry = Registry::builtin();
        let bases = |name: &str| registry.base(name);
        let card = crate::profile::Card::parse("pair", text, &set, &bases).unwrap();
        let mut devices = card.device_set(&registry).unwrap();
        engage(&mut devices);
        assert!(!devices.slot().rail_on(), "{via}");
        let mut device = devices.device_mut(second).unwrap();
        device.set_control(NOW, crate::host::PowerControl::On);
        // By the port both are awake now, by the resource the second one only.
        let mut device = devices.first_mut();
        device.set_control(NOW, crate::host::PowerControl::On);
        device.set_control(NOW, crate::host::PowerControl::Auto);
        assert_eq!(recorded(&devices), 0, "{via}: it still has power");
        let mut device = devices.device_mut(second).unwrap();
        device.set_control(NOW, crate::host::PowerControl::Auto);
        assert!(!devices.slot().rail_on(), "{via}");
        assert_eq!(recorded(&devices), 1, "{via}");
    }
}

#[test]
fn a_function_that_does_not_bear_it_is_silent_until_a_reset_from_above() {
    let keys = [
        ("platform.needs-driver", "true"),
        ("platform.dead-without-driver", "true"),
    ];
    let mut devices = engaged(&keys);
    let mut device = devices.first_mut();
    device.host_access(NOW);
    let seen = device.host_access(NOW);
    assert_eq!(seen["vendor_id"], 0xffff, "dead");
    device.set_control(NOW, crate::host::PowerControl::On);
    let saved = device.save(NOW);
    for restored in [false, true] {
        let mut device = devices.first_mut();
        if restored {
            device.restore(NOW, &saved).unwrap();
        }
        device.platform_reset(NOW, ResetKind::Flr);
        assert_eq!(device.host_access(NOW)["vendor_id"], 0xffff, "deaf, too");
        device.platform_reset(NOW, ResetKind::Fundamental);
        assert_eq!(device.host_access(NOW)["vendor_id"], 0x1234, "{restored}");
    }
}
