use super::*;
use crate::effect::FunctionEvent;
use crate::function::Function;
use crate::host::{Event, Output};
use crate::model::Registry;
use crate::power::PowerState;
use crate::profile::Profile;

const NOW: Time = Time::ZERO;

fn second() -> FunctionNumber {
    FunctionNumber::try_from(1).unwrap()
}

fn function(profile: &str) -> Function {
    let text = Profile::builtin(profile).unwrap();
    let profile = Profile::parse(profile, text, &[]).unwrap();
    profile.function(&Registry::builtin()).unwrap()
}

/// A display with its audio function. No client has them open, and they stay awake nevertheless.
fn card() -> DeviceSet {
    let slot =
        Slot::new(function("gpu-display"), true).with_function(second(), function("gpu-audio"));
    DeviceSet::new(slot, HostOptions::default(), "gpu-display").with_driver(
        second(),
        HostOptions::default(),
        "gpu-audio",
    )
}

/// Returns the states that each function went to, as its device reports.
fn states(devices: &mut DeviceSet) -> [Vec<PowerState>; 2] {
    [FunctionNumber::ZERO, second()].map(|number| {
        let mut device = devices.device_mut(number).unwrap();
        let outputs = std::iter::from_fn(|| device.next_output());
        outputs
            .filter_map(|output| match output {
                Output::Event(Event::Function(FunctionEvent::DState { to, .. })) => Some(to),
                _ => None,
            })
            .collect()
    })
}

#[test]
fn the_rail_takes_all_devices_down_and_brings_all_back() {
    let mut devices = card();
    devices.set_rail(NOW, false);
    assert_eq!(
        states(&mut devices),
        [[PowerState::D3cold], [PowerState::D3cold]]
    );
    let saved = devices.save(NOW);
    devices.set_rail(NOW, true);
    assert_eq!(states(&mut devices), [[PowerState::D0], [PowerState::D0]]);

    // One tree has the slot once and each function by its number.
    for part in ["/slot/functions", "/devices"] {
        let numbers = saved.pointer(part).and_then(serde_json::Value::as_object);
        assert!(numbers.unwrap().keys().eq(["0", "1"]), "{part}");
    }
    let mut other = card();
    other.restore(NOW, &saved).unwrap();
    assert_eq!(other.save(NOW), saved);
    for (_, function) in other.slot().functions() {
        assert_eq!(function.power_state(), PowerState::D3cold);
    }
}

#[test]
fn what_one_device_does_to_the_slot_reaches_the_others_when_they_settle() {
    let mut devices = card();
    devices.device_mut(second()).unwrap().set_rail(NOW, false);
    assert_eq!(states(&mut devices), [vec![], vec![PowerState::D3cold]]);
    devices.settle(NOW);
    assert_eq!(states(&mut devices), [vec![PowerState::D3cold], vec![]]);
}

#[test]
fn a_state_that_does_not_fit_changes_no_device() {
    let mut devices = card();
    let mut saved = devices.save(NOW);
    devices.set_rail(NOW, false);
    let before = devices.save(NOW);
    *saved.pointer_mut("/devices/1/host/view").unwrap() = "vfio-pci".into();
    let error = devices.restore(NOW, &saved).unwrap_err();
    assert!(error.to_string().contains("devices.1.host.view"), "{error}");
    assert_eq!(devices.save(NOW), before);

    let alone = devices.device(second()).unwrap().save(NOW);
    let error = devices.restore(NOW, &alone).unwrap_err();
    assert!(error.to_string().contains("devices"), "{error}");
    let mut device = devices.device_mut(second()).unwrap();
    device.restore(NOW, &alone).unwrap();
    assert_eq!(device.save(NOW), alone);
}

#[test]
fn the_first_deadline_of_all_counts() {
    let slot = Slot::new(function("gpu-display"), true).with_function(second(), function("nic"));
    let options = HostOptions::default();
    let devices = DeviceSet::new(slot, options, "gpu-display");
    let mut devices = devices.with_driver(second(), options, "nic");
    assert_eq!(devices.next_deadline(), None);
    let mut device = devices.device_mut(second()).unwrap();
    let pmcsr = 0x44;
    device.slot.function_mut().config_write(NOW, pmcsr, &[0, 1]);
    device.pme(NOW);
    let due = device.next_deadline();
    assert!(due.is_some());
    assert_eq!(devices.next_deadline(), due);
}
