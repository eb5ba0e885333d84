//! The host's handling of errors that functions report.

use pci_device_models::capability::ErrorSeverity::{Fatal, NonFatal};
use pci_device_models::effect::FunctionEvent;
use pci_device_models::fault::Fault;
use pci_device_models::host::{DeviceSet, Event, HostEvent, Output};
use pci_device_models::model::Registry;
use pci_device_models::profile::{Card, Profile};
use pci_device_models::register::ResetKind;
use pci_device_models::slot::FunctionNumber;
use pci_device_models::time::Time;
use vfio_user_protocol::vfio::RegionIndex;

const COMMAND: u64 = 4;

fn profile(set: &[(&str, &str)]) -> Profile {
    let set: Vec<_> = [("platform.delays", "off")]
        .iter()
        .chain(set)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let text = Profile::builtin("testdev").unwrap();
    Profile::parse("testdev", text, &set).unwrap()
}

/// Two functions that a client each has open.
fn card() -> DeviceSet {
    let functions =
        FunctionNumber::ALL.map(|number| (number, profile(&[("host.view", "vfio-pci")])));
    let card = Card::assemble("two", functions.into_iter().take(2)).unwrap();
    let mut devices = card.device_set(&Registry::builtin()).unwrap();
    for number in FunctionNumber::ALL.into_iter().take(2) {
        let mut device = devices.device_mut(number).unwrap();
        device.client_came(Time::ZERO).unwrap();
        drop(outputs(&mut devices, number));
    }
    devices
}

fn first(devices: &mut DeviceSet) -> Vec<Output> {
    outputs(devices, FunctionNumber::ZERO)
}

fn outputs(devices: &mut DeviceSet, number: FunctionNumber) -> Vec<Output> {
    let mut device = devices.device_mut(number).unwrap();
    std::iter::from_fn(|| device.next_output()).collect()
}

/// Returns whether the host reported an error to the client, which has bound no trigger.
fn is_err(output: &Output) -> bool {
    matches!(
        output,
        Output::Event(Event::Host(HostEvent::Error { signalled: false }))
    )
}

fn place(devices: &DeviceSet, name: &str) -> u64 {
    let mut placed = devices.slot().first().config().capabilities();
    let placed = placed.find(|placed| placed.capability.get().name() == name);
    u64::from(placed.unwrap().offset)
}

fn aer(devices: &DeviceSet) -> u64 {
    place(devices, "advanced-error-reporting")
}

fn read(devices: &mut DeviceSet, offset: u64) -> u32 {
    let mut data = [0; 4];
    let region = RegionIndex::Config.number();
    let mut device = devices.first_mut();
    device
        .region_read(Time::ZERO, region, offset, &mut data)
        .unwrap();
    u32::from_le_bytes(data)
}

fn write(devices: &mut DeviceSet, offset: u64, data: &[u8]) {
    let region = RegionIndex::Config.number();
    let mut device = devices.first_mut();
    device
        .region_write(Time::ZERO, region, offset, data)
        .unwrap();
}

/// Function 0 detects an error, which the host does not know of yet.
fn detect(devices: &mut DeviceSet, what: &str) {
    let fault = Fault::new("now", &format!("aer {what}")).unwrap();
    devices.first_mut().add_fault(Time::ZERO, fault).unwrap();
}

fn recoveries(outputs: &[Output]) -> Vec<HostEvent> {
    let events = outputs.iter().filter_map(|output| match output {
        Output::Event(Event::Host(event @ HostEvent::ErrorRecovery { .. })) => Some(event.clone()),
        _ => None,
    });
    events.collect()
}

#[test]
fn the_host_enables_reporting_where_it_handles_errors() {
    for (set, reporting) in [
        (&[("host.view", "vfio-pci")][..], 0xf),
        (&[("host.view", "vfio-pci"), ("host.aer", "false")], 0),
        (&[("host.view", "hardware")], 0),
        (&[("host.view", "hardware"), ("host.aer", "true")], 0xf),
    ] {
        let mut devices = profile(set).device_set(&Registry::builtin()).unwrap();
        devices.first_mut().client_came(Time::ZERO).unwrap();
        let at = place(&devices, "pci-express") + 8;
        assert_eq!(read(&mut devices, at) & 0xf, reporting, "{set:?}");
        // A reset at the open or by the client does not take it away.
        devices.first_mut().reset(Time::ZERO).unwrap();
        let after = if set.len() == 2 && reporting != 0 {
            0
        } else {
            reporting
        };
        assert_eq!(read(&mut devices, at) & 0xf, after, "{set:?}");
    }
}

#[test]
fn a_correctable_error_is_cleared_and_nobody_told() {
    let mut devices = card();
    let at = aer(&devices) + 0x10;
    detect(&mut devices, "bad-tlp");
    assert_eq!(devices.next_deadline(), Some(Time::ZERO));
    devices.advance(Time::ZERO);
    let outputs = first(&mut devices);
    assert!(!outputs.iter().any(is_err));
    assert_eq!(recoveries(&outputs), []);
    assert_eq!(read(&mut devices, at), 0);
    let at = place(&devices, "pci-express") + 8;
    assert_eq!(read(&mut devices, at) >> 16 & 0xf, 0);
}

#[test]
fn a_non_fatal_error_is_signalled_to_every_function_and_cleared() {
    let mut devices = card();
    write(&mut devices, COMMAND, &[6, 0]);
    let at = aer(&devices) + 4;
    detect(&mut devices, "completion-timeout");
    assert_eq!(read(&mut devices, at), 0x4000);
    devices.advance(Time::ZERO);
    let outputs = first(&mut devices);
    assert_eq!(outputs.iter().filter(|output| is_err(output)).count(), 1);
    let recovery = HostEvent::ErrorRecovery {
        severity: NonFatal,
        recovered: true,
    };
    assert_eq!(recoveries(&outputs), [recovery]);
    let other = self::outputs(&mut devices, FunctionNumber::ALL[1]);
    assert_eq!(other.iter().filter(|output| is_err(output)).count(), 1);
    assert_eq!(recoveries(&other), []);
    assert_eq!(read(&mut devices, at), 0);
    assert_eq!(read(&mut devices, COMMAND) & 0x6, 0x6, "no reset");
}

#[test]
fn a_fatal_error_resets_the_link_and_nothing_is_restored() {
    let mut devices = card();
    write(&mut devices, COMMAND, &[6, 0]);
    detect(&mut devices, "malformed-tlp header 1 2 3");
    devices.advance(Time::ZERO);
    let reset = |output: &Output| {
        let kind = ResetKind::Hot;
        matches!(output, Output::Event(Event::Function(event)) if *event == FunctionEvent::Reset { kind })
    };
    let outputs = first(&mut devices);
    let other = self::outputs(&mut devices, FunctionNumber::ALL[1]);
    for outputs in [&outputs, &other] {
        let told = outputs.iter().position(is_err).unwrap();
        assert!(
            outputs.iter().skip(told).any(reset),
            "first told, then reset"
        );
    }
    let recovery = HostEvent::ErrorRecovery {
        severity: Fatal,
        recovered: true,
    };
    assert_eq!(recoveries(&outputs), [recovery]);
    let command = devices.slot().first().config().header().command();
    assert!(!command.bus_master_enable());
    let at = aer(&devices);
    assert_eq!(
        read(&mut devices, at + 4),
        0x4_0000,
        "the host clears non-fatal errors only"
    );
    assert_eq!(read(&mut devices, at + 0x1c), 1);
    // The next open finds the function as it was.
    devices.first_mut().client_gone(Time::ZERO);
    devices.first_mut().client_came(Time::ZERO).unwrap();
    let at = place(&devices, "pci-express") + 8;
    assert_eq!(read(&mut devices, at) & 0xf, 0xf);
}

#[test]
fn a_function_that_does_not_come_back_is_not_recovered() {
    let mut devices = card();
    let silent = Fault::new("reset hot", "not-ready for-ever").unwrap();
    devices.first_mut().add_fault(Time::ZERO, silent).unwrap();
    detect(&mut devices, "malformed-tlp");
    devices.advance(Time::ZERO);
    let outputs = first(&mut devices);
    assert!(outputs.iter().any(is_err));
    let recovery = HostEvent::ErrorRecovery {
        severity: Fatal,
        recovered: false,
    };
    assert_eq!(recoveries(&outputs), [recovery]);
}

#[test]
fn a_message_that_is_not_handled_yet_is_saved() {
    let mut devices = card();
    detect(&mut devices, "completion-timeout");
    let saved = devices.save(Time::ZERO);
    let mut other = card();
    other.restore(Time::ZERO, &saved).unwrap();
    drop(first(&mut other));
    other.advance(Time::ZERO);
    assert!(first(&mut other).iter().any(is_err));
}

#[test]
fn without_the_host_s_service_a_message_is_an_event_only() {
    let set = [("host.view", "vfio-pci"), ("host.aer", "false")];
    let mut devices = profile(&set).device_set(&Registry::builtin()).unwrap();
    devices.first_mut().client_came(Time::ZERO).unwrap();
    let at = place(&devices, "pci-express") + 8;
    write(&mut devices, at, &[0xf]);
    drop(first(&mut devices));
    detect(&mut devices, "completion-timeout");
    devices.advance(Time::ZERO);
    let outputs = first(&mut devices);
    assert!(!outputs.iter().any(is_err));
    let message = FunctionEvent::ErrorMessage { severity: NonFatal };
    assert!(outputs.iter().any(
        |output| matches!(output, Output::Event(Event::Function(event)) if *event == message)
    ));
    let at = aer(&devices) + 4;
    assert_eq!(read(&mut devices, at), 0x4000);
}
