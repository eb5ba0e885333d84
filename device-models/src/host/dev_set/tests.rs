use vfio_user_protocol::Errno;
use vfio_user_protocol::messages::device_feature::Request;
use vfio_user_protocol::messages::device_info::DeviceFlags;
use vfio_user_protocol::vfio::RegionIndex;

use super::*;
use crate::effect::FunctionEvent;
use crate::host::{
    AttachedFd, DeviceSet, Event, FaultSpan, HostOptions, Output, ResumeFault, RuntimePmStatus,
};
use crate::model::Registry;
use crate::profile::Profile;
use crate::slot::Slot;

const NOW: Time = Time::ZERO;
const FIRST: FunctionNumber = FunctionNumber::ZERO;
const PMCSR: u64 = 0x44;

fn second() -> FunctionNumber {
    FunctionNumber::try_from(1).unwrap()
}

/// Two functions that sleep in D3hot while nobody needs them. `keys` are lines of the PM and the
/// PCI Express capability.
fn pair(pm: &str, pcie: &str) -> DeviceSet {
    let text = format!(
        r#"name = "one"
identity = {{ vendor-id = 0x1234, device-id = 1, class = 0xff0000 }}
bar = [{{ index = 0, kind = "memory32", size = 0x1000, content = "ram" }}]
capabilities.pm = {{ offset = 0x40, pme-from = ["d3hot"], {pm} }}
capabilities.pcie = {{ offset = 0x50, {pcie} }}
"#
    );
    let profile = Profile::parse("one", &text, &[]).unwrap();
    let function = || profile.function(&Registry::builtin()).unwrap();
    let mut options = HostOptions {
        view: View::VfioPci,
        disable_idle_d3: false,
        ..HostOptions::default()
    };
    options.platform.deepest_state = PowerState::D3hot;
    let slot = Slot::new(function(), true).with_function(second(), function());
    DeviceSet::new(slot, options, "0").with_driver(second(), options, "1")
}

/// Functions that no reset of their own reaches.
fn without_reset() -> DeviceSet {
    pair("no-soft-reset = true", "flr = false")
}

fn open(devices: &mut DeviceSet, number: FunctionNumber) {
    let mut device = devices.device_mut(number).unwrap();
    device.client_came(NOW).unwrap();
    collected(&mut device);
}

fn collected(device: &mut DeviceMut<'_>) -> Vec<Output> {
    std::iter::from_fn(|| device.next_output()).collect()
}

/// Returns the resets that each function saw, as its device reports.
fn resets(devices: &mut DeviceSet) -> [Vec<ResetKind>; 2] {
    [FIRST, second()].map(|number| {
        let outputs = collected(&mut devices.device_mut(number).unwrap());
        let resets = outputs.into_iter().filter_map(|output| match output {
            Output::Event(Event::Function(FunctionEvent::Reset { kind })) => Some(kind),
            _ => None,
        });
        resets.collect()
    })
}

fn write(devices: &mut DeviceSet, number: FunctionNumber, offset: u64, value: u8) {
    let mut device = devices.device_mut(number).unwrap();
    let config = RegionIndex::Config.number();
    device.region_write(NOW, config, offset, &[value]).unwrap();
}

fn engage(devices: &mut DeviceSet, number: FunctionNumber, armed: bool) {
    let mut device = devices.device_mut(number).unwrap();
    let (argsz, feature) = if armed { (16, 4) } else { (8, 3) };
    let fd = if armed {
        AttachedFd::Eventfd
    } else {
        AttachedFd::None
    };
    let flags: u32 = 1 << 17 | feature;
    let mut bytes = [argsz, flags].map(u32::to_ne_bytes).concat();
    bytes.resize(argsz as usize, 0);
    let request = Request::parse(&bytes).unwrap();
    device.feature(NOW, &request, fd).unwrap();
    device.idle(NOW);
    assert_eq!(
        device.status(NOW).runtime_status,
        RuntimePmStatus::Suspended
    );
    collected(&mut device);
}

#[test]
fn a_hot_reset_reaches_all_and_config_space_is_as_before() {
    let mut devices = pair("no-soft-reset = true", "flr = true");
    open(&mut devices, FIRST);
    open(&mut devices, second());
    write(&mut devices, FIRST, 0x0c, 7);
    write(&mut devices, second(), 0x0c, 9);
    resets(&mut devices);
    devices.first_mut().hot_reset(NOW).unwrap();
    assert_eq!(
        resets(&mut devices),
        [[ResetKind::Hot], [ResetKind::Hot]],
        "from above, once"
    );
    for (number, size) in [(FIRST, 7), (second(), 9)] {
        let function = devices.slot().function(number).unwrap();
        let dword = function.config().read_dword(0x0c);
        assert_eq!(dword as u8, size, "{number}");
    }
}

#[test]
fn a_hot_reset_wakes_siblings_and_lets_them_sleep_again() {
    for armed in [true, false] {
        let mut devices = without_reset();
        open(&mut devices, FIRST);
        open(&mut devices, second());
        engage(&mut devices, second(), armed);
        devices.first_mut().hot_reset(NOW).unwrap();
        let mut sibling = devices.device_mut(second()).unwrap();
        let signals = collected(&mut sibling);
        let signalled = |output: &Output| matches!(output, Output::Wakeup { signal: true });
        assert_eq!(signals.iter().any(signalled), armed);
        let status = sibling.status(NOW);
        assert_eq!(
            (status.engaged, status.suspends),
            (!armed, 2 + u64::from(!armed))
        );
        let asleep = status.runtime_status == RuntimePmStatus::Suspended;
        assert_eq!(asleep, !armed, "one that is still engaged sleeps again");
    }
}

#[test]
fn a_sibling_that_does_not_wake_keeps_all_from_the_reset() {
    let mut devices = without_reset();
    open(&mut devices, FIRST);
    open(&mut devices, second());
    engage(&mut devices, second(), true);
    let fault = |errno| {
        Some(ResumeFault {
            errno,
            span: FaultSpan::Times(1),
        })
    };
    let mut sibling = devices.device_mut(second()).unwrap();
    sibling.set_resume_fault(fault(Errno::EBUSY)).unwrap();
    let error = devices.first_mut().hot_reset(NOW).unwrap_err();
    assert_eq!(error.errno(), Errno::EBUSY, "as it is");
    let status = devices.device(second()).unwrap().status(NOW);
    assert!(status.engaged);
    assert_eq!(status.runtime_status, RuntimePmStatus::Suspended);
    assert_eq!(resets(&mut devices), [vec![], vec![]]);

    // The error of the device itself is the request's.
    let mut sibling = devices.device_mut(second()).unwrap();
    sibling.set_resume_fault(fault(Errno::EBUSY)).unwrap();
    assert_eq!(
        sibling.hot_reset(NOW),
        Err(HostError::NotAwake {
            cause: Errno::EBUSY
        })
    );

    devices
        .device_mut(second())
        .unwrap()
        .set_reset_busy(true)
        .unwrap();
    let error = devices.first_mut().hot_reset(NOW).unwrap_err();
    assert_eq!(error.errno(), Errno::EAGAIN);
    assert_eq!(resets(&mut devices), [vec![], vec![]]);
}

#[test]
fn a_function_without_a_driver_keeps_all_from_the_reset() {
    let profile = Profile::builtin("gpu-audio").unwrap();
    let profile = Profile::parse("gpu-audio", profile, &[]).unwrap();
    let function = || profile.function(&Registry::builtin()).unwrap();
    let slot = Slot::new(function(), true).with_function(second(), function());
    let mut devices = DeviceSet::new(slot, HostOptions::default(), "");
    let error = devices.first_mut().hot_reset(NOW).unwrap_err();
    assert_eq!(
        (error.errno(), error),
        (Errno::EINVAL, HostError::NoBusReset)
    );
}

#[test]
fn a_function_is_reset_by_the_bus_only_with_all_others() {
    for (pm, pcie, alone) in [
        ("no-soft-reset = true", "flr = true", Some(ResetKind::Flr)),
        (
            "no-soft-reset = false",
            "flr = false",
            Some(ResetKind::SoftD3hot),
        ),
        ("no-soft-reset = true", "flr = false", None),
    ] {
        let mut devices = pair(pm, pcie);
        open(&mut devices, FIRST);
        open(&mut devices, second());
        resets(&mut devices);
        let mut device = devices.first_mut();
        let flags = device.info(NOW).unwrap().flags;
        assert_eq!(
            flags.contains(DeviceFlags::RESET),
            alone.is_some(),
            "{pcie}"
        );
        let answer = device.reset(NOW).map_err(|error| error.errno());
        assert_eq!(answer.is_ok(), alone.is_some(), "{pm} {pcie}: {answer:?}");
        let seen: Vec<_> = alone.into_iter().collect();
        assert_eq!(resets(&mut devices), [seen, vec![]], "{pm} {pcie}");
    }
}

#[test]
fn the_last_close_of_all_resets_those_that_nothing_else_reset() {
    let mut devices = without_reset();
    open(&mut devices, FIRST);
    open(&mut devices, second());
    devices.first_mut().client_gone(NOW);
    assert_eq!(resets(&mut devices), [vec![], vec![]], "one is open");
    let saved = devices.save(NOW);
    devices.device_mut(second()).unwrap().client_gone(NOW);
    assert_eq!(resets(&mut devices), [[ResetKind::Hot], [ResetKind::Hot]]);
    for number in [FIRST, second()] {
        let status = devices.device(number).unwrap().status(NOW);
        assert_eq!(status.runtime_status, RuntimePmStatus::Suspended);
    }

    // It is known over a save that one waits for it.
    devices.restore(NOW, &saved).unwrap();
    let mut last = devices.device_mut(second()).unwrap();
    last.client_came(NOW).unwrap();
    last.client_gone(NOW);
    assert_eq!(resets(&mut devices), [[ResetKind::Hot], [ResetKind::Hot]]);
}

#[test]
fn nothing_is_reset_again_at_the_last_close() {
    let mut devices = pair("no-soft-reset = true", "flr = true");
    open(&mut devices, FIRST);
    devices.first_mut().client_gone(NOW);
    assert_eq!(resets(&mut devices), [vec![ResetKind::Flr], vec![]]);
    // One that somebody held was not reset, so all are.
    open(&mut devices, FIRST);
    devices.first_mut().set_reset_busy(true).unwrap();
    write(&mut devices, FIRST, PMCSR, 0);
    resets(&mut devices);
    devices.first_mut().client_gone(NOW);
    assert_eq!(resets(&mut devices), [vec![], vec![]]);
    devices.first_mut().set_reset_busy(false).unwrap();
    open(&mut devices, second());
    resets(&mut devices);
    devices.device_mut(second()).unwrap().client_gone(NOW);
    let flr_then_hot = vec![ResetKind::Flr, ResetKind::Hot];
    assert_eq!(resets(&mut devices), [vec![ResetKind::Hot], flr_then_hot]);
}
