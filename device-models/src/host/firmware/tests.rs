use super::*;
use crate::host::{Event, FaultSpan, HostEvent, Output, ResumeFault};
use crate::model::Registry;
use crate::power::PowerState;
use crate::profile::Profile;
use vfio_user_protocol::Errno;
use vfio_user_protocol::vfio::RegionIndex;

const NOW: Time = Time::ZERO;

/// A device that a client has open, in the view of a hypervisor.
fn opened(profile: &str, dialect: &str, rail_as: &str) -> DeviceSet {
    let set = [
        ("host.pm-dialect".to_owned(), dialect.to_owned()),
        ("platform.rail-as".to_owned(), rail_as.to_owned()),
    ];
    let text = Profile::builtin(profile).unwrap();
    let profile = Profile::parse(profile, text, &set).unwrap();
    let mut devices = profile.device_set(&Registry::builtin()).unwrap();
    devices.first_mut().client_came(NOW).unwrap();
    devices.first_mut().idle(NOW);
    devices
}

fn switch(devices: &mut DeviceSet, on: bool) {
    devices.switch_rail(NOW, on).unwrap();
    devices.first_mut().idle(NOW);
}

/// Returns whether the client has engaged low power, whether main power is on, and the power state.
fn state(devices: &DeviceSet) -> (bool, bool, PowerState) {
    let device = devices.first();
    let engaged = device.state.low_power.engaged;
    let function = devices.slot().first();
    (engaged, devices.slot().rail_on(), function.power_state())
}

/// Takes the outputs, and returns the number of wake-up notices among them.
fn notices(devices: &mut DeviceSet) -> usize {
    let mut device = devices.first_mut();
    let outputs = std::iter::from_fn(|| device.next_output());
    let notice = |output: &Output| matches!(output, Output::Event(Event::Host(HostEvent::Wakeup)));
    outputs.filter(notice).count()
}

/// Writes PME_En, as the guest's kernel does before it switches power off.
fn arm(devices: &mut DeviceSet) {
    let pmcsr = devices.first().state.core.pmcsr.unwrap();
    let mut device = devices.first_mut();
    let config = RegionIndex::Config.number();
    let written = device.region_write(NOW, config, u64::from(pmcsr) + 1, &[0x01]);
    assert_eq!(written.unwrap(), 1);
    device.idle(NOW);
}

const ASLEEP: (bool, bool, PowerState) = (true, false, PowerState::D3cold);
const WOKEN: (bool, bool, PowerState) = (false, true, PowerState::D0);

#[test]
fn by_default_firmware_switches_main_power() {
    let mut devices = opened("testdev", "mainline", "power");
    switch(&mut devices, false);
    assert_eq!(state(&devices), (false, false, PowerState::D3cold));
    switch(&mut devices, true);
    assert_eq!(state(&devices), WOKEN);
}

#[test]
fn off_is_low_power_and_on_leaves_it_in_both_dialects() {
    for dialect in ["mainline", "v4"] {
        for rail_as in ["low-power", "low-power-reentry"] {
            let mut devices = opened("testdev", dialect, rail_as);
            for _ in 0..2 {
                switch(&mut devices, false);
                assert_eq!(state(&devices), ASLEEP, "{dialect} {rail_as}");
                switch(&mut devices, false);
                assert_eq!(state(&devices), ASLEEP);
                switch(&mut devices, true);
                assert_eq!(state(&devices), WOKEN);
                switch(&mut devices, true);
                assert_eq!(state(&devices), WOKEN);
            }
        }
    }
}

#[test]
fn a_device_that_the_host_wakes_stays_awake_and_tells_so() {
    for (profile, dialect, armed) in [
        ("testdev", "mainline", false),
        ("gpu-display", "mainline", false),
        ("testdev", "v4", true),
        ("gpu-display", "v4", true),
    ] {
        let mut devices = opened(profile, dialect, "low-power");
        if armed {
            arm(&mut devices);
        }
        switch(&mut devices, false);
        notices(&mut devices);
        let answer = devices.first_mut().host_access(NOW);
        assert_eq!(answer["woken"], true);
        assert_ne!(answer["vendor_id"], 0xffff);
        assert_eq!(notices(&mut devices), 1, "{profile} {dialect}");
        devices.first_mut().idle(NOW);
        let (_, on, power) = state(&devices);
        assert_eq!((on, power), (true, PowerState::D0), "{profile} {dialect}");
        // The guest's driver gets its function back, and puts it to sleep again.
        switch(&mut devices, true);
        assert_eq!(state(&devices), WOKEN);
        switch(&mut devices, false);
        assert_eq!(state(&devices), ASLEEP, "{profile} {dialect}");
    }
}

#[test]
fn a_device_that_may_sleep_again_does_so_silently() {
    for (profile, dialect) in [
        ("testdev", "mainline"),
        ("gpu-display", "mainline"),
        ("testdev", "v4"),
    ] {
        let mut devices = opened(profile, dialect, "low-power-reentry");
        switch(&mut devices, false);
        notices(&mut devices);
        let answer = devices.first_mut().host_access(NOW);
        assert_eq!(answer["woken"], true);
        assert_eq!(state(&devices), ASLEEP, "{profile} {dialect}");
        assert_eq!(notices(&mut devices), 0, "{profile} {dialect}");
    }
}

#[test]
fn a_display_of_nvidia_does_not_sleep_again_in_the_v4_dialect() {
    let mut devices = opened("gpu-display", "v4", "low-power-reentry");
    switch(&mut devices, false);
    devices.first_mut().host_access(NOW);
    let (engaged, on, power) = state(&devices);
    assert_eq!((engaged, on, power), (true, true, PowerState::D0));
}

#[test]
fn a_device_that_nobody_has_open_stays_where_it_is() {
    let mut devices = opened("testdev", "mainline", "low-power");
    devices.first_mut().client_gone(NOW);
    switch(&mut devices, false);
    assert_eq!(state(&devices), WOKEN);
}

#[test]
fn a_device_that_does_not_wake_is_an_error() {
    let mut devices = opened("testdev", "mainline", "low-power");
    switch(&mut devices, false);
    let fault = ResumeFault {
        errno: Errno::EBUSY,
        span: FaultSpan::Times(1),
    };
    devices.first_mut().set_resume_fault(Some(fault)).unwrap();
    assert_eq!(
        devices.switch_rail(NOW, true),
        Err(HostError::NotAwake {
            cause: Errno::EBUSY
        })
    );
    assert_eq!(state(&devices), ASLEEP);
    switch(&mut devices, true);
    assert_eq!(state(&devices), WOKEN);
}
