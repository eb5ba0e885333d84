use std::time::Duration;

use super::*;
use crate::host::{DeviceSet, PowerControl, RuntimePmStatus};
use crate::model::Registry;
use crate::power::PowerState;
use crate::profile::Card;
use vfio_user_protocol::vfio::RegionIndex;

const NOW: Time = Time::ZERO;
const CONFIG: u32 = RegionIndex::Config.number();

/// Two functions that clients have open, and that have Memory Space on.
fn card(set: &[(&str, &str)]) -> DeviceSet {
    let text = r#"name = "pair"
[slot]
port.suspend-delay-ms = 0
[[function]]
profile = "testdev"
host.view = "vfio-pci"
[[function]]
profile = "testdev"
host.view = "vfio-pci"
"#;
    let set = set
        .iter()
        .flat_map(|(key, value)| match key.strip_prefix("each.") {
            Some(key) => vec![
                (format!("function.0.{key}"), value),
                (format!("function.1.{key}"), value),
            ],
            None => vec![((*key).to_owned(), value)],
        });
    let set: Vec<_> = set.map(|(key, value)| (key, (*value).to_owned())).collect();
    let registry = Registry::builtin();
    let bases = |name: &str| registry.base(name);
    let card = Card::parse("pair", text, &set, &bases).unwrap();
    let mut devices = card.device_set(&registry).unwrap();
    each(&mut devices, |device| {
        device.client_came(NOW).unwrap();
        device.region_write(NOW, CONFIG, 4, &[2, 0]).unwrap();
    });
    devices
}

fn each(devices: &mut DeviceSet, act: impl Fn(&mut DeviceMut<'_>)) {
    let numbers: Vec<_> = devices.numbers().collect();
    for number in numbers {
        act(&mut devices.device_mut(number).unwrap());
    }
}

fn engage(devices: &mut DeviceSet) {
    each(devices, |device| {
        device.engage().unwrap();
        device.idle(NOW);
    });
}

const BY_PORT: [(&str, &str); 1] = [("each.platform.d3cold-via", "\"port\"")];

#[test]
fn a_sleeping_port_is_restored_and_wakes() {
    for (deepest, state) in [
        ("\"d3cold\"", PowerState::D3cold),
        ("\"d3hot\"", PowerState::D3hot),
    ] {
        let mut set = BY_PORT.to_vec();
        set.push(("slot.port.deepest-state", deepest));
        let mut devices = card(&set);
        engage(&mut devices);
        assert_eq!(devices.first().status(NOW).port.power_state, state);
        let saved = devices.save(NOW);

        let mut other = card(&set);
        each(&mut other, |device| device.client_gone(NOW));
        let later = NOW.after(Duration::from_secs(3));
        other.restore(later, &saved).unwrap();
        let status = other.first().status(later);
        assert_eq!(status.port.power_state, state);
        assert_eq!(status.port.runtime_status, RuntimePmStatus::Suspended);
        assert_eq!(status.rail, state != PowerState::D3cold);

        // A function wakes the port, and the port all functions whose power was gone.
        let mut command = [0; 2];
        let mut device = other.first_mut();
        device.client_came(later).unwrap();
        device.region_read(later, CONFIG, 4, &mut command).unwrap();
        assert_eq!(command, [2, 0], "restored from the image of the sleep");
        let status = other.first().status(later);
        assert_eq!(status.port.power_state, PowerState::D0);
        assert!(status.rail);
        other.advance(later);
        each(&mut other, |device| device.idle(later));
        other.advance(later);
        let resumed = u64::from(state == PowerState::D3cold);
        let second = FunctionNumber::try_from(1).unwrap();
        let sleeps = |devices: &DeviceSet| devices.device(second).unwrap().state.low_power.suspends;
        let again = sleeps(&other) - sleeps(&devices);
        assert_eq!(again, resumed, "it was asked to resume, and sleeps again");
        assert_eq!(other.first().status(later).port.power_state, state);
    }
}

#[test]
fn one_function_of_a_card_is_refused_with_what_differs_in_its_power() {
    let second = FunctionNumber::try_from(1).unwrap();
    // As saved and as it is here: options, whether all functions sleep there; the refusal.
    for (set, asleep_then, asleep_here, at, difference) in [
        (
            &BY_PORT[..],
            true,
            false,
            "slot.rail_on",
            "main power was off, but here it is on",
        ),
        (
            &[][..],
            false,
            true,
            "slot.rail_on",
            "main power was on, but here it is off",
        ),
        (
            &[
                ("slot.port.deepest-state", "\"d3hot\""),
                ("each.platform.deepest-state", "\"d3hot\""),
            ],
            true,
            false,
            "supply.port.state",
            "it was in D3hot, but here it is in D0",
        ),
    ] {
        let [then, mut here] = [asleep_then, asleep_here].map(|asleep| {
            let mut devices = card(set);
            if asleep {
                engage(&mut devices);
            }
            devices
        });
        let saved = then.device(second).unwrap().save(NOW);
        let before = here.save(NOW);
        let error = here
            .device_mut(second)
            .unwrap()
            .restore(NOW, &saved)
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains(at) && text.contains(difference), "{text}");
        assert_eq!(here.save(NOW), before);
        // The whole card fits.
        each(&mut here, |device| device.client_gone(NOW));
        here.restore(NOW, &then.save(NOW)).unwrap();
    }
}

#[test]
fn a_function_that_lets_go_of_the_power_elsewhere_is_refused() {
    // The first function keeps the power on in both, so that only the second one's hold differs.
    let second = FunctionNumber::try_from(1).unwrap();
    let mut devices = card(&[]);
    devices.first_mut().set_control(NOW, PowerControl::On);
    let awake = devices.device(second).unwrap().save(NOW);
    engage(&mut devices);
    let asleep = devices.device(second).unwrap().save(NOW);
    for (saved, here, difference) in [
        (
            &awake,
            true,
            "function 1 held the slot's power resource, but here it has let go of it",
        ),
        (
            &asleep,
            false,
            "function 1 had let go of the slot's power resource, but here it holds it",
        ),
    ] {
        let mut devices = card(&[]);
        devices.first_mut().set_control(NOW, PowerControl::On);
        if here {
            engage(&mut devices);
        }
        let error = devices
            .device_mut(second)
            .unwrap()
            .restore(NOW, saved)
            .unwrap_err();
        assert!(error.to_string().contains(difference), "{error}");
    }
}
