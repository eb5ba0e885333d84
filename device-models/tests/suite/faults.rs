//! Faults: they strike where their words say, at the same tick on every run, and go on after a restore.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pci_device_models::fault::{Fault, FaultError, MAX_FAULTS};
use pci_device_models::function::BarMemory;
use pci_device_models::host::{DeviceSet, Event, HostEvent, Output};
use pci_device_models::model::Registry;
use pci_device_models::model::backend::Backend;
use pci_device_models::power::PowerState::{self, D0, D3cold, D3hot};
use pci_device_models::profile::Profile;
use pci_device_models::register::ResetKind;
use pci_device_models::time::Time;
use vfio_user_protocol::vfio::RegionIndex;

const PMCSR: u64 = 0x44;
const MILLI: u64 = 1_000_000;

fn profile(set: &[(&str, &str)]) -> Profile {
    let set: Vec<_> = set
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let text = Profile::builtin("testdev").unwrap();
    Profile::parse("testdev", text, &set).unwrap()
}

fn devices() -> DeviceSet {
    let set = [("platform.delays", "off"), ("host.view", "hardware")];
    profile(&set).device_set(&Registry::builtin()).unwrap()
}

fn set(devices: &mut DeviceSet, now: u64, when: &str, what: &str) {
    let fault = Fault::new(when, what).unwrap().named("it");
    devices.first_mut().add_fault(at(now), fault).unwrap();
}

fn at(millis: u64) -> Time {
    Time::from_nanos(millis * MILLI)
}

fn read(devices: &mut DeviceSet, now: u64, region: RegionIndex, offset: u64) -> u32 {
    let mut data = [0; 4];
    let mut device = devices.first_mut();
    let region = region.number();
    device
        .region_read(at(now), region, offset, &mut data)
        .unwrap();
    u32::from_le_bytes(data)
}

fn config(devices: &mut DeviceSet, now: u64, offset: u64) -> u32 {
    read(devices, now, RegionIndex::Config, offset)
}

fn reset(devices: &mut DeviceSet, now: u64, kind: ResetKind) {
    devices.first_mut().platform_reset(at(now), kind);
}

fn silent_for(devices: &DeviceSet, now: u64) -> Option<Duration> {
    devices.slot().first().silent_for(at(now))
}

fn write(devices: &mut DeviceSet, now: u64, offset: u64, data: &[u8]) {
    let mut device = devices.first_mut();
    let region = RegionIndex::Config.number();
    device.region_write(at(now), region, offset, data).unwrap();
}

fn state(devices: &mut DeviceSet) -> PowerState {
    devices.slot().first().power_state()
}

fn struck(devices: &mut DeviceSet) -> u64 {
    devices.first_mut().faults()[0].struck
}

/// Vendor and device id of the function without a fault.
fn ids() -> u32 {
    config(&mut devices(), 0, 0)
}

#[test]
fn a_function_is_late_after_a_reset_and_answers_on_time() {
    for (kind, when) in [
        (ResetKind::Flr, "reset flr"),
        (ResetKind::Hot, "reset hot"),
        (ResetKind::Fundamental, "reset fundamental"),
    ] {
        let mut devices = devices();
        set(&mut devices, 0, when, "not-ready 300ms");
        reset(&mut devices, 10, kind);
        assert_eq!(config(&mut devices, 309, 0), u32::MAX, "{when}");
        assert_eq!(silent_for(&devices, 210), Some(Duration::from_millis(100)));
        assert_eq!(config(&mut devices, 310, 0), ids(), "{when}");
        assert_eq!(struck(&mut devices), 1);
        // A reset of another kind is none of its occasions.
        let other = if kind == ResetKind::Flr {
            ResetKind::Hot
        } else {
            ResetKind::Flr
        };
        reset(&mut devices, 400, other);
        assert_eq!(config(&mut devices, 400, 0), ids());
    }
}

#[test]
fn a_retry_is_shown_where_vendor_id_is_read() {
    let mut devices = devices();
    set(&mut devices, 0, "d-state d3cold d0", "not-ready 1s rrs");
    devices.first_mut().set_rail(at(0), false);
    devices.first_mut().set_rail(at(1), true);
    assert_eq!(config(&mut devices, 1, 0), 0xffff_0001);
    assert_eq!(config(&mut devices, 1, 4), u32::MAX);
    let mut byte = [0];
    let region = RegionIndex::Config.number();
    let mut device = devices.first_mut();
    device.region_read(at(1), region, 0, &mut byte).unwrap();
    assert_eq!(byte, [0xff], "both bytes of Vendor ID have to be read");
    assert_eq!(config(&mut devices, 1001, 0), ids());
}

#[test]
fn only_power_off_ends_a_silence_until_power_off() {
    let mut devices = devices();
    set(&mut devices, 0, "now", "not-ready until-power-off");
    reset(&mut devices, 1, ResetKind::Hot);
    assert_eq!(config(&mut devices, 100_000, 0), u32::MAX);
    assert_eq!(silent_for(&devices, 0), None);
    devices.first_mut().set_rail(at(100_000), false);
    devices.first_mut().set_rail(at(100_001), true);
    assert_eq!(config(&mut devices, 100_001, 0), ids());
}

#[test]
fn a_function_that_is_never_ready_is_ready_once_the_fault_is_removed() {
    let mut devices = devices();
    set(&mut devices, 0, "power-on", "not-ready for-ever");
    for round in 0..2 {
        devices.first_mut().set_rail(at(round), false);
        devices.first_mut().set_rail(at(round), true);
        assert_eq!(config(&mut devices, 1_000_000, 0), u32::MAX);
    }
    devices
        .first_mut()
        .remove_fault(at(1_000_000), "it")
        .unwrap();
    assert_eq!(config(&mut devices, 1_000_000, 0), ids());
    let error = devices.first_mut().remove_fault(at(0), "it").unwrap_err();
    assert_eq!(error.to_string(), "there is no fault \"it\"; none is set");
}

#[test]
fn a_function_is_stuck_as_often_as_asked() {
    let mut devices = devices();
    set(&mut devices, 0, "d-state d3hot d0 first 2", "stuck");
    write(&mut devices, 0, PMCSR, &[3]);
    assert_eq!(state(&mut devices), D3hot);
    for expected in [D3hot, D3hot, D0] {
        write(&mut devices, 0, PMCSR, &[0]);
        assert_eq!(state(&mut devices), expected);
        assert_eq!(config(&mut devices, 0, PMCSR) as u8 & 3, expected.bits());
    }
    assert_eq!(struck(&mut devices), 2);
}

#[test]
fn no_soft_reset_can_lie() {
    for lies in [false, true] {
        let set_keys = [
            ("capabilities.pm.no-soft-reset", "true"),
            ("platform.delays", "off"),
        ];
        let mut devices = profile(&set_keys).device_set(&Registry::builtin()).unwrap();
        if lies {
            set(&mut devices, 0, "d-state d3hot d0", "lose-state");
        }
        write(&mut devices, 0, 4, &[6, 0]);
        write(&mut devices, 0, PMCSR, &[3]);
        write(&mut devices, 0, PMCSR, &[0]);
        assert_eq!(state(&mut devices), D0);
        let command = config(&mut devices, 0, 4) as u16;
        assert_eq!(command, if lies { 0 } else { 6 });
        assert!(
            config(&mut devices, 0, PMCSR) & 8 != 0,
            "it still claims so"
        );
    }
}

#[test]
fn a_function_falls_off_the_bus_and_comes_back_without_state() {
    let mut devices = devices();
    set(&mut devices, 0, "after 5ms", "gone 2s");
    write(&mut devices, 0, 4, &[6, 0]);
    devices.first_mut().advance(at(5));
    assert_eq!(config(&mut devices, 5, 0), u32::MAX);
    assert_eq!(state(&mut devices), D3cold);
    assert_eq!(devices.first_mut().next_deadline(), Some(at(2005)));
    // Neither a reset nor power brings it back.
    devices.first_mut().set_rail(at(6), false);
    devices.first_mut().set_rail(at(7), true);
    devices.first_mut().platform_reset(at(8), ResetKind::Hot);
    assert_eq!(config(&mut devices, 8, 0), u32::MAX);
    devices.first_mut().advance(at(2005));
    assert_eq!(config(&mut devices, 2005, 0), ids());
    assert_eq!(config(&mut devices, 2005, 4) as u16, 0);
}

#[test]
fn a_function_that_is_back_in_a_slot_without_power_waits_for_it() {
    let mut devices = devices();
    set(&mut devices, 0, "now", "gone until-power-off");
    assert_eq!(config(&mut devices, 1, 0), u32::MAX);
    devices.first_mut().set_rail(at(2), false);
    assert_eq!(config(&mut devices, 2, 0), u32::MAX);
    devices.first_mut().set_rail(at(3), true);
    assert_eq!(config(&mut devices, 3, 0), ids());
}

#[test]
fn bits_do_not_stick_whatever_kind_they_are() {
    let mut devices = devices();
    set(
        &mut devices,
        0,
        "config-write 4-5 nth 2",
        "bits-do-not-stick 4 0x4",
    );
    write(&mut devices, 0, 4, &[2, 0]);
    write(&mut devices, 0, 4, &[6, 0]);
    assert_eq!(config(&mut devices, 0, 4) as u16, 2);
    write(&mut devices, 0, 4, &[6, 0]);
    assert_eq!(config(&mut devices, 0, 4) as u16, 6);

    // PME_Status cannot be cleared.
    let mut devices = self::devices();
    set(
        &mut devices,
        0,
        "config-write 0x44-0x47",
        "bits-do-not-stick 0x44 0x8000",
    );
    devices.first_mut().pme(at(0));
    write(&mut devices, 0, PMCSR, &[0, 0x80]);
    assert!(config(&mut devices, 0, PMCSR) & 0x8000 != 0);
}

#[test]
fn a_reset_is_ignored() {
    let mut devices = devices();
    set(&mut devices, 0, "reset flr first 1", "reset-ignored");
    for expected in [6, 0] {
        write(&mut devices, 0, 4, &[6, 0]);
        reset(&mut devices, 0, ResetKind::Flr);
        assert_eq!(config(&mut devices, 0, 4) as u16, expected);
    }
}

#[test]
fn a_bar_stops_decoding_on_an_access_to_another_register() {
    let mut devices = devices();
    write(&mut devices, 0, 4, &[2, 0]);
    set(&mut devices, 0, "bar-read 0 0x8-0xb", "bar-off 0 20ms");
    let mut read = |now: u64, offset: u64| self::read(&mut devices, now, RegionIndex::Bar0, offset);
    let alive = read(0, 0);
    assert_ne!(alive, u32::MAX);
    assert_eq!(read(1, 8), u32::MAX);
    assert_eq!(read(20, 0), u32::MAX);
    assert_eq!(read(21, 0), alive);
}

#[test]
fn operations_of_the_host_fail() {
    let mut devices = devices();
    set(&mut devices, 0, "device-reset nth 2", "fail EIO");
    let mut device = devices.first_mut();
    device.client_came(at(0)).unwrap();
    let errnos: Vec<_> = (1..=3)
        .map(|now| device.reset(at(now)).err().map(|error| error.errno().0))
        .collect();
    assert_eq!(errnos, [None, Some(5), None]);
    let events = std::iter::from_fn(|| device.next_output());
    let strikes = events.filter(|output| {
        matches!(
            output,
            Output::Event(Event::Host(HostEvent::Fault { count: 1, .. }))
        )
    });
    assert_eq!(strikes.count(), 1);
}

#[test]
fn chance_is_the_same_on_every_run_and_goes_on_after_a_restore() {
    let run = |restored_at: Option<u64>| {
        let mut devices = devices();
        set(
            &mut devices,
            0,
            "config-read 0 chance 1/3 seed 99",
            "not-ready 1ms",
        );
        let mut seen = Vec::new();
        for step in 0..100 {
            if restored_at == Some(step) {
                let saved = devices.save(at(10 * step));
                devices = self::devices();
                devices.restore(at(10 * step), &saved).unwrap();
                assert_eq!(devices.save(at(10 * step)), saved);
            }
            seen.push(config(&mut devices, 10 * step, 0) == u32::MAX);
        }
        (seen, struck(&mut devices))
    };
    let (seen, count) = run(None);
    assert_eq!(count, seen.iter().filter(|silent| **silent).count() as u64);
    assert!((20..50).contains(&count), "{count}");
    for step in [1, 37, 99] {
        assert_eq!(run(Some(step)), (seen.clone(), count));
    }
}

#[test]
fn conditions_and_counts_are_saved() {
    let mut devices = devices();
    set(
        &mut devices,
        0,
        "every 7ms from 20ms first 2",
        "bar-off 0 5ms",
    );
    set_named(&mut devices, "silent", "after 3ms", "not-ready 100ms rrs");
    set_named(&mut devices, "away", "after 200ms", "gone 50ms");
    set_named(&mut devices, "host", "resume first 2", "fail EBUSY");
    for (now, next) in [(3, 7), (30, 35), (205, 210)] {
        devices.first_mut().advance(at(now));
        let saved = devices.save(at(now));
        let text = saved.to_string();
        let mut other = self::devices();
        // Elsewhere, time has another origin.
        let there = now + 1_000_000;
        other.restore(at(there), &saved).unwrap();
        assert_eq!(other.save(at(there)), saved);
        for (devices, now) in [(&mut devices, next), (&mut other, next + 1_000_000)] {
            devices.first_mut().advance(at(now));
        }
        assert_eq!(
            devices.save(at(next)),
            other.save(at(next + 1_000_000)),
            "{text}"
        );
    }
}

fn set_named(devices: &mut DeviceSet, name: &str, when: &str, what: &str) {
    let fault = Fault::new(when, what).unwrap().named(name);
    devices.first_mut().add_fault(at(0), fault).unwrap();
}

#[test]
fn there_is_a_limit_and_names_are_unique() {
    let mut devices = devices();
    let fault = || Fault::new("reset", "not-ready 1s").unwrap();
    for _ in 0..MAX_FAULTS {
        devices.first_mut().add_fault(at(0), fault()).unwrap();
    }
    let names: Vec<String> = devices
        .first_mut()
        .faults()
        .into_iter()
        .map(|fault| fault.name)
        .collect();
    assert_eq!(names[..2], ["not-ready", "not-ready-2"]);
    let host = Fault::new("resume", "fail EIO").unwrap();
    for one_more in [fault(), host] {
        let error = devices.first_mut().add_fault(at(0), one_more).unwrap_err();
        assert_eq!(error, FaultError::TooMany);
    }
    devices.first_mut().clear_faults(at(0));
    assert_eq!(devices.first_mut().faults(), []);
    for (fault, expected) in [
        ("when=now,what=bar-off 5 1s", "no BAR 5"),
        ("when=now,what=input nothing", "no input \"nothing\""),
    ] {
        let error = devices.first_mut().add_fault(at(0), fault.parse().unwrap());
        assert!(error.unwrap_err().to_string().contains(expected));
    }
}

#[test]
fn a_profile_has_faults_and_names_its_mistakes() {
    let text = Profile::builtin("testdev").unwrap();
    let with = |fault: &str| {
        let text = format!("{text}\n[[fault]]\n{fault}\n");
        let profile = Profile::parse("p.toml", &text, &[]).map_err(|error| error.to_string())?;
        let mut devices = profile.device_set(&Registry::builtin()).unwrap();
        Ok::<_, String>(devices.first_mut().faults())
    };
    let faults = with("when = \"reset flr\"\nwhat = \"not-ready 300ms\"").unwrap();
    assert_eq!(faults[0].name, "not-ready");
    for (fault, expected) in [
        ("when = \"reset\"", "fault.0.what: is missing"),
        (
            "when = \"reset\"\nwhat = \"stuck\"",
            "fault.0.when: \"stuck\" cannot happen",
        ),
        (
            "when = \"noon\"\nwhat = \"gone 1s\"",
            "'noon' is no occasion",
        ),
        (
            "when = \"now\"\nwhat = \"gone 1s\"\nname = \"a b\"",
            "fault.0.name",
        ),
        (
            "when = \"now\"\nwhat = \"bar-off 5 1s\"",
            "fault.0: there is no BAR 5",
        ),
    ] {
        let error = with(fault).unwrap_err();
        assert!(error.contains(expected), "{fault}: {error}");
    }
}

#[test]
fn consequences_of_what_comes_from_outside_do_not_wait() {
    let text = Profile::builtin("serial").unwrap();
    let profile = Profile::parse("serial", text, &[]).unwrap();
    let mut devices = profile.device_set(&Registry::builtin()).unwrap();
    let fault = Fault::new("intx-assert", "gone 10ms").unwrap();
    devices.first_mut().add_fault(at(0), fault).unwrap();
    let io = RegionIndex::Bar0.number();
    let mut device = devices.first_mut();
    device.client_came(at(0)).unwrap();
    device.region_write(at(0), 7, 4, &[1, 0]).unwrap();
    // MCR: RTS; IER: an interrupt for each received byte.
    device.region_write(at(0), io, 4, &[3]).unwrap();
    device.region_write(at(0), io, 1, &[1]).unwrap();
    let received = device.with_backend(at(5), |backend, cx| match backend {
        Backend::Serial(port) => port.receive(cx, b'x'),
        _ => false,
    });
    assert!(received);
    assert_eq!(device.slot().function().power_state(), D3cold);
    device.advance(at(14));
    assert_eq!(device.slot().function().power_state(), D3cold);
    device.advance(at(15));
    assert_eq!(device.slot().function().power_state(), D0);

    // An interrupt that the control socket raises.
    let mut devices = self::devices();
    set(&mut devices, 0, "intx-assert", "gone 10ms");
    devices.first_mut().set_intx(at(7), true);
    assert_eq!(state(&mut devices), D3cold);
    let back = |device: &mut DeviceSet, now: u64| {
        device.first_mut().advance(at(now));
        state(device)
    };
    assert_eq!(
        (back(&mut devices, 16), back(&mut devices, 17)),
        (D3cold, D0)
    );
}

#[test]
fn a_transfer_to_a_wrong_address_needs_permission() {
    let registry = Registry::builtin();
    let permission = [("host.misdirected-dma", "true")];
    let permitted = |devices: &mut DeviceSet| {
        let fault = Fault::new("dma", "dma-misdirected 0x10").unwrap();
        devices.first_mut().add_fault(at(0), fault)
    };
    let mut device = profile(&permission).device_set(&registry).unwrap();
    permitted(&mut device).unwrap();
    let saved = device.first().save(at(0));

    let mut other = profile(&[]).device_set(&registry).unwrap();
    let refused = permitted(&mut other).unwrap_err();
    assert!(matches!(refused, FaultError::NotPermitted(_)), "{refused}");
    // Nor does it come in by a saved state.
    let refused = other.first_mut().restore(at(0), &saved).unwrap_err();
    assert!(
        refused.to_string().contains("host.misdirected-dma"),
        "{refused}"
    );
    let mut other = profile(&permission).device_set(&registry).unwrap();
    other.first_mut().restore(at(0), &saved).unwrap();
}

/// Memory of a BAR without bytes, which notes its visibility.
#[derive(Debug)]
struct Curtain(Arc<AtomicBool>);

impl BarMemory for Curtain {
    fn read(&self, _: u64, data: &mut [u8]) {
        data.fill(0);
    }

    fn write(&mut self, _: u64, _: &[u8]) {}

    fn reset(&mut self, _: u64) {}

    fn set_visible(&mut self, visible: bool) {
        self.0.store(visible, Ordering::Relaxed);
    }
}

#[test]
fn a_bar_that_does_not_decode_hides_no_other() {
    let set_keys = [
        ("host.view", "hardware"),
        ("bar.0.size", "0x8000"),
        ("bar.0.mappable", "[{ offset = 0x4000, size = 0x4000 }]"),
        ("bar.2.mappable", "true"),
    ];
    let mut devices = profile(&set_keys).device_set(&Registry::builtin()).unwrap();
    let visible = [0, 2].map(|bar| {
        let visible = Arc::new(AtomicBool::new(false));
        let memory = Box::new(Curtain(Arc::clone(&visible)));
        devices.first_mut().share_bar(bar, memory);
        visible
    });
    let seen = || visible.each_ref().map(|bar| bar.load(Ordering::Relaxed));
    devices.first_mut().client_came(at(0)).unwrap();
    write(&mut devices, 1, 4, &[2, 0]);
    assert_eq!(seen(), [true, true]);
    set(&mut devices, 2, "now", "bar-off 0 5ms");
    assert_eq!(seen(), [false, true]);
    devices.first_mut().advance(at(7));
    assert_eq!(seen(), [true, true]);
}
