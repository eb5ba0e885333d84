use vfio_user_protocol::Errno;
use vfio_user_protocol::vfio::RegionIndex;

use super::*;
use crate::effect::FunctionEvent;
use crate::host::{DeviceSet, Event, HostEvent, Output};
use crate::model::Registry;
use crate::profile::Card;

const CARD: &str = include_str!("../../../profiles/nic-sriov-card.toml");
const CONFIG: u32 = RegionIndex::Config as u32;
const PHYSICAL: u8 = 0;
const VIRTUAL: u8 = 1;

/// SR-IOV of the card.
const SRIOV: u64 = 0x160;
const FLR: u64 = 0xa8;

fn at(millis: u64) -> Time {
    Time::from_nanos(millis * 1_000_000)
}

fn number(number: u8) -> FunctionNumber {
    number.try_into().unwrap()
}

fn card(set: &[(&str, &str)]) -> DeviceSet {
    let registry = Registry::builtin();
    let set = set
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let set: Vec<_> = set.collect();
    let card = Card::parse("card", CARD, &set, &|name| registry.base(name)).unwrap();
    card.device_set(&registry).unwrap()
}

/// A card whose physical function is behind vfio-pci as well.
fn vfio_card() -> DeviceSet {
    card(&[("function.0.host.view", "vfio-pci")])
}

fn of(devices: &mut DeviceSet, function: u8) -> DeviceMut<'_> {
    devices.device_mut(number(function)).unwrap()
}

fn enable(devices: &mut DeviceSet, now: Time, count: u16) -> Result<(), HostError> {
    of(devices, PHYSICAL).set_num_vfs(now, count)
}

fn read<const N: usize>(
    device: &mut DeviceMut<'_>,
    now: Time,
    region: u32,
    offset: u64,
) -> [u8; N] {
    let mut data = [0; N];
    device.region_read(now, region, offset, &mut data).unwrap();
    data
}

fn write(device: &mut DeviceMut<'_>, now: Time, offset: u64, data: &[u8]) {
    device.region_write(now, CONFIG, offset, data).unwrap();
}

fn exists(devices: &DeviceSet) -> [bool; 4] {
    [1, 2, 3, 4].map(|function| devices.slot().function(number(function)).unwrap().exists())
}

fn requests(device: &mut DeviceMut<'_>) -> usize {
    let outputs = std::iter::from_fn(|| device.next_output());
    let is_request = |output: &Output| {
        matches!(
            output,
            Output::Event(Event::Host(HostEvent::Request { .. }))
        )
    };
    outputs.filter(is_request).count()
}

#[test]
fn only_enabled_virtual_functions_can_be_opened() {
    let mut devices = vfio_card();
    let refused = of(&mut devices, VIRTUAL).client_came(at(0)).unwrap_err();
    assert_eq!(refused.errno(), Errno::ENODEV);
    enable(&mut devices, at(0), 2).unwrap();
    assert_eq!(exists(&devices), [true, true, false, false]);
    for (function, there) in [(1, true), (2, true), (3, false), (4, false)] {
        let came = of(&mut devices, function).client_came(at(0));
        assert_eq!(came.is_ok(), there, "{function}");
    }
}

#[test]
fn sriov_numvfs_fails_as_in_linux() {
    let mut devices = vfio_card();
    let errno = |devices: &mut DeviceSet, count| {
        enable(devices, at(0), count).map_err(|error| error.errno())
    };
    assert_eq!(errno(&mut devices, 5), Err(Errno::ERANGE));
    assert_eq!(errno(&mut devices, 0), Ok(()));
    assert_eq!(errno(&mut devices, 2), Ok(()));
    assert_eq!(errno(&mut devices, 2), Ok(()));
    assert_eq!(errno(&mut devices, 3), Err(Errno::EBUSY));
    assert_eq!(errno(&mut devices, 0), Ok(()));
    assert_eq!(exists(&devices), [false; 4]);
    let refused = of(&mut devices, VIRTUAL).set_num_vfs(at(0), 1).unwrap_err();
    assert_eq!(refused.errno(), Errno::ENOENT);
    let mut devices = card(&[("function.0.host.enable-sriov", "false")]);
    assert_eq!(errno(&mut devices, 5), Err(Errno::ERANGE));
    assert_eq!(errno(&mut devices, 1), Err(Errno::ENOENT));
}

#[test]
fn active_virtual_functions_keep_the_physical_function_awake() {
    let mut devices = vfio_card();
    assert!(of(&mut devices, PHYSICAL).state.rpm.is_suspended());
    enable(&mut devices, at(0), 1).unwrap();
    let mut physical = of(&mut devices, PHYSICAL);
    physical.idle(at(0));
    assert!(!physical.state.rpm.is_suspended());
    assert_eq!(physical.status(at(0)).runtime_usage, 1);
    enable(&mut devices, at(0), 0).unwrap();
    assert!(of(&mut devices, PHYSICAL).state.rpm.is_suspended());
}

#[test]
fn a_physical_function_with_virtual_functions_stays_in_d0() {
    let mut devices = vfio_card();
    let mut physical = of(&mut devices, PHYSICAL);
    physical.client_came(at(0)).unwrap();
    physical.set_num_vfs(at(0), 1).unwrap();
    write(&mut physical, at(0), 0x44, &[3]);
    assert_eq!(read(&mut physical, at(0), CONFIG, 0x44), [0]);
    physical.set_num_vfs(at(0), 0).unwrap();
    write(&mut physical, at(0), 0x44, &[3]);
    assert_eq!(read(&mut physical, at(0), CONFIG, 0x44), [3]);
}

#[test]
fn a_client_of_vfio_pci_sees_ids_and_memory_space_of_a_virtual_function() {
    let mut devices = vfio_card();
    enable(&mut devices, at(0), 1).unwrap();
    let mut device = of(&mut devices, VIRTUAL);
    device.client_came(at(0)).unwrap();
    assert_eq!(
        read(&mut device, at(0), CONFIG, 0),
        [0x86, 0x80, 0xca, 0x10]
    );
    assert_eq!(read(&mut device, at(0), CONFIG, 4), [0x02, 0]);
    write(&mut device, at(0), 0x10, &[0xff; 4]);
    assert_eq!(
        read(&mut device, at(0), CONFIG, 0x10),
        [0x04, 0xc0, 0xff, 0xff]
    );
    // Row 34.
    write(&mut device, at(0), 4, &[0, 0]);
    assert_eq!(read(&mut device, at(0), CONFIG, 4), [0, 0]);
    assert_eq!(read(&mut device, at(0), 0, 0), [0; 4]);
    let found = devices.slot().function(number(VIRTUAL)).unwrap();
    let mut header = [0; 0x40];
    found.config().read(0, &mut header);
    assert_eq!(header[..6], [0xff, 0xff, 0xff, 0xff, 0, 0]);
    assert_eq!(header[0x10..0x28], [0; 0x18]);
}

#[test]
fn silicon_lets_virtual_functions_come_and_go() {
    let mut devices = card(&[("function.1.host.view", "hardware")]);
    let mut physical = of(&mut devices, PHYSICAL);
    physical.client_came(at(0)).unwrap();
    write(&mut physical, at(0), SRIOV + 0x10, &[2, 0]);
    write(&mut physical, at(0), SRIOV + 8, &[1, 0]);
    // The physical function cannot sleep, whoever has enabled them.
    assert_eq!(physical.status(at(0)).runtime_usage, 2);
    assert_eq!(exists(&devices), [true, true, false, false]);
    let mut device = of(&mut devices, VIRTUAL);
    device.client_came(at(100)).unwrap();
    assert_eq!(
        read(&mut device, at(100), 0, 0),
        [0xff; 4],
        "VF Memory Space Enable is clear"
    );
    write(&mut of(&mut devices, PHYSICAL), at(100), SRIOV + 8, &[9, 0]);
    let mut device = of(&mut devices, VIRTUAL);
    assert_eq!(read(&mut device, at(100), 0, 0), [0; 4]);
    // A function level reset of the physical function ends them, under their clients' hands.
    write(&mut of(&mut devices, PHYSICAL), at(100), FLR + 1, &[0x80]);
    let mut device = of(&mut devices, VIRTUAL);
    assert_eq!(read(&mut device, at(100), CONFIG, 6), [0xff; 2]);
    assert_eq!(read(&mut device, at(100), 0, 0), [0xff; 4]);
    assert_eq!(of(&mut devices, PHYSICAL).status(at(100)).runtime_usage, 1);
    device = of(&mut devices, VIRTUAL);
    let events = std::iter::from_fn(|| device.next_output()).filter_map(|output| match output {
        Output::Event(Event::Function(FunctionEvent::VirtualFunction { exists })) => Some(exists),
        _ => None,
    });
    assert_eq!(events.collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_virtual_function_answers_only_100_ms_after_vf_enable() {
    let mut devices = card(&[
        ("function.1.platform.delays", "enforce"),
        ("function.1.host.view", "hardware"),
    ]);
    let mut physical = of(&mut devices, PHYSICAL);
    physical.client_came(at(0)).unwrap();
    write(&mut physical, at(0), SRIOV + 0x10, &[1, 0]);
    write(&mut physical, at(0), SRIOV + 8, &[9, 0]);
    let mut device = of(&mut devices, VIRTUAL);
    device.client_came(at(0)).unwrap();
    assert_eq!(read(&mut device, at(99), CONFIG, 6), [0xff; 2]);
    assert_eq!(read(&mut device, at(100), CONFIG, 6), [0x10, 0]);
}

#[test]
fn a_reset_of_the_physical_function_brings_host_enabled_virtual_functions_back_anew() {
    let mut devices = vfio_card();
    enable(&mut devices, at(0), 2).unwrap();
    of(&mut devices, PHYSICAL).client_came(at(0)).unwrap();
    let mut device = of(&mut devices, VIRTUAL);
    device.client_came(at(0)).unwrap();
    write(&mut device, at(0), 4, &[4, 0]);
    assert_eq!(read(&mut device, at(0), CONFIG, 4), [4, 0]);
    of(&mut devices, PHYSICAL).reset(at(0)).unwrap();
    assert_eq!(exists(&devices), [true, true, false, false]);
    let mut device = of(&mut devices, VIRTUAL);
    assert_eq!(
        read(&mut device, at(0), CONFIG, 4),
        [0, 0],
        "Bus Master Enable is lost"
    );
    of(&mut devices, PHYSICAL).client_gone(at(0));
    assert_eq!(
        exists(&devices),
        [true, true, false, false],
        "also after the close"
    );
    assert!(!of(&mut devices, PHYSICAL).state.rpm.is_suspended());
}

#[test]
fn virtual_functions_in_use_are_asked_for_and_go_with_their_last_client() {
    let mut devices = vfio_card();
    enable(&mut devices, at(0), 2).unwrap();
    for function in [1, 2] {
        of(&mut devices, function).client_came(at(0)).unwrap();
    }
    enable(&mut devices, at(0), 0).unwrap();
    assert_eq!(requests(&mut of(&mut devices, 1)), 1);
    assert_eq!(requests(&mut of(&mut devices, 2)), 1);
    assert_eq!(exists(&devices), [true, true, false, false]);
    of(&mut devices, 1).client_gone(at(0));
    let refused = of(&mut devices, 1).client_came(at(0)).unwrap_err();
    assert_eq!(refused.errno(), Errno::ENODEV);
    assert_eq!(exists(&devices), [true, true, false, false]);
    of(&mut devices, 2).client_gone(at(0));
    assert_eq!(exists(&devices), [false; 4]);
    assert!(of(&mut devices, PHYSICAL).state.rpm.is_suspended());
    enable(&mut devices, at(0), 1).unwrap();
}

#[test]
fn power_of_the_slot_does_not_depend_on_virtual_functions() {
    let mut devices = vfio_card();
    assert!(!devices.slot().rail_on(), "no virtual function holds it");
    enable(&mut devices, at(0), 1).unwrap();
    assert!(devices.slot().rail_on());
    of(&mut devices, VIRTUAL).client_came(at(0)).unwrap();
    devices.set_rail(at(0), false);
    assert_eq!(exists(&devices), [false; 4]);
    devices.set_rail(at(0), true);
    assert_eq!(exists(&devices), [false; 4]);
    let mut device = of(&mut devices, VIRTUAL);
    assert_eq!(read(&mut device, at(500), CONFIG, 6), [0xff; 2]);
}

#[test]
fn a_hot_reset_leaves_virtual_functions_to_the_physical_function() {
    let mut devices = vfio_card();
    enable(&mut devices, at(0), 1).unwrap();
    of(&mut devices, PHYSICAL).hot_reset(at(0)).unwrap();
    assert_eq!(exists(&devices), [true, false, false, false]);
    let refused = of(&mut devices, VIRTUAL).hot_reset(at(0)).unwrap_err();
    assert_eq!(refused.errno(), Errno::ENODEV);
}

#[test]
fn a_client_of_vfio_pci_reads_sriov_and_cannot_write_it() {
    let mut devices = vfio_card();
    let mut physical = of(&mut devices, PHYSICAL);
    physical.client_came(at(0)).unwrap();
    write(&mut physical, at(0), SRIOV + 0x10, &[2, 0]);
    write(&mut physical, at(0), SRIOV + 8, &[9, 0]);
    assert_eq!(read(&mut physical, at(0), CONFIG, SRIOV + 8), [0; 2]);
    assert_eq!(read(&mut physical, at(0), CONFIG, SRIOV + 0x0e), [4, 0]);
    assert_eq!(exists(&devices), [false; 4]);
}

#[test]
fn a_card_with_virtual_functions_is_saved_and_restored() {
    let mut devices = vfio_card();
    enable(&mut devices, at(0), 2).unwrap();
    of(&mut devices, VIRTUAL).client_came(at(0)).unwrap();
    enable(&mut devices, at(0), 0).unwrap();
    let saved = devices.save(at(0));
    let mut other = vfio_card();
    other.restore(at(7), &saved).unwrap();
    assert_eq!(other.save(at(7)), saved);
    assert_eq!(exists(&other), [true, true, false, false]);
    let status = |devices: &mut DeviceSet| of(devices, PHYSICAL).status(at(7)).sriov;
    assert_eq!(status(&mut other), status(&mut devices));
    assert_eq!(of(&mut other, PHYSICAL).status(at(7)).runtime_usage, 1);
    of(&mut other, VIRTUAL).client_gone(at(7));
    assert_eq!(exists(&other), [false; 4]);

    let mut wrong = saved.clone();
    wrong["slot"]["functions"]["3"]["core"]["presence"]["exists"] = true.into();
    let refused = vfio_card().restore(at(7), &wrong).unwrap_err().to_string();
    assert!(
        refused.contains("slot.functions.3.core.presence.exists"),
        "{refused}"
    );
}

#[test]
fn a_virtual_function_sleeps_without_a_state_of_its_own() {
    let mut devices = vfio_card();
    enable(&mut devices, at(0), 1).unwrap();
    let mut device = of(&mut devices, VIRTUAL);
    assert!(device.state.rpm.is_suspended());
    assert_eq!(device.slot.function().power_state(), PowerState::D0);
    device.client_came(at(0)).unwrap();
    assert!(!device.state.rpm.is_suspended());
    let status = device.status(at(0));
    assert_eq!(
        (status.power_state, status.holds_power),
        (PowerState::D0, false)
    );
}

#[test]
fn a_virtual_function_is_in_the_state_of_its_physical_function() {
    let mut devices = card(&[("function.0.capabilities.pm.no-soft-reset", "true")]);
    let mut physical = of(&mut devices, PHYSICAL);
    physical.client_came(at(0)).unwrap();
    write(&mut physical, at(0), SRIOV + 0x10, &[1, 0]);
    write(&mut physical, at(0), SRIOV + 8, &[9, 0]);
    let state = |devices: &DeviceSet| {
        let function = devices.slot().function(number(VIRTUAL)).unwrap();
        (function.exists(), function.power_state())
    };
    write(&mut of(&mut devices, PHYSICAL), at(100), 0x44, &[3]);
    assert_eq!(state(&devices), (true, PowerState::D3hot));
    write(&mut of(&mut devices, PHYSICAL), at(200), 0x44, &[0]);
    assert_eq!(state(&devices), (true, PowerState::D0));
    // One that is reset on the way back loses its virtual functions.
    let mut devices = card(&[]);
    let mut physical = of(&mut devices, PHYSICAL);
    physical.client_came(at(0)).unwrap();
    write(&mut physical, at(0), SRIOV + 0x10, &[1, 0]);
    write(&mut physical, at(0), SRIOV + 8, &[9, 0]);
    write(&mut of(&mut devices, PHYSICAL), at(100), 0x44, &[3]);
    assert_eq!(state(&devices), (true, PowerState::D3hot));
    write(&mut of(&mut devices, PHYSICAL), at(200), 0x44, &[0]);
    assert_eq!(state(&devices), (false, PowerState::D0));
}

#[test]
fn nothing_of_a_virtual_function_outlives_it() {
    for fault in ["reset-ignored", "not-ready for-ever"] {
        let mut devices = vfio_card();
        enable(&mut devices, at(0), 1).unwrap();
        let mut device = of(&mut devices, VIRTUAL);
        device.client_came(at(0)).unwrap();
        let when = if fault == "reset-ignored" {
            "reset"
        } else {
            "now"
        };
        device.write_command(
            at(0),
            crate::config::Command::new().with_bus_master_enable(true),
        );
        let fault = crate::fault::Fault::new(when, fault).unwrap();
        device.add_fault(at(0), fault).unwrap();
        enable(&mut devices, at(0), 0).unwrap();
        // The close does not reset it: that is lost, too.
        let mut device = of(&mut devices, VIRTUAL);
        device.client_gone(at(0));
        device.clear_faults(at(0));
        assert_eq!(exists(&devices), [false; 4]);
        enable(&mut devices, at(0), 1).unwrap();
        let function = devices.slot().function(number(VIRTUAL)).unwrap();
        let command = function.config().header().command();
        assert!(!command.bus_master_enable(), "{when}");
    }
}
