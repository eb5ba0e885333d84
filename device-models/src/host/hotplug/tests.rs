use vfio_user_protocol::Errno;
use vfio_user_protocol::vfio::RegionIndex;

use super::*;
use crate::effect::FunctionEvent;
use crate::host::DeviceSet;
use crate::model::Registry;
use crate::power::PowerState;
use crate::profile::{Card as CardProfile, Profile};

const CONFIG: u32 = RegionIndex::Config as u32;
fn at(millis: u64) -> Time {
    Time::from_nanos(millis * 1_000_000)
}

fn number(number: u8) -> FunctionNumber {
    number.try_into().unwrap()
}

fn one(set: &[(&str, &str)]) -> DeviceSet {
    let set = set
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let set: Vec<_> = set.collect();
    let text = Profile::builtin("testdev").unwrap();
    let profile = Profile::parse("testdev", text, &set).unwrap();
    profile.device_set(&Registry::builtin()).unwrap()
}

fn vfio() -> DeviceSet {
    one(&[("host.view", "vfio-pci")])
}

fn sriov() -> DeviceSet {
    let registry = Registry::builtin();
    let text = include_str!("../../../profiles/nic-sriov-card.toml");
    let set = [("function.0.host.view".to_owned(), "vfio-pci".to_owned())];
    let card = CardProfile::parse("card", text, &set, &|name| registry.base(name)).unwrap();
    card.device_set(&registry).unwrap()
}

fn of(devices: &mut DeviceSet, function: u8) -> DeviceMut<'_> {
    devices.device_mut(number(function)).unwrap()
}

/// Returns the counts of the requests that a device made, and whether each was signalled.
fn requests(device: &mut DeviceMut<'_>) -> Vec<u32> {
    let outputs = std::iter::from_fn(|| device.next_output());
    let requests = outputs.filter_map(|output| match output {
        Output::Event(Event::Host(HostEvent::Request { count, .. })) => Some(count),
        _ => None,
    });
    requests.collect()
}

fn card(devices: &DeviceSet, now: u64) -> (bool, CardState) {
    let CardStatus { present, state, .. } = devices.first().status(at(now)).card;
    (present, state)
}

fn config(device: &mut DeviceMut<'_>, now: u64, offset: u64) -> u32 {
    let mut data = [0; 4];
    device
        .region_read(at(now), CONFIG, offset, &mut data)
        .unwrap();
    u32::from_le_bytes(data)
}

const CONFIGURED: (bool, CardState) = (true, CardState::Configured);
const WAITING: (bool, CardState) = (true, CardState::Unconfiguring);
const OUT: (bool, CardState) = (false, CardState::Unconfigured);

#[test]
fn an_orderly_removal_asks_again_until_the_last_client_closes() {
    let mut devices = vfio();
    let mut device = devices.first_mut();
    device.client_came(at(0)).unwrap();
    assert_eq!(device.remove_card(at(1000)), Ok(CardState::Unconfiguring));
    assert_eq!(requests(&mut device), [0]);
    assert_eq!(device.next_deadline(), Some(at(11_000)));
    device.advance(at(10_999));
    assert_eq!(requests(&mut device), [0_u32; 0]);
    device.advance(at(11_000));
    device.advance(at(35_000));
    assert_eq!(requests(&mut device), [1, 2, 3]);
    // The removal holds the device lock.
    assert_eq!(device.reset(at(35_000)).unwrap_err().errno(), Errno::EAGAIN);
    assert_eq!(
        device.hot_reset(at(35_000)).unwrap_err().errno(),
        Errno::EAGAIN
    );
    assert_eq!(device.client_came(at(35_000)), Err(HostError::Leaving));
    assert_eq!(
        device.remove_card(at(35_000)),
        Err(HostError::Unconfiguring)
    );
    assert_eq!(device.insert_card(at(35_000)), Err(HostError::Occupied));
    assert_eq!(config(&mut device, 35_000, 0) as u16, 0x1234);
    assert_eq!(card(&devices, 35_000), WAITING);
    let mut device = devices.first_mut();
    device.client_gone(at(36_000));
    let outputs: Vec<_> = std::iter::from_fn(|| device.next_output()).collect();
    let resets = outputs.iter().filter(|output| {
        matches!(
            output,
            Output::Event(Event::Function(FunctionEvent::Reset { .. }))
        )
    });
    assert_eq!(resets.count(), 0, "{outputs:?}");
    assert_eq!(card(&devices, 36_000), OUT);
    assert!(!devices.slot().rail_on());
    let mut device = devices.first_mut();
    assert_eq!(device.client_came(at(36_000)), Err(HostError::Leaving));
    assert_eq!(device.remove_card(at(36_000)), Err(HostError::NoCard));
    assert_eq!(device.insert_card(at(37_000)), Ok(CardState::Configured));
    device.client_came(at(37_000)).unwrap();
    assert_eq!(card(&devices, 37_000), CONFIGURED);
}

#[test]
fn nobody_is_asked_for_a_device_that_nobody_has_open() {
    let mut devices = vfio();
    let mut device = devices.first_mut();
    assert_eq!(device.remove_card(at(0)), Ok(CardState::Unconfigured));
    assert_eq!(requests(&mut device), [0_u32; 0]);
    assert_eq!(card(&devices, 0), OUT);
    assert_eq!(devices.next_deadline(), None);
}

#[test]
fn after_a_surprise_the_old_client_never_gets_the_new_card() {
    let mut devices = vfio();
    let mut device = devices.first_mut();
    device.client_came(at(0)).unwrap();
    device.region_write(at(0), CONFIG, 4, &[6, 0]).unwrap();
    assert_eq!(device.pull_card(at(0)), Ok(CardState::Unconfiguring));
    assert_eq!(requests(&mut device), [0]);
    assert_eq!(device.slot().function().power_state(), PowerState::D3cold);
    // PMCSR is the function's own, the ids are the driver's.
    // PME is the driver's, too.
    assert_eq!(config(&mut device, 0, 0x44) | 0x8100, u32::MAX);
    assert_eq!(config(&mut device, 0, 0) as u16, 0x1234);
    assert_eq!(device.pull_card(at(0)), Err(HostError::NoCard));
    assert_eq!(device.insert_card(at(1)), Ok(CardState::Unconfiguring));
    assert_eq!(device.slot().function().power_state(), PowerState::D0);
    assert_eq!(config(&mut device, 1, 0x44) as u16 & 3, 0);
    assert_eq!(device.reset(at(1)).unwrap_err().errno(), Errno::EAGAIN);
    // The host does not reach it either.
    let function = device.slot().function().config().header().command();
    assert!(!function.bus_master_enable());
    device.client_gone(at(2));
    assert_eq!(card(&devices, 2), CONFIGURED);
    let mut device = devices.first_mut();
    device.client_came(at(2)).unwrap();
    device.reset(at(2)).unwrap();
}

#[test]
fn a_patient_host_does_not_hold_the_card_back() {
    let mut devices = vfio();
    let mut device = devices.first_mut();
    device.client_came(at(0)).unwrap();
    device.remove_card(at(0)).unwrap();
    assert_eq!(device.pull_card(at(5000)), Ok(CardState::Unconfiguring));
    // The removal under way goes on.
    assert_eq!(requests(&mut device), [0]);
    device.insert_card(at(6000)).unwrap();
    device.client_gone(at(7000));
    assert_eq!(card(&devices, 7000), CONFIGURED, "it stays in");
}

#[test]
fn functions_are_removed_from_the_last_to_the_first() {
    let mut devices = sriov();
    of(&mut devices, 0).set_num_vfs(at(0), 2).unwrap();
    for function in [0, 2] {
        of(&mut devices, function).client_came(at(0)).unwrap();
    }
    of(&mut devices, 0).remove_card(at(0)).unwrap();
    assert_eq!(requests(&mut of(&mut devices, 2)), [0]);
    assert_eq!(requests(&mut of(&mut devices, 0)), [0_u32; 0]);
    // Function 1 is not reached yet.
    of(&mut devices, 1).client_came(at(0)).unwrap();
    devices.advance(at(10_000));
    assert_eq!(requests(&mut of(&mut devices, 2)), [1]);
    of(&mut devices, 2).client_gone(at(10_000));
    assert_eq!(requests(&mut of(&mut devices, 1)), [0]);
    of(&mut devices, 1).client_gone(at(10_000));
    assert_eq!(requests(&mut of(&mut devices, 0)), [0]);
    assert_eq!(card(&devices, 10_000), WAITING);
    of(&mut devices, 0).client_gone(at(10_000));
    assert_eq!(card(&devices, 10_000), OUT);
    of(&mut devices, 1).insert_card(at(10_000)).unwrap();
    assert_eq!(card(&devices, 10_000), CONFIGURED);
    let refused = of(&mut devices, 1).client_came(at(10_000)).unwrap_err();
    assert_eq!(
        refused,
        HostError::NoVirtualFunction {
            physical: number(0)
        }
    );
    of(&mut devices, 0).set_num_vfs(at(10_000), 1).unwrap();
    of(&mut devices, 1).client_came(at(10_000)).unwrap();
}

#[test]
fn a_card_that_does_not_answer_is_not_configured() {
    let fault = "[{ when = 'power-on first 1', what = 'not-ready 2s' }]";
    let mut devices = one(&[("host.view", "vfio-pci"), ("fault", fault)]);
    devices.first_mut().remove_card(at(0)).unwrap();
    let mut device = devices.first_mut();
    assert_eq!(device.insert_card(at(0)), Ok(CardState::Unconfigured));
    assert_eq!(device.client_came(at(0)), Err(HostError::Leaving));
    assert_eq!(card(&devices, 0), (true, CardState::Unconfigured));
    assert!(!devices.slot().rail_on());
    let mut device = devices.first_mut();
    assert_eq!(device.remove_card(at(3000)), Ok(CardState::Unconfigured));
    assert_eq!(device.insert_card(at(3000)), Ok(CardState::Configured));
}

#[test]
fn a_removal_goes_on_after_a_restore() {
    for surprise in [false, true] {
        let mut devices = vfio();
        let mut device = devices.first_mut();
        device.client_came(at(0)).unwrap();
        if surprise {
            device.pull_card(at(0)).unwrap();
        } else {
            device.remove_card(at(0)).unwrap();
        }
        let saved = devices.save(at(4000));
        let mut restored = vfio();
        restored.restore(at(100_000), &saved).unwrap();
        assert_eq!(
            card(&restored, 100_000),
            (!surprise, CardState::Unconfiguring)
        );
        let mut device = restored.first_mut();
        // The client of the saved device comes back, another one does not.
        device.client_came(at(100_000)).unwrap();
        assert_eq!(device.client_came(at(100_000)), Err(HostError::Leaving));
        device.advance(at(105_999));
        assert_eq!(requests(&mut device), [0_u32; 0]);
        device.advance(at(106_000));
        assert_eq!(requests(&mut device), [1]);
        device.client_gone(at(106_000));
        assert_eq!(card(&restored, 106_000), OUT);
        let saved = restored.save(at(0));
        let mut restored = vfio();
        restored.restore(at(0), &saved).unwrap();
        assert_eq!(card(&restored, 0), OUT);
        assert_eq!(
            restored.first_mut().insert_card(at(0)),
            Ok(CardState::Configured)
        );
    }
}

#[test]
fn a_state_that_no_removal_reaches_is_refused() {
    let mut devices = vfio();
    devices.first_mut().remove_card(at(0)).unwrap();
    let mut saved = devices.save(at(0));
    let host = saved["devices"]["0"]["host"].as_object_mut().unwrap();
    host.remove("leaving").unwrap();
    let error = vfio().restore(at(0), &saved).unwrap_err().to_string();
    assert!(error.contains("devices.0.host.leaving"), "{error}");
}
