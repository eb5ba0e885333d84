//! A device that was saved and restored is the same device: it saves the same tree, answers the same,
//! and does the same later.

use std::time::Duration;

use pci_device_models::config::AnyCapability;
use pci_device_models::dma::DmaError;
use pci_device_models::host::{
    AttachedFd, DeviceSet, FaultSpan, HostError, Output, PowerControl, ResumeFault, SuspendDelay,
};
use pci_device_models::model::Registry;
use pci_device_models::pci::power_management::PMCSR;
use pci_device_models::profile::Profile;
use pci_device_models::register::ResetKind;
use pci_device_models::snapshot::RestoreError;
use pci_device_models::time::Time;
use proptest::prelude::*;
use serde_json::{Value, json};
use vfio_user_protocol::Errno;
use vfio_user_protocol::messages::set_irqs::{Action, Data};
use vfio_user_protocol::messages::{device_feature, set_irqs};
use vfio_user_protocol::vfio::RegionIndex;

/// Registers of `testdev`.
const CONFIG: u32 = RegionIndex::Config.number();
const SCRATCH: u64 = 0x04;
const COMMAND: u64 = 0x04;

/// Something that happens to a device.
#[derive(Clone, Debug)]
enum Step {
    Open,
    Close,
    Read(u32, u64, usize),
    Write(u32, u64, Vec<u8>),
    PowerState(u8),
    Enable(u16),
    Reset,
    /// Flags, first word of the data, whether an eventfd comes along.
    Feature(u32, u32, bool),
    Irqs(u32, Action, u32),
    Control(PowerControl),
    D3coldAllowed(bool),
    SuspendDelay(SuspendDelay),
    SuspendNow,
    Fault(Option<ResumeFault>),
    ResetBusy(bool),
    DeadAfterCold(bool),
    Rail(bool),
    SlotReset(ResetKind),
    Pme,
    Intx(bool),
    Interrupt(u16),
    Wait(u64),
}

fn profile(name: &str, view: &str, dialect: &str) -> Profile {
    let text = Profile::builtin(name).expect("it is built in");
    let set = [
        ("host.view", view),
        ("host.pm-dialect", dialect),
        ("host.max-clients", "2"),
        ("host.disable-idle-d3", "false"),
    ];
    let set = set.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Profile::parse(name, text, &set).expect("a profile")
}

fn device_set(profile: &Profile) -> DeviceSet {
    profile.device_set(&Registry::builtin()).expect("a device")
}

/// The result of a step, outputs included.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    answer: Result<u64, i32>,
    data: Vec<u8>,
    outputs: Vec<String>,
}

/// A device and its clock.
struct Bench {
    devices: DeviceSet,
    now: Time,
}

impl Bench {
    fn new(profile: &Profile, now: Time) -> Self {
        let mut devices = device_set(profile);
        // Two devices that were made at different times have slept different times already.
        devices.advance(now);
        Self { devices, now }
    }

    fn pmcsr(&self) -> Option<u64> {
        let mut placed = self.devices.slot().first().config().capabilities();
        let pm =
            placed.find(|placed| matches!(placed.capability, AnyCapability::PowerManagement(_)));
        pm.map(|pm| u64::from(pm.offset) + PMCSR as u64)
    }

    fn outputs(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        let mut transfers = 0;
        while let Some(output) = self.devices.first_mut().next_output() {
            match output {
                Output::Dma(request) => {
                    // Memory answers at once, but not for as long as a job of the engine may take.
                    transfers += 1;
                    let end = Err(DmaError::Unmapped { address: 0 });
                    let outcome = if transfers < 64 { Ok(&[][..]) } else { end };
                    self.devices
                        .first_mut()
                        .dma_done(self.now, request.id, outcome);
                }
                other => seen.push(format!("{other:?}")),
            }
        }
        seen
    }

    fn apply(&mut self, step: &Step) -> Seen {
        let pmcsr = self.pmcsr();
        let (mut device, now) = (self.devices.first_mut(), self.now);
        let mut data = Vec::new();
        let count = |result: Result<usize, HostError>| result.map(|count| count as u64);
        let done = |result: Result<(), HostError>| result.map(|()| 0);
        let answer = match step.clone() {
            Step::Open if device.has_room() => done(device.client_came(now)),
            Step::Open => Ok(1),
            Step::Close => {
                if device.as_ref().connected() > 0 {
                    device.client_gone(now);
                }
                Ok(0)
            }
            Step::Read(region, offset, len) => {
                data = vec![0; len];
                count(device.region_read(now, region, offset, &mut data))
            }
            Step::Write(region, offset, bytes) => {
                count(device.region_write(now, region, offset, &bytes))
            }
            Step::PowerState(bits) => {
                let at = pmcsr.unwrap_or(0);
                count(device.region_write(now, CONFIG, at, &[bits & 3]))
            }
            Step::Enable(command) => {
                count(device.region_write(now, CONFIG, COMMAND, &command.to_le_bytes()))
            }
            Step::Reset => done(device.reset(now)),
            Step::Feature(flags, word, eventfd) => {
                let mut data = [0; 8];
                data[..4].copy_from_slice(&word.to_ne_bytes());
                let header = [16_u32, flags].map(u32::to_ne_bytes);
                let payload = [header.as_flattened(), &data].concat();
                let request = device_feature::Request::read(&payload).expect("it has a header");
                let fd = if eventfd {
                    AttachedFd::Eventfd
                } else {
                    AttachedFd::None
                };
                device.feature(now, &request, fd).map(|_| 0)
            }
            Step::Irqs(index, action, count) => {
                let request = set_irqs::Request {
                    index,
                    action,
                    start: 0,
                    count,
                    data: match action {
                        Action::Trigger if count > 0 => Data::Eventfd,
                        _ => Data::None,
                    },
                };
                done(device.set_irqs(now, &request, 1))
            }
            Step::Control(control) => {
                device.set_control(now, control);
                Ok(0)
            }
            Step::D3coldAllowed(allowed) => {
                device.set_d3cold_allowed(now, allowed);
                Ok(0)
            }
            Step::SuspendDelay(delay) => {
                device.set_suspend_delay(now, delay);
                Ok(0)
            }
            Step::SuspendNow => Ok(u64::from(device.suspend_now(now))),
            Step::Fault(fault) => {
                device.set_resume_fault(fault).unwrap();
                Ok(0)
            }
            Step::ResetBusy(busy) => {
                device.set_reset_busy(busy).unwrap();
                Ok(0)
            }
            Step::DeadAfterCold(dead) => {
                device.set_dead_after_cold(now, dead).unwrap();
                Ok(0)
            }
            Step::Rail(on) => {
                device.set_rail(now, on);
                Ok(0)
            }
            Step::SlotReset(kind) => {
                device.platform_reset(now, kind);
                Ok(0)
            }
            Step::Pme => {
                device.pme(now);
                Ok(0)
            }
            Step::Intx(asserted) => {
                device.set_intx(now, asserted);
                Ok(0)
            }
            Step::Interrupt(vector) => {
                device.interrupt(now, vector);
                Ok(0)
            }
            Step::Wait(ms) => {
                let mut seen = self.wait(Duration::from_millis(ms));
                seen.extend(self.outputs());
                return Seen {
                    answer: Ok(0),
                    data,
                    outputs: seen,
                };
            }
        };
        let mut seen = self.outputs();
        self.devices.first_mut().idle(self.now);
        seen.extend(self.outputs());
        seen.extend(self.wait(Duration::ZERO));
        Seen {
            answer: answer.map_err(|error| error.errno().0),
            data,
            outputs: seen,
        }
    }

    fn wait(&mut self, span: Duration) -> Vec<String> {
        let mut seen = Vec::new();
        let until = self.now.after(span);
        while let Some(due) = self
            .devices
            .first_mut()
            .next_deadline()
            .filter(|due| *due <= until)
        {
            self.now = self.now.max(due);
            self.devices.first_mut().advance(self.now);
            seen.extend(self.outputs());
        }
        self.now = until;
        seen
    }

    fn has_triggers(&self) -> bool {
        let status = self.devices.first().status(self.now);
        let bound = &status.irqs.bound;
        bound.values().any(|count| *count != 0)
    }

    fn save(&self) -> Value {
        self.devices.save(self.now)
    }
}

/// Unbinds every trigger, as a client does that goes to another place: they are not saved.
fn unbind(bench: &mut Bench) {
    for index in 0..6 {
        bench.apply(&Step::Irqs(index, Action::Trigger, 0));
    }
}

fn kinds() -> impl Strategy<Value = ResetKind> {
    prop::sample::select(vec![ResetKind::Hot, ResetKind::Fundamental])
}

fn steps(len: usize) -> impl Strategy<Value = Vec<Step>> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..=8);
    let delay = prop_oneof![
        Just(SuspendDelay::After(Duration::ZERO)),
        Just(SuspendDelay::After(Duration::from_millis(7))),
        Just(SuspendDelay::Manual),
    ];
    let fault = prop_oneof![
        Just(None),
        Just(Some(ResumeFault {
            errno: Errno::EIO,
            span: FaultSpan::Times(2)
        })),
        Just(Some(ResumeFault {
            errno: Errno::EBUSY,
            span: FaultSpan::Latch
        })),
    ];
    let features = prop::sample::select(vec![
        (1 << 17 | 3, 1, false),
        (1 << 17 | 3, 2, false),
        (1 << 17 | 3, 5, false),
        (1 << 17 | 4, 0, true),
        (1 << 17 | 5, 0, false),
    ]);
    let action = prop::sample::select(vec![Action::Trigger, Action::Mask, Action::Unmask]);
    let step = prop_oneof![
        4 => Just(Step::Open),
        1 => Just(Step::Close),
        3 => (0_u64..0x200, 1_usize..=8).prop_map(|(at, len)| Step::Read(CONFIG, at, len)),
        8 => (0_u64..0x200, bytes()).prop_map(|(at, data)| Step::Write(CONFIG, at, data)),
        2 => (0_u32..7, 0_u64..0x3000, 1_usize..=8).prop_map(|(r, at, len)| Step::Read(r, at, len)),
        6 => (0_u32..7, 0_u64..0x40, bytes()).prop_map(|(r, at, data)| Step::Write(r, at, data)),
        3 => (0_u32..6, 0_u64..0x3000, bytes()).prop_map(|(r, at, data)| Step::Write(r, at, data)),
        3 => (0_u8..4).prop_map(Step::PowerState),
        3 => (0_u16..0x800).prop_map(|command| Step::Enable(command | 2)),
        1 => Just(Step::Reset),
        4 => features.prop_map(|(flags, word, fd)| Step::Feature(flags, word, fd)),
        3 => (0_u32..6, action, 0_u32..3).prop_map(|(i, action, n)| Step::Irqs(i, action, n)),
        1 => prop_oneof![Just(PowerControl::Auto), Just(PowerControl::On)].prop_map(Step::Control),
        1 => any::<bool>().prop_map(Step::D3coldAllowed),
        1 => delay.prop_map(Step::SuspendDelay),
        2 => Just(Step::SuspendNow),
        1 => fault.prop_map(Step::Fault),
        1 => any::<bool>().prop_map(Step::ResetBusy),
        1 => any::<bool>().prop_map(Step::DeadAfterCold),
        2 => prop::bool::weighted(0.7).prop_map(Step::Rail),
        1 => kinds().prop_map(Step::SlotReset),
        2 => Just(Step::Pme),
        2 => any::<bool>().prop_map(Step::Intx),
        2 => (0_u16..4).prop_map(Step::Interrupt),
        4 => prop::sample::select(vec![1, 5, 30, 99, 700, 1500]).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..len)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restored_device_is_the_same_device(
        name in prop::sample::select(Profile::builtins().collect::<Vec<_>>()),
        view in prop::sample::select(vec!["hardware", "vfio-pci"]),
        dialect in prop::sample::select(vec!["mainline", "v4"]),
        before in steps(80),
        after in steps(60),
    ) {
        let profile = profile(name, view, dialect);
        let mut first = Bench::new(&profile, Time::from_nanos(1_000_000));
        for step in &before {
            first.apply(step);
        }
        unbind(&mut first);
        prop_assume!(!first.has_triggers(), "a device that does not wake keeps them");
        let saved = first.save();
        // Its clock shows another time, and started later than the other's last events.
        let mut second = Bench::new(&profile, Time::from_nanos(12));
        prop_assert_eq!(second.devices.first_mut().restore(second.now, &saved), Ok(()));
        second.outputs();
        prop_assert_eq!(&saved, &second.save());
        prop_assert_eq!(second.devices.first().connected(), 0);
        for _ in 0..first.devices.first().connected() {
            prop_assert!(second.devices.first_mut().has_room());
            prop_assert_eq!(second.devices.first_mut().client_came(second.now), Ok(()));
        }
        prop_assert_eq!(&saved, &second.save());
        for step in &after {
            prop_assert_eq!(first.apply(step), second.apply(step), "{:?}", step);
        }
        prop_assert_eq!(first.save(), second.save());
        prop_assert_eq!(first.devices.first().status(first.now), second.devices.first().status(second.now));
    }
}

/// The numbers and strings of a tree, by pointer.
fn leaves(at: &str, tree: &Value, found: &mut Vec<String>) {
    match tree {
        Value::Object(members) => {
            for (key, value) in members {
                leaves(&format!("{at}/{key}"), value, found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                leaves(&format!("{at}/{index}"), value, found);
            }
        }
        _ => found.push(at.to_owned()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a file says, the device refuses it or lives on with it.
    #[test]
    fn a_tree_that_was_tampered_with_does_no_harm(
        name in prop::sample::select(Profile::builtins().collect::<Vec<_>>()),
        view in prop::sample::select(vec!["hardware", "vfio-pci"]),
        before in steps(40),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>(), 24_u32..64), 1..12),
        after in steps(40),
    ) {
        let profile = profile(name, view, "v4");
        let mut bench = Bench::new(&profile, Time::ZERO);
        for step in &before {
            bench.apply(step);
        }
        let mut tree = bench.save();
        let mut places = Vec::new();
        leaves("/slot", &tree["slot"], &mut places);
        leaves("/devices/0/host", &tree["devices"]["0"]["host"], &mut places);
        for (place, bits, shift) in changes {
            let place = place.get(&places).clone();
            let leaf = tree.pointer_mut(&place).expect("it was found there");
            *leaf = match leaf {
                Value::Number(_) => json!(bits >> shift),
                Value::Bool(_) => json!(bits & 1 == 1),
                _ => continue,
            };
        }
        let mut bench = Bench::new(&profile, Time::ZERO);
        let fresh = bench.save();
        if bench.devices.first_mut().restore(bench.now, &tree).is_err() {
            prop_assert_eq!(fresh, bench.save());
        }
        for step in &after {
            bench.apply(step);
        }
    }
}

fn testdev() -> Bench {
    Bench::new(&profile("testdev", "hardware", "mainline"), Time::ZERO)
}

#[test]
fn a_tree_that_does_not_fit_is_refused_and_changes_nothing() {
    let mut saved = testdev();
    saved.apply(&Step::Open);
    let good = saved.save();
    let with = |pointer: &str, value: Value| {
        let mut tree = good.clone();
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        let parent = tree.pointer_mut(parent).expect(parent);
        match key.parse::<usize>() {
            Ok(index) if parent.is_array() => parent[index] = value,
            _ => parent[key] = value,
        }
        tree
    };
    let without = |pointer: &str| {
        let mut tree = good.clone();
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        let parent = tree.pointer_mut(parent).and_then(Value::as_object_mut);
        parent.expect("an object").remove(key).expect(key);
        tree
    };
    let core = "/slot/functions/0/core";
    for (tree, expected) in [
        (json!(null), "the saved state: invalid type: null"),
        (
            with("/format", json!(99)),
            "format 99; this program reads format 5",
        ),
        (
            with("/devices/0/profile/name", json!("nic")),
            "profile \"nic\", but the device has profile \"testdev\"",
        ),
        (
            with("/devices/0/profile/shape", json!("0")),
            "shape 0, but the device has shape",
        ),
        (without("/devices/0/profile/shape"), "missing field `shape`"),
        (
            with("/devices/0/more", json!(1)),
            "devices.0: unknown field `more`",
        ),
        (
            without("/devices/0/host"),
            "devices.0: missing field `host`",
        ),
        (
            without("/devices/0/host/open_state"),
            "the key \"open_state\" is missing",
        ),
        (
            with("/devices/0/host/view", json!("vfio-pci")),
            "devices.0.host.view: it was",
        ),
        (
            with("/devices/0/host/low_power/opens", json!(9)),
            "9 clients; at most 2",
        ),
        (
            with("/devices/0/host/low_power/extra", json!(7)),
            "7 references",
        ),
        (
            with("/devices/0/host/low_power/poll_nanos", json!(5)),
            "the saved state.devices.0.host.low_power.poll_nanos",
        ),
        (
            with("/devices/0/host/open_state", json!("00")),
            "1 bytes instead of 4096",
        ),
        (
            with("/devices/0/host/user_state", json!("0x")),
            "two hexadecimal digits",
        ),
        (
            with("/slot/functions/0/model/registers", json!([1])),
            "1 registers instead of 16",
        ),
        (
            without("/slot/functions/0/model/engine"),
            "missing field `engine`",
        ),
        (
            with(&format!("{core}/config/header"), json!([])),
            "config.header: there are 0 registers",
        ),
        (
            with(&format!("{core}/config/capabilities/040-x"), json!([])),
            "there is no \"040-x\" here",
        ),
        (
            with(&format!("{core}/interrupts/held"), json!([0, 0, 0, 0, 0])),
            "not as many vectors",
        ),
        (
            with(&format!("{core}/ram/0"), json!([])),
            "function.core.ram.0: this BAR has no memory",
        ),
    ] {
        let mut bench = testdev();
        bench.apply(&Step::Write(0, SCRATCH, vec![1, 2, 3, 4]));
        let before = bench.save();
        let error = bench
            .devices
            .first_mut()
            .restore(bench.now, &tree)
            .expect_err(expected);
        assert!(
            error.to_string().contains(expected),
            "{error} instead of {expected}"
        );
        assert_eq!(bench.save(), before, "{expected}");
    }
    let mut other = Bench::new(&profile("nic", "hardware", "mainline"), Time::ZERO);
    assert!(matches!(
        other.devices.first_mut().restore(other.now, &good),
        Err(RestoreError::Profile { .. })
    ));
}

#[test]
fn a_profile_that_was_changed_has_another_shape() {
    let text = Profile::builtin("testdev").expect("it is built in");
    let set = [("capabilities.pm.d1".to_owned(), "true".to_owned())];
    let changed = Profile::parse("testdev", text, &set).expect("a profile");
    let error = device_set(&changed).restore(Time::ZERO, &testdev().save());
    assert!(
        matches!(error, Err(RestoreError::Shape { .. })),
        "{error:?}"
    );
}

#[test]
fn clients_that_are_there_have_taken_their_places() {
    let mut saved = testdev();
    saved.apply(&Step::Open);
    let tree = saved.save();
    let mut bench = testdev();
    bench.apply(&Step::Open);
    assert_eq!(bench.devices.first_mut().restore(bench.now, &tree), Ok(()));
    assert_eq!(
        (bench.devices.first().connected(), bench.save()),
        (1, tree.clone())
    );
    bench.apply(&Step::Open);
    let error = bench.devices.first_mut().restore(bench.now, &tree);
    assert_eq!(
        error,
        Err(RestoreError::Clients {
            connected: 2,
            saved: 1
        })
    );
}
