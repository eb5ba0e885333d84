//! Downstream Port Containment: the link of the slot goes down and comes back.

use pci_device_models::effect::FunctionEvent;
use pci_device_models::fault::Fault;
use pci_device_models::host::{DeviceSet, Event, HostEvent, Output};
use pci_device_models::model::Registry;
use pci_device_models::profile::{Card, Profile};
use pci_device_models::slot::FunctionNumber;
use pci_device_models::time::Time;

const COMMAND: u64 = 4;
const AER: u64 = 0x100;

fn at(millis: u64) -> Time {
    Time::from_nanos(millis * 1_000_000)
}

fn number(number: u8) -> FunctionNumber {
    number.try_into().unwrap()
}

fn card() -> DeviceSet {
    let set = [("platform.delays", "off"), ("host.view", "vfio-pci")];
    let set = set.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let text = Profile::builtin("testdev").unwrap();
    let profile = Profile::parse("testdev", text, &set).unwrap();
    let functions = [0, 1].map(|index| (number(index), profile.clone()));
    let card = Card::assemble("two", functions).unwrap();
    let mut devices = card.device_set(&Registry::builtin()).unwrap();
    for index in [0, 1] {
        let mut device = devices.device_mut(number(index)).unwrap();
        device.client_came(at(0)).unwrap();
    }
    drop(events(&mut devices, 0));
    drop(events(&mut devices, 1));
    devices
}

fn contain(devices: &mut DeviceSet, now: u64, what: &str) {
    let fault = Fault::new("now", what).unwrap().named("it");
    devices.first_mut().add_fault(at(now), fault).unwrap();
}

/// Reads config space of a function as the host does.
fn config(devices: &mut DeviceSet, now: u64, index: u8, offset: u64) -> u32 {
    let mut data = [0; 4];
    let region = vfio_user_protocol::vfio::RegionIndex::Config.number();
    let mut device = devices.device_mut(number(index)).unwrap();
    device
        .region_read(at(now), region, offset, &mut data)
        .unwrap();
    u32::from_le_bytes(data)
}

/// Returns whether the function answers, as the bus sees it.
fn answers(devices: &DeviceSet, now: u64, index: u8) -> bool {
    let function = devices.slot().function(number(index)).unwrap();
    function
        .silent_for(at(now))
        .is_some_and(|left| left.is_zero())
}

fn events(devices: &mut DeviceSet, index: u8) -> Vec<Event> {
    let mut device = devices.device_mut(number(index)).unwrap();
    let outputs = std::iter::from_fn(|| device.next_output());
    let events = outputs.filter_map(|output| match output {
        Output::Event(event) => Some(event),
        _ => None,
    });
    events.collect()
}

fn containments(events: &[Event]) -> Vec<bool> {
    let contained = events.iter().filter_map(|event| match event {
        Event::Function(FunctionEvent::Containment { contained }) => Some(*contained),
        _ => None,
    });
    contained.collect()
}

fn recovered(events: &[Event]) -> Option<bool> {
    events.iter().find_map(|event| match event {
        Event::Host(HostEvent::ErrorRecovery { recovered, .. }) => Some(*recovered),
        _ => None,
    })
}

fn command(devices: &DeviceSet, index: u8) -> bool {
    let function = devices.slot().function(number(index)).unwrap();
    function.config().header().command().memory_space_enable()
}

#[test]
fn all_functions_are_silent_and_come_back_as_after_a_hot_reset() {
    let mut devices = card();
    assert!(command(&devices, 0) && command(&devices, 1));
    let fault = Fault::new("after 1ms", "aer poisoned-tlp header 1 2 3").unwrap();
    devices.first_mut().add_fault(at(0), fault).unwrap();
    devices.advance(at(1));
    // The host clears the status, but not the log of this one, which is the first.
    contain(&mut devices, 2, "dpc 50ms");
    devices.advance(at(2));
    for index in [0, 1] {
        assert!(!answers(&devices, 51, index), "{index}");
        assert!(!command(&devices, index), "{index}");
        assert_eq!(
            config(&mut devices, 51, index, AER + 8),
            u32::MAX,
            "{index}"
        );
    }
    devices.advance(at(52));
    for index in [0, 1] {
        assert!(answers(&devices, 52, index), "{index}");
        assert_eq!(
            config(&mut devices, 52, index, AER + 8),
            0x0040_0000,
            "{index}"
        );
        let events = events(&mut devices, index);
        assert_eq!(containments(&events), [true, false], "{index}");
        let told = events
            .iter()
            .any(|event| matches!(event, Event::Host(HostEvent::Error { .. })));
        assert!(told, "{index}");
        assert_eq!(recovered(&events), (index == 0).then_some(true), "{index}");
    }
}

#[test]
fn the_log_survives() {
    let mut devices = card();
    let fault = Fault::new("now", "aer malformed-tlp header 1 2 3").unwrap();
    devices.first_mut().add_fault(at(0), fault).unwrap();
    contain(&mut devices, 0, "dpc 10ms");
    devices.advance(at(0));
    devices.advance(at(10));
    assert_eq!(config(&mut devices, 10, 0, AER + 4), 0x0004_0000);
    assert_eq!(config(&mut devices, 10, 0, AER + 0x1c), 1);
    assert_eq!(
        config(&mut devices, 10, 0, COMMAND) & 6,
        0,
        "nobody restores it"
    );
}

#[test]
fn containment_without_end_is_not_recovered_until_the_fault_is_removed() {
    let mut devices = card();
    contain(&mut devices, 0, "dpc for-ever");
    devices.advance(at(0));
    assert_eq!(recovered(&events(&mut devices, 0)), Some(false));
    assert!(!answers(&devices, 1_000_000, 0) && !answers(&devices, 1_000_000, 1));
    devices.first_mut().remove_fault(at(1), "it").unwrap();
    devices.settle(at(1));
    assert!(answers(&devices, 1, 0) && answers(&devices, 1, 1));
    assert_eq!(containments(&events(&mut devices, 1)), [true, false]);
}

#[test]
fn power_ends_containment_that_lasts_until_then() {
    let mut devices = card();
    contain(&mut devices, 0, "dpc until-power-off");
    devices.advance(at(0));
    devices.set_rail(at(1), false);
    devices.set_rail(at(2), true);
    assert!(answers(&devices, 2, 0) && answers(&devices, 2, 1));
}

#[test]
fn containment_is_saved_and_ends_on_time() {
    let mut devices = card();
    contain(&mut devices, 0, "dpc 50ms");
    let saved = devices.save(at(20));
    let mut other = card();
    other.restore(at(100), &saved).unwrap();
    other.advance(at(100));
    assert_eq!(
        recovered(&events(&mut other, 0)),
        Some(true),
        "not handled before"
    );
    other.advance(at(129));
    assert!(!answers(&other, 129, 0) && !answers(&other, 129, 1));
    other.advance(at(130));
    assert!(answers(&other, 130, 0) && answers(&other, 130, 1));
}

#[test]
fn the_link_is_down_until_all_containments_are_over() {
    let mut devices = card();
    contain(&mut devices, 0, "dpc 50ms");
    let fault = Fault::new("now", "dpc 80ms").unwrap();
    let mut second = devices.device_mut(number(1)).unwrap();
    second.add_fault(at(10), fault).unwrap();
    devices.advance(at(50));
    assert!(!answers(&devices, 50, 0) && !answers(&devices, 50, 1));
    devices.advance(at(89));
    assert!(!answers(&devices, 89, 0) && !answers(&devices, 89, 1));
    devices.advance(at(90));
    for index in [0, 1] {
        assert!(answers(&devices, 90, index), "{index}");
        let events = events(&mut devices, index);
        assert_eq!(containments(&events), [true, false], "{index}");
    }
}
